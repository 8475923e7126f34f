/// How a message about an unknown name goes on, with "; " before it: the right spelling where it is clear, the names
/// that are near where there are some, and otherwise where the names can be found.
/// - Parameters:
///   - otherwise: what to do where no name is near.
///   - display: how a message shows a name.
package func suggestion(
  for word: String, among candidates: [String], otherwise: String, display: (String) -> String = { $0 }
) -> String {
  let plain = SettingNames.plain(word)
  if let same = candidates.first(where: { SettingNames.plain($0) == plain }) { return "; should be \(display(same))" }
  if let name = nearest(to: word, among: candidates) { return "; the nearest known one is \(display(name))" }
  let related = sharingWords(with: plain, among: candidates).map(display)
  switch related.count {
  case 0: return "; \(otherwise)"
  case 1: return "; the nearest known one is \(related[0])"
  default: return "; the nearest known ones are \(related.joined(separator: ", "))"
  }
}

/// The candidate that takes the fewest edits (insert, delete, replace, swap neighbours) to become `word`, where they
/// are at most a third of its length; of equals the first. A candidate that `word` begins counts as near: `--check`
/// means `--checkpoint-every`.
public func nearest(to word: String, among candidates: [String]) -> String? {
  func distance(_ candidate: String) -> Int {
    word.count > 1 && candidate.hasPrefix(word) ? 1 : editDistance(word, candidate)
  }
  let most = max(1, max(word.count, 1) / 3)
  // One edit turns a name of one or two letters into any other.
  guard word.count > 2, let best = candidates.map({ (name: $0, edits: distance($0)) }).min(by: { $0.edits < $1.edits })
  else { return word.count == 2 ? candidates.first { $0.hasPrefix(word) } : nil }
  return best.edits <= most ? best.name : nil
}

/// The candidates that have the most of their words in common with a name, at most three of them.
private func sharingWords(with plain: String, among candidates: [String]) -> [String] {
  // Words that many names have say little of what is meant.
  let common: Set<Substring> = ["on", "max", "min", "num", "the", "of", "no", "every", "rate", "file", "path"]
  let words = Set(plain.split(separator: "-").filter { $0.count > 2 && !common.contains($0) })
  func likeness(_ candidate: String) -> Double {
    let others = Set(SettingNames.plain(candidate).split(separator: "-"))
    return Double(words.intersection(others).count) / Double(max(1, words.union(others).count))
  }
  let ranked = candidates.map { (name: $0, likeness: likeness($0)) }
  guard let best = ranked.map(\.likeness).max(), best > 0 else { return [] }
  return Array(ranked.filter { $0.likeness == best }.map(\.name).prefix(3))
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
