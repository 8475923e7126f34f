import Collectives
import Files
import Training

/// What lies in a study's directory: `study.json`, `table.md`, `table.csv` and a run directory VARIANT/seed-S a run.
enum StudyDirectory {
  static func recordPath(_ path: String) -> String { path + "/" + kind.record }

  /// How a study's folder is recognised.
  static let kind = RunFolder.Kind(
    name: "study", record: "study.json", files: ["study.json", "table.md", "table.csv"],
    parts: ["table.md", "table.csv"],
    isOwn: { $0["version"]?.string != nil && $0["variants"]?.array != nil && $0["ranks"]?.int != nil })

  /// Takes a study's directory, makes it where it is missing, and leaves its record there.
  ///
  /// Nothing is made, removed or renamed before the folder is known to be the study's, empty or absent; leftovers of
  /// killed writers go when nothing is left to refuse. A directory that was made and then refused is removed again.
  /// - Parameter findRuns: looks at what is there of the study's runs; what it throws refuses the directory.
  /// - Returns: the lock that keeps other jobs out.
  /// - Throws: `RunDirectoryError`, `FileError`, what `findRuns` throws.
  static func open(_ study: Study, ranks: Int, _ path: String, findRuns: () throws -> Void) throws -> RunLock {
    func refuse() throws {
      try refuseOthers(study, path)
      try findRuns()
    }
    try refuse()
    let made = try AtomicDirectory.create(path)
    do {
      let lock = try RunLock(directory: path)
      // Again: another job may have begun or ended since.
      try refuse()
      try AtomicDirectory.recover(in: path, owns: kind.files.contains)
      try AtomicFile.write(study.record(ranks: ranks).pretty, to: recordPath(path))
      return lock
    } catch {
      AtomicDirectory.removeEmpty(made)
      throw error
    }
  }

  /// - Throws: `RunDirectoryError` where the directory is another study's, or something else than a study's; `FileError`.
  static func refuseOthers(_ study: Study, _ path: String) throws {
    if case .ours = try RunFolder(path, as: kind) { try refuseAnother(study, path) }
  }

  /// Finds out whether the directory is still the one that was opened.
  /// - Throws: `StudyDirectoryLostError`; `FileError` where the system does not say.
  static func check(_ lock: RunLock?, _ path: String) throws {
    let isRecorded = AtomicDirectory.exists(recordPath(path))
    guard let loss = try lock?.loss() ?? (isRecorded ? nil : "its \(kind.record) was removed") else { return }
    throw StudyDirectoryLostError(path: path, loss: loss)
  }

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
  /// - Throws: `RunDirectoryError` where it is a run of other settings or on other images, or something else than a run.
  static func result(of run: StudyRun, config: JSON, _ path: String) throws -> RunResult {
    let directory = path + "/" + run.name
    guard case .ours = try RunFolder(directory, as: RunDirectory.kind) else { return .unfinished }
    try RunDirectory.compare(directory, config, PreparedRun.binding)
    return try RunResult.read(directory)
  }

  static func notes(_ runs: [StudyRun]) -> [String] {
    var notes: [String] = []
    for note in runs.compactMap(\.note) where !notes.contains(note) { notes.append(note) }
    return notes
  }
}

/// A study's directory that is no longer the one that the study holds.
struct StudyDirectoryLostError: StatusError, CustomStringConvertible {
  let path: String
  /// What happened: "was removed".
  let loss: String

  var exitStatus: Int32 { ExitStatus.failed.rawValue }
  /// Only the user knows whether what is there now is to go on with.
  var isPermanent: Bool { true }

  var description: String { "\(path): \(loss) during the study; the study ends there" }
}
