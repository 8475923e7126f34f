import Collectives
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

  public var configPath: String { path + "/" + Self.kind.record }
  public var metricsPath: String { path + "/metrics.jsonl" }
  public var summaryPath: String { path + "/summary.json" }
  /// The step after which training goes on.
  public var resumeStep: Int {
    if case .resume(let checkpoint) = start { return checkpoint.step }
    return 0
  }

  /// Opens a run directory, makes it where it is missing, and decides what `policy` means for what is there.
  ///
  /// Nothing is made, removed or renamed before the folder is known to be a run's, empty or absent; leftovers of killed
  /// writers go when nothing is left to refuse. A directory that was made and then refused is removed again.
  ///
  /// - Parameters:
  ///   - path: the directory; those above it are made as well.
  ///   - settings: the object that `config.json` gets when the run begins.
  ///   - binding: the keys of `settings` that must be the same for a run to go on, in the order of complaint.
  ///   - policy: what `--resume` says.
  ///   - beforeFresh: called before a new run's settings are written: what it throws leaves no run behind.
  /// - Throws: `RunDirectoryError`, one line for the user: the directory is in use, not writable, of other settings,
  ///   of something else, or not as `policy` wants it, or its checkpoints are all damaged.
  public init(
    path: String, settings: JSON, binding: [String], policy: ResumePolicy, beforeFresh: () throws -> Void = {}
  ) throws {
    self.path = path
    let bound = JSON.object(binding.map { .init($0, Self.inForce(settings, $0)) })
    checkpoints = CheckpointStore(path: path + "/checkpoints", fingerprint: FileStamp.of(bound.description).checksum)
    do {
      try Self.decide(path, settings, binding, policy)
      (lock, start, notes) = try Self.hold(path, made: try AtomicDirectory.create(path)) { [checkpoints] lock in
        // Again: another job may have begun or ended since.
        let isFresh = try Self.decide(path, settings, binding, policy)
        let notes =
          lock.isHeld ? [] : ["\(path): this file system has no locks; take care that no other job writes here"]
        if isFresh {
          try beforeFresh()
          try AtomicDirectory.recover(in: path, owns: Self.kind.files.contains)
          try AtomicFile.write(settings.pretty, to: path + "/" + Self.kind.record)
          return (lock, .fresh, notes)
        }
        let (start, found) = try Self.findStart(path, checkpoints, policy, notes)
        try AtomicDirectory.recover(in: path, owns: Self.kind.files.contains)
        try checkpoints.recover()
        return (lock, start, found)
      }
    } catch let error as FileError {
      throw RunDirectoryError(error.description, isUserMistake: error.exitStatus == ExitStatus.usage.rawValue)
    }
  }

  /// Takes a directory's lock and does `body`; when that throws, the directories that were `made` go again.
  private static func hold<R>(_ path: String, made: [String], _ body: (RunLock) throws -> R) throws -> R {
    do { return try body(try RunLock(directory: path)) } catch {
      AtomicDirectory.removeEmpty(made)
      throw error
    }
  }

  /// How a run's folder is recognised.
  package static let kind = RunFolder.Kind(
    name: "run", record: "config.json",
    files: ["config.json", "summary.json", "diverged.json", "failed.json", "report.html"],
    parts: ["metrics.jsonl", "summary.json", "checkpoints"],
    isOwn: { $0["version"]?.string != nil && $0["recipe"]?.string != nil && $0["ranks"]?.int != nil })

  /// Refuses what can be refused without the lock.
  /// - Returns: whether a new run begins.
  @discardableResult
  private static func decide(_ path: String, _ settings: JSON, _ binding: [String], _ policy: ResumePolicy) throws
    -> Bool
  {
    guard case .ours = try RunFolder(path, as: kind) else {
      guard policy != .must else {
        throw RunDirectoryError("\(path): --resume must finds no run here to go on with")
      }
      return true
    }
    guard policy != .never else {
      throw RunDirectoryError("\(path): holds a run, and --resume never does not go on with it; choose another --out")
    }
    try compare(path, settings, binding)
    return false
  }

  /// Compares the settings of the run in a directory with those of one that would go on with it.
  /// - Throws: `RunDirectoryError` naming the first key of `binding` that differs; `FileError`.
  package static func compare(_ path: String, _ settings: JSON, _ binding: [String]) throws {
    let there = try readObject(path + "/config.json")
    for key in binding {
      let (old, new) = (inForce(there, key), inForce(settings, key))
      guard old == new else {
        if key == PreparedRun.digestKey {
          let fault =
            old == .null
            ? "holds a run of an earlier version, which did not note its images"
            : "holds a run on other images: \(old.string ?? "unknown") there and \(new.string ?? "unknown") in the data now"
          throw RunDirectoryError("\(path): \(fault); choose another --out")
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

  package static func readObject(_ path: String) throws -> JSON { try JSON.readObject(path) }

  /// Finds out whether the directory is still the one that was opened.
  /// - Parameter step: finished steps.
  /// - Throws: `RunDirectoryLostError`; `FileError` where the system does not say.
  package func check(step: Int) throws {
    let isConfigured = AtomicDirectory.exists(configPath)
    // A missing file of a removed directory is no second fault.
    guard let loss = try lock.loss() ?? (isConfigured ? nil : "its \(Self.kind.record) was removed") else { return }
    throw RunDirectoryLostError(path: path, loss: loss, step: step, isSaved: false)
  }

  /// Marks the run as finished; `summary` is an object.
  /// - Throws: `FileError`, `RunDirectoryLostError`.
  public func writeSummary(_ summary: JSON) throws {
    try check(step: summary["steps"]?.int ?? resumeStep)
    try AtomicFile.write(summary.pretty, to: summaryPath)
  }

  /// Makes a new directory of its own, whoever else makes one at the same time.
  ///
  /// `runs/byol-shapes-20261123-142501`: method, the last part of the data's path and the local time; a number at the
  /// end where that is taken.
  /// - Returns: its path.
  /// - Throws: `FileError`.
  public static func makeDefault(
    method: String, data: String, at date: Date = Date(), in runs: String = "runs", timeZone: TimeZone = .current
  ) throws -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = timeZone
    formatter.dateFormat = "yyyyMMdd-HHmmss"
    let last = data.split(separator: "/").last.map(String.init) ?? "data"
    let plain = last.prefix(100).map {
      $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == ".") ? $0 : "-"
    }
    let base = "\(runs)/\(method)-\(String(plain))-\(formatter.string(from: date))"
    try AtomicDirectory.create(runs)
    var (name, number) = (base, 2)
    while try !AtomicDirectory.createExclusively(name) { (name, number) = ("\(base)-\(number)", number + 1) }
    return name
  }
}

/// A run's directory, or a file of it, that is no longer the one that the run holds: going on would train for nothing.
public struct RunDirectoryLostError: StatusError, Equatable, CustomStringConvertible {
  public let path: String
  /// What happened: "was removed".
  public let loss: String
  /// Finished steps when it was seen.
  public let step: Int
  /// Whether a checkpoint of that step is complete all the same.
  public let isSaved: Bool

  public var exitStatus: Int32 { ExitStatus.failed.rawValue }
  /// Only the user knows whether what is there now is to go on with.
  public var isPermanent: Bool { true }

  public var description: String {
    "\(path): \(loss) during the run, seen at step \(step); the run ends "
      + (isSaved ? "after a complete checkpoint, from which the same command goes on" : "there without a checkpoint")
  }
}
