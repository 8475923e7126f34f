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
    // The data's own size, and a queue that it limits, are in a run's file as numbers: who they are compares when the
    // data is open.
    let resolved = run.configuration.withMethodResolved(samples: nil)
    var open: Set<String> = []
    if resolved.imageSize == 0 { open.insert("image_size") }
    if run.configuration.queue == nil, let queue = resolved.queue, queue > 0 { open.insert("queue") }
    let binding = Configuration.settings.filter(\.shapesResults).map(\.key).filter { !open.contains($0) }
    try RunDirectory.compare(directory, resolved.json, binding)
    let result = try RunResult.read(directory)
    if !open.isEmpty, case .finished = result { return .unfinished }
    return result
  }

  static func notes(_ runs: [StudyRun]) -> [String] {
    var notes: [String] = []
    for note in runs.compactMap(\.note) where !notes.contains(note) { notes.append(note) }
    return notes
  }
}
