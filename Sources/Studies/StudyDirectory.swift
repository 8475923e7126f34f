import Files
import Training

/// What lies in a study's directory: `study.json`, `table.md`, `table.csv` and a run directory VARIANT/seed-S a run.
enum StudyDirectory {
  static func recordPath(_ path: String) -> String { path + "/study.json" }

  /// - Throws: `RunDirectoryError` where the directory is another study's.
  static func refuseAnother(_ study: Study, _ path: String) throws {
    guard AtomicDirectory.exists(recordPath(path)) else { return }
    let there = try RunDirectory.readObject(recordPath(path))
    for (key, own) in [("name", study.name), ("size", study.size.rawValue)] where there[key]?.string != own {
      throw RunDirectoryError(
        "\(path): holds a study of another \(key): \(there[key] ?? .null), not \(JSON(own)); choose another --out")
    }
  }

  /// What a run's directory holds.
  /// - Parameter config: the config.json that the run would have.
  /// - Throws: `RunDirectoryError` where it is a run of other settings or on other images.
  static func result(of run: StudyRun, config: JSON, _ path: String) throws -> RunResult {
    let directory = path + "/" + run.name
    guard AtomicDirectory.exists(directory + "/config.json") else { return .unfinished }
    try RunDirectory.compare(directory, config, PreparedRun.binding)
    return try RunResult.read(directory)
  }

  static func notes(_ runs: [StudyRun]) -> [String] {
    var notes: [String] = []
    for note in runs.compactMap(\.note) where !notes.contains(note) { notes.append(note) }
    return notes
  }
}
