import Files
import Training

/// What `local` on a certain number of ranks is on another: the samples that share batch-norm statistics stay as many.
///
/// On fewer ranks it is `ghost:N`, on more `group:K`; the results are the same to rounding.
enum LocalScope {
  /// - Returns: nil where ranks' shares cannot be cut or joined so.
  static func text(of wanted: Int, ranks: Int, batch: Int) -> String? {
    if ranks == wanted { return "local" }
    if ranks > wanted { return ranks.isMultiple(of: wanted) ? "group:\(ranks / wanted)" : nil }
    let samples = batch / wanted
    guard batch.isMultiple(of: wanted), batch.isMultiple(of: ranks), (batch / ranks).isMultiple(of: samples) else {
      return nil
    }
    return "ghost:\(samples)"
  }

  /// Replaces `local` in the BN scopes that a variant sets.
  /// - Returns: what was replaced, for the user; nil where nothing was.
  /// - Throws: `UsageError`.
  static func resolve(in settings: inout Configuration, _ variant: Study.Variant, ranks: Int) throws -> String? {
    guard let wanted = variant.localRanks, wanted != ranks else { return nil }
    let scopes = variant.settings.filter { $0.key.hasSuffix("bn_scope") && $0.value == "local" }
    guard !scopes.isEmpty else { return nil }
    guard let text = text(of: wanted, ranks: ranks, batch: settings.batch) else {
      throw UsageError(
        "variant \(variant.name): local scope of \(wanted) ranks cannot be had on \(ranks) ranks with --batch "
          + "\(settings.batch); should be run on \(wanted) ranks or a divisor of them")
    }
    try settings.apply(scopes.map { .init($0.key, JSON(text)) }, from: "variants.\(variant.name)")
    return "\(variant.name): local scope of \(wanted) ranks, on \(ranks) as \(text)"
  }
}
