import Files

/// A mistake of the user: one line that names the flag or file, the value and what would be right. Exit status 2.
public struct UsageError: Error, Equatable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// The candidate that takes the fewest edits (insert, delete, replace, swap neighbours) to become `word`; of equals the
/// first. A candidate that `word` begins counts as near: `--check` means `--checkpoint-every`.
/// - Precondition: there is a candidate.
public func nearest(to word: String, among candidates: [String]) -> String {
  precondition(!candidates.isEmpty, "the nearest of no candidates")
  func distance(_ candidate: String) -> Int {
    !word.isEmpty && candidate.hasPrefix(word) ? 1 : editDistance(word, candidate)
  }
  return candidates.min { distance($0) < distance($1) }!
}

/// Optimal string alignment distance: Levenshtein's with swaps of neighbours, row by row.
private func editDistance(_ first: String, _ second: String) -> Int {
  let a = Array(first.unicodeScalars)
  let b = Array(second.unicodeScalars)
  var before: [Int] = []
  var previous = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var cost = min(previous[j] + (a[i] == b[j] ? 0 : 1), previous[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
      row.append(cost)
    }
    (before, previous) = (previous, row)
  }
  return previous[b.count]
}

/// A user's text as it may stand in a message of one line: in quotes when it would not be clear or safe without.
package func shown(_ text: String) -> String {
  let plain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && !(0x7F...0x9F).contains($0.value) && $0 != "\"" }
  return plain && !text.isEmpty ? text : JSON.quoted(text)
}
