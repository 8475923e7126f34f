import Files
import Training

/// The table of what lies in a directory, without running anything.
public enum StudyReport {
  /// - Parameter path: a study's directory or a run's.
  /// - Throws: `UsageError` where it is neither; `FileError`.
  public static func text(of path: String) throws -> String {
    let record = StudyDirectory.recordPath(path)
    if AtomicDirectory.exists(record) { return try study(path, record: record) }
    guard AtomicDirectory.exists(path + "/config.json") else {
      throw UsageError("report \(shown(path)): should be the directory of a study (study.json) or a run (config.json)")
    }
    return try run(path)
  }

  private static func study(_ path: String, record: String) throws -> String {
    let json = try RunDirectory.readObject(record)
    guard let ranks = json["ranks"]?.int, ranks >= 1 else { throw FileError(record, "lacks ranks") }
    let study = try StudyFile(name: "study", source: record, bytes: Array(json.description.utf8)).study()
    let runs = try study.runs(ranks: ranks)
    let results = try runs.map { try RunResult.read(path + "/" + $0.name) }
    let seeds = study.seeds.count
    let rows = study.variants.indices.map { Array(results[$0 * seeds..<($0 + 1) * seeds]) }
    return StudyTable(study, results: rows, ranks: ranks, notes: StudyDirectory.notes(runs)).text
  }

  /// A run as a study of one.
  private static func run(_ path: String) throws -> String {
    let json = try RunDirectory.readObject(path + "/config.json")
    var settings = try Configuration(
      json: .object((json.members ?? []).filter { !Configuration.factKeys.contains($0.key) }), from: path)
    settings.resume = .auto
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let study = Study(
      name: name, title: "run \(name)", description: "", size: .full, publishedFrom: "", randomEncoder: nil,
      recipe: json["recipe"]?.string.flatMap(Recipe.init) ?? .study, base: settings, seeds: [settings.seed],
      variants: [Study.Variant(name: name, settings: [], published: nil, localRanks: nil)])
    return StudyTable(study, results: [[try RunResult.read(path)]], ranks: json["ranks"]?.int ?? 1).text
  }
}
