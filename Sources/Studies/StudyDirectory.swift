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
  /// - Throws: `RunDirectoryError` where it is a run of other settings.
  static func result(of run: StudyRun, _ path: String) throws -> RunResult {
    let directory = path + "/" + run.name
    guard AtomicDirectory.exists(directory + "/config.json") else { return .unfinished }
    // The data's own size is in a run's file as pixels: who it is compares when the data is open.
    let isOpen = run.configuration.imageSize == 0
    let binding = Configuration.settings.filter(\.shapesResults).map(\.key).filter { !(isOpen && $0 == "image_size") }
    try RunDirectory.compare(directory, run.configuration.json, binding)
    let result = try RunResult.read(directory)
    if isOpen, case .finished = result { return .unfinished }
    return result
  }

  static func notes(_ runs: [StudyRun]) -> [String] {
    var notes: [String] = []
    for note in runs.compactMap(\.note) where !notes.contains(note) { notes.append(note) }
    return notes
  }
}
