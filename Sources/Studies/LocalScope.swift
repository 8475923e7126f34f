import Files
import Training

/// The `local` scope of a variant that is meant for a certain number of ranks, on another number.
enum LocalScope {
  /// Replaces `local` in the BN scopes that a variant sets.
  /// - Returns: what was replaced, for the user; nil where nothing was.
  /// - Throws: `UsageError`.
  static func resolve(in settings: inout Configuration, _ variant: Study.Variant, ranks: Int) throws -> String? {
    guard let wanted = variant.localRanks, wanted != ranks else { return nil }
    let scopes = variant.settings.filter { $0.key.hasSuffix("bn_scope") && $0.value == "local" }
    guard !scopes.isEmpty else { return nil }
    guard let text = Configuration.localScope(of: wanted, ranks: ranks, batch: settings.batch) else {
      throw UsageError(
        "variant \(variant.name): local scope of \(wanted) ranks cannot be had on \(ranks) ranks with --batch "
          + "\(settings.batch); should be run on \(wanted) ranks or a divisor of them")
    }
    try settings.apply(scopes.map { .init($0.key, JSON(text)) }, from: "variants.\(variant.name)")
    return "\(variant.name): local scope of \(wanted) ranks, on \(ranks) as \(text)"
  }
}
