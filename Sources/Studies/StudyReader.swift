import Files
import Training

/// An object of a study's file and its place there: what is read from it is of the right kind, or an error that names
/// file, key and value.
struct StudyReader {
  private let json: JSON
  private let source: String
  /// The keys that lead here, `quick.base`; empty at the top.
  private let path: String

  init(_ json: JSON, _ source: String, path: String = "") {
    self.json = json
    self.source = source
    self.path = path
  }

  var empty: StudyReader { StudyReader(.object([]), source, path: path) }

  /// The same object under a better name.
  func at(_ path: String) -> StudyReader { StudyReader(json, source, path: path) }

  /// File and keys as messages name them.
  func place(_ key: String) -> String { source + ":" + (path.isEmpty ? key : path + "." + key) }

  func fault(_ reason: String) -> UsageError {
    UsageError("\(shown(path.isEmpty ? source : source + ":" + path)): \(reason)")
  }

  func wrong(_ key: String, _ value: JSON, _ right: String) -> UsageError {
    UsageError("\(shown(place(key))) \(value): should be \(right)")
  }

  /// The object's members, all of known keys.
  func members(keys: [String]) throws -> [JSON.Member] {
    guard let members = json.members else { throw fault("should be a JSON object") }
    for member in members where !keys.contains(member.key) {
      let right = suggestion(
        for: member.key, among: keys, otherwise: "should be one of \(keys.joined(separator: ", "))")
      throw fault("unknown key \(shown(member.key))\(right)")
    }
    return members
  }

  func string(_ key: String) throws -> String? {
    guard let value = json[key] else { return nil }
    guard let text = value.string else { throw wrong(key, value, "a text") }
    return text
  }

  func strings(_ key: String) throws -> [String]? {
    guard let value = json[key] else { return nil }
    guard let list = value.array, !list.isEmpty, list.allSatisfy({ $0.string != nil }) else {
      throw wrong(key, value, "a list of texts")
    }
    return list.compactMap(\.string)
  }

  func count(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let value = json[key] else { return nil }
    guard let count = value.int, range.contains(count) else {
      throw wrong(key, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return count
  }

  func object(_ key: String, keys: [String]) throws -> StudyReader? {
    guard let value = json[key] else { return nil }
    let reader = StudyReader(value, source, path: path.isEmpty ? key : path + "." + key)
    _ = try reader.members(keys: keys)
    return reader
  }

  func objects(_ key: String, keys: [String]) throws -> [StudyReader] {
    guard let value = json[key] else { return [] }
    guard let list = value.array else { throw wrong(key, value, "a list of objects") }
    return try list.enumerated().map { index, item in
      let reader = StudyReader(item, source, path: "\(key)[\(index)]")
      _ = try reader.members(keys: keys)
      return reader
    }
  }

  /// Settings of runs; the keys are checked where they are applied, but for those that a study sets itself.
  func settings(_ key: String, allowing facts: [String] = []) throws -> [JSON.Member] {
    guard let value = json[key] else { return [] }
    guard let members = value.members else { throw wrong(key, value, "an object of settings") }
    for member in members {
      if let instead = Study.ownSettings[member.key] {
        throw UsageError("\(shown(place(key))): \(member.key) is no setting of a study; \(instead)")
      }
      if Configuration.factKeys.contains(member.key), !facts.contains(member.key) {
        throw UsageError("\(shown(place(key))): \(member.key) is no setting; should be left out")
      }
    }
    return members
  }

  /// `seeds`: how many, from 0, or which.
  func seeds() throws -> [UInt64]? {
    guard let value = json["seeds"] else { return nil }
    if let count = value.int, (1...Seeds.most).contains(count) { return Seeds.first(count) }
    let list = (value.array ?? []).compactMap(\.uint64)
    guard !list.isEmpty, list.count == value.array?.count, list.count <= Seeds.most, Set(list).count == list.count
    else { throw wrong("seeds", value, Seeds.expectation) }
    return list
  }

  /// `published`: the accuracy in percent alone, or an object of figures.
  func published() throws -> Published? {
    guard let value = json["published"] else { return nil }
    if let accuracy = value.double { return Published(probeAccuracy: accuracy) }
    guard value.members != nil,
      let object = try object("published", keys: ["probe_accuracy", "positive_cosine", "negative_cosine"])
    else { throw wrong("published", value, "an accuracy in percent, or an object of figures") }
    func number(_ key: String) throws -> Double? {
      guard let value = object.json[key] else { return nil }
      guard let number = value.double else { throw object.wrong(key, value, "a number") }
      return number
    }
    return Published(
      probeAccuracy: try number("probe_accuracy"), positiveCosine: try number("positive_cosine"),
      negativeCosine: try number("negative_cosine"))
  }
}

/// The seeds of a study.
public enum Seeds {
  static let most = 1000
  public static let expectation = "a number of seeds from 1 to \(most), or a list of different seeds"

  static func first(_ count: Int) -> [UInt64] { (0..<count).map { UInt64($0) } }

  /// What `--seeds` says: `3` is 0, 1 and 2; `5,7` is these two, `5,` this one.
  /// - Throws: `UsageError`.
  public static func parse(_ text: String) throws -> [UInt64] {
    let wrong = UsageError("--seeds \(shown(text)): should be \(expectation), 5,7")
    if let count = Int(text) {
      guard (1...most).contains(count) else { throw wrong }
      return first(count)
    }
    let parts = (text.hasSuffix(",") ? text.dropLast() : text[...]).split(
      separator: ",", omittingEmptySubsequences: false)
    let seeds = parts.compactMap { UInt64($0) }
    guard text.contains(","), seeds.count == parts.count, seeds.count <= most, Set(seeds).count == seeds.count else {
      throw wrong
    }
    return seeds
  }
}
