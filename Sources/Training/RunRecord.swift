import Collectives
import Files
import Foundation
import Methods

/// How the run of an output directory starts, as all ranks are told by rank 0.
struct RunStart {
  enum Kind: String { case fresh, resume, finished }
  let kind: Kind
  let path: String
  let step: Int
  /// The checkpoint's own values, or the finished run's summary.
  let state: JSON

  init(kind: Kind, path: String, step: Int, state: JSON) {
    self.kind = kind
    self.path = path
    self.step = step
    self.state = state
  }

  init(bytes: [UInt8]) throws {
    let json = try JSON.parse(bytes)
    guard let kind = json["kind"]?.string.flatMap(Kind.init(rawValue:)), let path = json["path"]?.string,
      let step = json["step"]?.int, let state = json["state"]
    else { throw UsageError("rank 0 sent a start that is none") }
    self.init(kind: kind, path: path, step: step, state: state)
  }

  var bytes: [UInt8] {
    let json: JSON = ["kind": JSON(kind.rawValue), "path": JSON(path), "step": JSON(step), "state": state]
    return Array(json.description.utf8)
  }
}

/// The run's files and what it shows: rank 0's alone.
final class RunRecord {
  let directory: RunDirectory
  /// Nil for a finished run, whose files stay as they are.
  private let metrics: MetricsLog?
  let display: ProgressDisplay
  private let keep: Int
  let start: RunStart

  /// Opens the run directory, before anything is computed.
  /// - Parameter show: takes what is printed.
  /// - Throws: `RunDirectoryError`, `FileError`; `ModelFileError` for starting weights that do not fit.
  init(_ run: PreparedRun, show: @escaping (String) -> Void) throws {
    let settings = run.settings
    let path =
      try settings.out ?? RunDirectory.makeDefault(method: settings.method.rawValue, data: settings.data)
    do {
      directory = try RunDirectory(
        path: path, settings: run.json, binding: PreparedRun.binding, policy: settings.resume,
        beforeFresh: run.checkInit)
    } catch {
      // One that was made just now; it stays where something is in it.
      if settings.out == nil { AtomicDirectory.removeEmpty([path]) }
      throw error
    }
    keep = settings.keep
    switch directory.start {
    case .fresh: start = RunStart(kind: .fresh, path: path, step: 0, state: .null)
    case .resume(let checkpoint):
      if let then = checkpoint.state["ranks"]?.int {
        try settings.validateScopes(ranksThen: then, now: run.ranks, source: "this run", offersSame: false)
      }
      start = RunStart(kind: .resume, path: path, step: checkpoint.step, state: checkpoint.state)
    case .finished(let summary):
      start = RunStart(kind: .finished, path: path, step: run.totalSteps, state: summary)
    }
    metrics =
      if case .finished = directory.start {
        nil
      } else {
        try MetricsLog(path: directory.metricsPath, resumeAt: directory.resumeStep)
      }
    display = ProgressDisplay(every: settings.logEvery, startStep: start.step, write: show)
  }

  func log(step: Int, _ values: [(String, JSON)]) throws { try metrics?.append(step: step, values) }

  /// The lines of the resumed step, so that a probe that was made is not made again.
  var linesOfResumedStep: [JSON] { metrics?.linesOfResumedStep ?? [] }

  /// Lines that the user should see.
  var notes: [String] { directory.notes + (metrics?.notes ?? []) }

  func checkpoint(step: Int, files: [CheckpointStore.Contents], state: JSON) throws {
    try directory.check(step: step)
    try metrics?.sync()
    try directory.checkpoints.write(step: step, files: files, state: state)
    try directory.checkpoints.prune(keep: keep)
    // After the checkpoint, from which the same command goes on with a new log.
    if let loss = try metrics?.loss() {
      throw RunDirectoryLostError(path: directory.path, loss: loss, step: step, isSaved: true)
    }
  }
}
