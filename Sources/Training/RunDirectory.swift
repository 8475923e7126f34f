import Files
import Foundation

/// A run directory that cannot be used, as one line.
public struct RunDirectoryError: Error, Equatable, CustomStringConvertible {
  public let description: String
  /// Whether the user can put it right (exit status 2).
  public let isUserMistake: Bool

  public init(_ description: String, isUserMistake: Bool = true) {
    self.description = description
    self.isUserMistake = isUserMistake
  }
}

/// The directory of one run, held by rank 0 from `open` until this object goes: `config.json`, `metrics.jsonl`,
/// `checkpoints/` and `summary.json`.
public final class RunDirectory {
  /// What there is to do in the directory.
  public enum Start: Sendable {
    /// Train from step 0.
    case fresh
    /// Go on after this checkpoint.
    case resume(Checkpoint)
    /// Nothing: the run is complete; its `summary.json`.
    case finished(summary: JSON)
  }

  public let path: String
  public let start: Start
  public let checkpoints: CheckpointStore
  /// Lines that the user should see: damaged checkpoints passed over, a file system without locks.
  public let notes: [String]
  private let lock: RunLock

  public var configPath: String { path + "/config.json" }
  public var metricsPath: String { path + "/metrics.jsonl" }
  public var summaryPath: String { path + "/summary.json" }
  /// The step after which training goes on.
  public var resumeStep: Int {
    if case .resume(let checkpoint) = start { return checkpoint.step }
    return 0
  }

  /// Opens a run directory, makes it where it is missing, and decides what `policy` means for what is there. Nothing
  /// that is there is changed but leftovers of killed writers.
  ///
  /// - Parameters:
  ///   - path: the directory; those above it are made as well.
  ///   - settings: the object that `config.json` gets when the run begins.
  ///   - binding: the keys of `settings` that must be the same for a run to go on, in the order of complaint.
  ///   - policy: what `--resume` says.
  ///   - beforeFresh: called before a new run's settings are written: what it throws leaves no run behind.
  /// - Throws: `RunDirectoryError`, one line for the user: the directory is in use, not writable, of other settings,
  ///   or not as `policy` wants it, or its checkpoints are all damaged.
  public init(
    path: String, settings: JSON, binding: [String], policy: ResumePolicy, beforeFresh: () throws -> Void = {}
  ) throws {
    self.path = path
    do {
      if policy == .must, !AtomicDirectory.exists(path + "/config.json") {
        throw RunDirectoryError("\(path): --resume must finds no run here to go on with")
      }
      try AtomicDirectory.create(path)
      lock = try RunLock(directory: path)
      try AtomicDirectory.recover(in: path)
      var notes = lock.isHeld ? [] : ["\(path): this file system has no locks; take care that no other job writes here"]
      let bound = JSON.object(binding.map { .init($0, Self.inForce(settings, $0)) })
      checkpoints = try CheckpointStore(
        path: path + "/checkpoints", fingerprint: FileStamp.of(bound.description).checksum)
      if AtomicDirectory.exists(path + "/config.json") {
        try Self.compare(path, settings, binding, policy)
        (start, notes) = try Self.findStart(path, checkpoints, policy, notes)
      } else {
        try Self.refuseRemains(path)
        try beforeFresh()
        try AtomicFile.write(settings.pretty, to: path + "/config.json")
        start = .fresh
      }
      self.notes = notes
    } catch let error as FileError {
      throw RunDirectoryError(error.description, isUserMistake: error.exitStatus == ExitStatus.usage.rawValue)
    }
  }

  /// Parts of a run without its settings: nobody can say what they belong to.
  private static func refuseRemains(_ path: String) throws {
    for name in ["metrics.jsonl", "summary.json", "checkpoints"] where AtomicDirectory.exists(path + "/" + name) {
      throw RunDirectoryError("\(path): has \(name) but no config.json; choose another --out")
    }
  }

  private static func compare(_ path: String, _ settings: JSON, _ binding: [String], _ policy: ResumePolicy) throws {
    guard policy != .never else {
      throw RunDirectoryError("\(path): holds a run, and --resume never does not go on with it; choose another --out")
    }
    try compare(path, settings, binding)
  }

  /// Compares the settings of the run in a directory with those of one that would go on with it.
  /// - Throws: `RunDirectoryError` naming the first key of `binding` that differs; `FileError`.
  package static func compare(_ path: String, _ settings: JSON, _ binding: [String]) throws {
    let there = try readObject(path + "/config.json")
    for key in binding {
      let (old, new) = (inForce(there, key), inForce(settings, key))
      guard old == new else {
        if key == PreparedRun.digestKey {
          throw RunDirectoryError(
            "\(path): holds a run on other images: \(old.string ?? "unknown") there and \(new.string ?? "unknown") in the "
              + "data now; choose another --out")
        }
        throw RunDirectoryError(
          "\(path): holds a run of other settings: \(key) is \(old) there and \(new) here; choose another --out")
      }
    }
  }

  /// A setting's value in force in config.json, or a fact.
  private static func inForce(_ config: JSON, _ key: String) -> JSON {
    config["resolved"]?[key] ?? config[key] ?? .null
  }

  private static func findStart(
    _ path: String, _ checkpoints: CheckpointStore, _ policy: ResumePolicy, _ notes: [String]
  ) throws -> (Start, [String]) {
    if AtomicDirectory.exists(path + "/summary.json") {
      return (.finished(summary: try readObject(path + "/summary.json")), notes)
    }
    if let (checkpoint, passedOver) = try checkpoints.newestGood() {
      return (.resume(checkpoint), notes + passedOver.map { "passing over a checkpoint: \($0.reason)" })
    }
    guard policy != .must else {
      throw RunDirectoryError("\(path): --resume must finds a run without a checkpoint; --resume auto starts it anew")
    }
    return (.fresh, notes + ["\(path): the run here stopped before its first checkpoint; it starts anew"])
  }

  package static func readObject(_ path: String) throws -> JSON {
    let file = try OpenFile(reading: path)
    var bytes = [UInt8](repeating: 0, count: try file.size())
    try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    let json: JSON
    do { json = try JSON.parse(bytes) } catch { throw FileError(path, "\(error)") }
    guard json.members != nil else { throw FileError(path, "is not a JSON object") }
    return json
  }

  /// Marks the run as finished; `summary` is an object.
  /// - Throws: `FileError`.
  public func writeSummary(_ summary: JSON) throws {
    try AtomicFile.write(summary.pretty, to: summaryPath)
  }

  /// `runs/byol-shapes-20261123-142501`: method, the last part of the data's path and the local time; a number at the
  /// end where that is taken.
  public static func defaultPath(
    method: String, data: String, at date: Date = Date(), in runs: String = "runs", timeZone: TimeZone = .current
  ) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = timeZone
    formatter.dateFormat = "yyyyMMdd-HHmmss"
    let last = data.split(separator: "/").last.map(String.init) ?? "data"
    let plain = last.map {
      $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == ".") ? $0 : "-"
    }
    let base = "\(runs)/\(method)-\(String(plain))-\(formatter.string(from: date))"
    var (name, number) = (base, 2)
    while AtomicDirectory.exists(name) { (name, number) = ("\(base)-\(number)", number + 1) }
    return name
  }
}
