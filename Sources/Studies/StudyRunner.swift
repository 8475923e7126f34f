import Collectives
import Files
import Training

/// How a study ended.
public enum StudyOutcome: Equatable, Sendable {
  case finished
  /// All runs were begun, and these, by name, ended with an error that is not their settings' result.
  case failed([String])
  /// A signal came: after a complete checkpoint of `step` of the run `run`, or between two runs (nil).
  case stopped(run: String?, step: Int?)
}

/// Takes the runs of a study one after the other, each an ordinary run on all ranks, and keeps its tables up to date.
///
/// A study that was stopped or killed goes on where it was: finished runs are not run again, an unfinished one goes on
/// after its last checkpoint.
public final class StudyRunner {
  private let study: Study
  private let runs: [StudyRun]
  private let path: String
  private let world: Communicator
  private let show: (String) -> Void
  private let lock: RunLock?
  /// By run, as the directories say; rank 0's is the one that counts.
  private var results: [RunResult]
  /// Called with each run's trainer before it starts; for tests, which stop or kill a run by it.
  package var beforeRun: ((StudyRun, Trainer) -> Void)?

  /// Opens the study's directory and finds what is there: runs of other settings are found here, before any training.
  /// Collective.
  /// - Parameters:
  ///   - path: the study's directory, which is made where it is missing.
  ///   - show: takes what rank 0 prints.
  /// - Throws: `SharedError` with the reason on every rank; `CollectiveError`.
  public init(
    _ study: Study, path: String, world: Communicator, show: @escaping (String) -> Void = writeToStandardOutput
  ) throws {
    self.study = study
    self.path = path
    self.world = world
    self.show = show
    let runs = try world.together { try study.runs(ranks: world.size) }
    self.runs = runs
    try world.together { if world.rank == 0 { try StudyDirectory.refuseOthers(study, path) } }
    let configs = try runs.map { try Self.prepare($0, study, path, world) }
    var lock: RunLock?
    var found: [RunResult] = []
    let ends = try world.decideOnRoot {
      lock = try StudyDirectory.open(study, ranks: world.size, path) {
        found = try zip(runs, configs).map { try StudyDirectory.result(of: $0, config: $1, path) }
      }
      return found.map { $0.isOver ? 1 : 0 }
    }
    self.lock = lock
    // The other ranks need not know figures, only which runs are over.
    results = found.isEmpty ? ends.map { $0 == 0 ? .unfinished : .diverged(step: 0) } : found
  }

  /// Checks a run against its data before any other has begun. Collective.
  /// - Returns: its config.json.
  /// - Throws: `SharedError` that names the variant.
  private static func prepare(
    _ run: StudyRun, _ study: Study, _ path: String, _ world: Communicator
  ) throws -> JSON {
    do {
      let prepared = try PreparedRun(request(run, study), world: world)
      try world.together {
        guard world.rank == 0, !AtomicDirectory.exists("\(path)/\(run.name)/config.json") else { return }
        try prepared.checkInit()
      }
      return prepared.json
    } catch let error as SharedError {
      // The same on all ranks.
      throw UsageError("variant \(study.variants[run.variant].name): \(error.message)")
    }
  }

  private static func request(_ run: StudyRun, _ study: Study) -> RunRequest {
    var request = RunRequest(configuration: run.configuration, recipe: study.recipe)
    request.configuration.resume = .auto
    return request
  }

  /// Trains what is left to train. Collective.
  /// - Throws: what ends a study: `CollectiveError`, and failures that would meet every other run too, such as a full disk.
  public func run() throws -> StudyOutcome {
    announce()
    try writeTables()
    var failed: [String] = []
    for (index, run) in runs.enumerated() where !results[index].isOver {
      // Before and between runs a signal has no step to ride on.
      if try isAskedToStop() { return .stopped(run: nil, step: nil) }
      say("run \(index + 1) of \(runs.count): \(run.name)\(Self.list(run.differences))")
      do {
        if case .stopped(let step)? = try train(run) { return .stopped(run: run.name, step: step) }
        results[index] = try result(of: run)
      } catch let error as SharedError where !error.isPermanent {
        try note(error, of: run)
        results[index] = .failed(reason: error.message)
        failed.append(run.name)
      }
      try writeTables()
    }
    if world.rank == 0 { show("\n" + table.text + "\n\(path)/table.md and table.csv have this table.\n") }
    return failed.isEmpty ? .finished : .failed(failed)
  }

  /// Writes down what ended a run; the study goes on with the next. Collective.
  private func note(_ error: SharedError, of run: StudyRun) throws {
    try world.together {
      let directory = directory(run)
      guard world.rank == 0, AtomicDirectory.exists(directory) else { return }
      try RunResult.write(failure: error.message, to: directory)
    }
    say("\(run.name) failed: \(error)")
  }

  /// One run from its start or checkpoint to its end. What it holds is let go on return.
  /// - Returns: nil where it diverged.
  private func train(_ run: StudyRun) throws -> RunOutcome? {
    var request = Self.request(run, study)
    request.configuration.out = directory(run)
    PeakMemory.reset()
    let trainer = try Trainer(request, world: world, show: show)
    trainer.announcesSettings = false
    beforeRun?(run, trainer)
    do { return try trainer.run() } catch let error as DivergedError {
      // Every rank is here: the loss is the same on all of them.
      try world.together { if world.rank == 0 { try RunResult.write(error, to: directory(run)) } }
      say("\(run.name) diverged: \(error)")
      return nil
    }
  }

  private func result(of run: StudyRun) throws -> RunResult {
    var result = RunResult.diverged(step: 0)
    try world.together {
      guard world.rank == 0 else { return }
      result = try RunResult.read(directory(run))
      guard result != .unfinished else { throw FileError(directory(run), "has no summary after its run") }
    }
    return result
  }

  private func isAskedToStop() throws -> Bool {
    try world.allReduce(Int32(StopSignals.requested == nil ? 0 : 1), .max) != 0
  }

  private func directory(_ run: StudyRun) -> String { path + "/" + run.name }

  // MARK: - What a user sees

  private var table: StudyTable {
    let seeds = study.seeds.count
    let rows = study.variants.indices.map { Array(results[$0 * seeds..<($0 + 1) * seeds]) }
    return StudyTable(study, results: rows, ranks: world.size, notes: StudyDirectory.notes(runs))
  }

  /// Both files after each run, so that what is known so far can be read at any time. Collective.
  private func writeTables() throws {
    try world.together {
      guard world.rank == 0 else { return }
      try StudyDirectory.check(lock, path)
      try AtomicFile.write(table.markdown, to: path + "/table.md")
      try AtomicFile.write(table.csv, to: path + "/table.csv")
    }
  }

  private func announce() {
    let over = results.count(where: \.isOver)
    say(RunRequest(configuration: study.base, recipe: study.recipe).text(ranks: world.size))
    say(
      "study \(study.name)\(study.size == .quick ? " --quick" : ""): \(study.title); \(study.variants.count) variants "
        + "x \(study.seeds.count) seeds; study directory \(path)")
    for note in StudyDirectory.notes(runs) { say(note) }
    if over > 0 { say("\(over) of \(runs.count) runs are over already") }
  }

  private func say(_ line: String) { if world.rank == 0 { show(line + "\n") } }

  static func list(_ differences: [String]) -> String {
    differences.isEmpty ? "" : "  " + differences.joined(separator: " ")
  }
}
