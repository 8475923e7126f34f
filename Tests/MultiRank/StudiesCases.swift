import Collectives
import Files
import Foundation
import Studies
import Training

/// Studies on the ranks of a case.
var studiesCases: [MultiRankCase] {
  [
    MultiRankCase(name: "studies: stopped, killed and started again, it ends with the same tables", limit: 200) {
      communicator in
      try withRuns(communicator) { try checkStudy($0, communicator) }
    },
    MultiRankCase(name: "studies: a run that diverges is a result on every rank", ranks: .atLeast(2)) { communicator in
      try withRuns(communicator) { runs in
        let study = try study(
          runs,
          #"{"name": "wild", "settings": {"encoder_norm": "none", "lr": 1000, "warmup_steps": 0, "steps": 40}}"#)
        var begun = try runs.finish(study, "s", communicator)
        try expectEqual(begun, ["wild/seed-0", "wild/seed-5", "bn/seed-0", "bn/seed-5"], "the runs")
        begun = try runs.finish(study, "s", communicator)
        try expectEqual(begun, [], "runs of the second start")
        try runs.onRoot(communicator) {
          let rows = try runs.table("s")
          try expectEqual(Array(rows[1][1...4]), ["2", "2", "0", "2"], "the wild row's counts")
          try expectEqual(Array(rows[2][1...4]), ["2", "2", "0", "0"], "the tame row's counts")
        }
      }
    },
    MultiRankCase(name: "studies: what is in the way is every rank's error", ranks: .atLeast(2)) { communicator in
      try withRuns(communicator) { runs in
        var study = try study(runs)
        try runs.finish(study, "s", communicator)
        study.base.lr = 0.5
        let error = try expectThrows(SharedError.self) { _ = try runs.runner(study, "s", communicator) }
        try expectEqual(error.exitStatus, 2, "the status")
        try expect(error.message.contains(runs("s/bn/seed-0") + ": holds a run of other settings"), error.message)
      }
    },
  ]
}

/// A rank's death, as far as a study's directory can tell.
private struct Killed: Error {}

private func study(_ runs: Runs, _ variant: String? = nil) throws -> Study {
  let first = variant.map { $0 + ", " } ?? ""
  let second = variant == nil ? #", {"name": "none", "settings": {"projector_norm": "none", "bn_scope": "local"}}"# : ""
  let text = """
    {"base": {"recipe": "quick", "width": 4, "hidden": 16, "dim": 8, "batch": 24, "steps": 6, "lr": 0.02,
     "warmup_steps": 2, "ema": 0.9, "checkpoint_every": 2, "threads": 1, "image_size": 32,
     "projector_norm": "\(variant == nil ? "bn" : "none")", "predictor_norm": "none"},
     "seeds": [0, 5], "variants": [\(first){"name": "bn"}\(second)]}
    """
  return try StudyFile(name: "tiny", source: "tiny", bytes: Array(text.utf8)).study { $0.data = runs("data") }
}

extension Runs {
  fileprivate func runner(_ study: Study, _ name: String, _ world: Communicator) throws -> StudyRunner {
    try StudyRunner(study, path: self(name), world: world) { _ in }
  }

  /// - Returns: the runs that were trained.
  @discardableResult
  fileprivate func finish(_ study: Study, _ name: String, _ world: Communicator) throws -> [String] {
    let runner = try runner(study, name, world)
    var begun: [String] = []
    runner.beforeRun = { run, _ in begun.append(run.name) }
    try expectEqual(try runner.run(), .finished, "\(name): the outcome")
    return begun
  }

  /// table.csv without the columns of speed, which are the last two.
  fileprivate func table(_ name: String) throws -> [[String]] {
    try String(contentsOfFile: self(name + "/table.csv"), encoding: .utf8).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).dropLast(2).map(String.init)
    }
  }
}

private func checkStudy(_ runs: Runs, _ communicator: Communicator) throws {
  let study = try study(runs)
  StopSignals.install()
  defer { StopSignals.reset() }
  try runs.finish(study, "whole", communicator)

  // The signal comes to one rank alone: in a run, and then so late that the run ends.
  let (last, asked) = (communicator.size - 1, [("bn/seed-0", 3, "bn/seed-0"), ("bn/seed-5", 6, nil as String?)])
  for (name, step, stopped) in asked {
    // In a scope of its own: a runner holds the study's directory as long as it is there.
    do {
      let runner = try runs.runner(study, "s", communicator)
      runner.beforeRun = { run, trainer in
        trainer.afterStep = { if run.name == name, $0 == step, communicator.rank == last { raise(SIGUSR1) } }
      }
      try expectEqual(try runner.run(), .stopped(run: stopped, step: stopped == nil ? nil : step + 1), name)
    }
    StopSignals.reset()
  }
  do {
    let runner = try runs.runner(study, "s", communicator)
    runner.beforeRun = { run, trainer in trainer.afterStep = { if $0 == 5 { throw Killed() } } }
    try expectThrows(Killed.self) { try runner.run() }
  }
  try expectEqual(try runs.finish(study, "s", communicator), ["none/seed-0", "none/seed-5"], "the runs left")

  try runs.onRoot(communicator) {
    try expectEqual(try runs.table("s"), try runs.table("whole"), "table.csv")
    for run in ["bn/seed-0", "bn/seed-5", "none/seed-0", "none/seed-5"] {
      try expectEqual(try runs.lines("s/" + run), try runs.lines("whole/" + run), "\(run): metrics.jsonl")
      for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        try runs.expectSameBytes("s/" + run, "whole/" + run, file: file, step: 6)
      }
    }
  }
}
