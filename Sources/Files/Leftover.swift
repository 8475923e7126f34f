/// A leftover of a killed writer of `AtomicFile` or `AtomicDirectory` beside an entry, by its exact name.
public struct Leftover: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// `.NAME.partial-4711`: not complete; the number is the writing process's.
    case partial
    /// `.NAME.replaced`: what was there before, while its successor was being put in place.
    case replaced
  }

  /// The entry's own name.
  public let name: String
  public let kind: Kind

  private static let partialMark = ".partial-"
  private static let replacedMark = ".replaced"

  /// - Returns: nil for any other name.
  public init?(_ entry: String) {
    guard entry.hasPrefix(".") else { return nil }
    let rest = entry.dropFirst()
    if rest.hasSuffix(Self.replacedMark) {
      (name, kind) = (String(rest.dropLast(Self.replacedMark.count)), .replaced)
    } else {
      let digits = rest.reversed().prefix { $0.isASCII && $0.isNumber }.count
      let before = rest.dropLast(digits)
      guard (1...10).contains(digits), rest.dropFirst(before.count).first != "0", before.hasSuffix(Self.partialMark)
      else { return nil }
      (name, kind) = (String(before.dropLast(Self.partialMark.count)), .partial)
    }
    guard !name.isEmpty else { return nil }
  }

  static func partialName(of name: String, process: Int32) -> String { ".\(name)\(partialMark)\(process)" }

  static func replacedName(of name: String) -> String { ".\(name)\(replacedMark)" }
}
