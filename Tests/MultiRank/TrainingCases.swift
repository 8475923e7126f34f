import Collectives
import Files
import Foundation
import Methods
import NetworkTesting
import Training

/// Whole runs of the trainer on the ranks of a case, from data files to checkpoints.
var trainingCases: [MultiRankCase] {
  [
    MultiRankCase(name: "training: in sync scope the loss curve is one rank's", limit: 150) { communicator in
      try withRuns(communicator) { runs in
        try runs.finish("all", communicator) { $0.steps = 8 }
        try runs.alone(communicator) { try runs.finish("one", $0) { $0.steps = 8 } }
        try runs.compare(communicator, "all", "one", within: 1e-4)
      }
    },
    MultiRankCase(
      name: "training: in local scope the loss curve is ghosts' on one rank", ranks: .atLeast(2), limit: 150
    ) {
      communicator in
      try withRuns(communicator) { runs in
        let share = Runs.batch / communicator.size
        try runs.finish("local", communicator) { $0.bnScope = .local }
        try runs.alone(communicator) { try runs.finish("ghost", $0) { $0.bnScope = .ghost(share) } }
        // Statistics of three images magnify rounding; a wrong term would be off by tenths.
        try runs.compare(communicator, "local", "ghost", within: 1e-3)
      }
    },
    MultiRankCase(name: "training: the target of every rank is rank 0's to the byte", ranks: .only([1, 2, 3])) {
      communicator in
      try withRuns(communicator) { runs in
        for placement in EMAPlacement.allCases {
          try runs.finish(placement.rawValue, communicator) { $0.emaOn = placement }
        }
        try runs.onRoot(communicator) {
          try runs.expectSameBytes("rank0", "every-rank", file: "model.safetensors", step: 6)
        }
      }
    },
    MultiRankCase(
      name: "training: stopped or killed and resumed, it ends with the same bytes", ranks: .only([2, 3]), limit: 200
    ) { communicator in
      for scope in ["sync", "local"] {
        try withRuns(communicator) { try checkResume($0, scope, communicator) }
      }
    },
    MultiRankCase(
      name: "training: a queue goes on as it stood, and networks without a target do without", ranks: .only([2, 3]),
      limit: 200
    ) { communicator in
      try withRuns(communicator) { runs in
        try checkResume(runs, "local", communicator) {
          $0.method = .moco
          // Five batches: it is in the middle of a round at every checkpoint.
          $0.queue = 5 * Runs.batch
          $0.shuffleBn = .on
        }
      }
      try withRuns(communicator) { runs in try checkResume(runs, "local", communicator) { $0.method = .simclr } }
    },
    MultiRankCase(name: "training: another number of ranks goes on with the curve in sync alone", ranks: .only([2, 4]))
    {
      communicator in
      try withRuns(communicator) { try checkOtherRanks($0, communicator) }
    },
    MultiRankCase(
      name: "training: every method's loss curve in sync scope is one rank's", ranks: .only([2, 4]), limit: 200
    ) {
      communicator in
      for method in MethodKind.allCases where method != .byol {
        try withRuns(communicator) { runs in
          func settings(_ settings: inout Configuration) {
            settings.method = method
            // The gradients of these two are hundreds of times as large.
            if method == .barlowTwins || method == .vicreg { settings.lr = 1e-7 }
          }
          try runs.finish("all", communicator, settings)
          try runs.alone(communicator) { try runs.finish("one", $0, settings) }
          try runs.compare(communicator, "all", "one", within: 1e-4)
        }
      }
    },
    MultiRankCase(name: "training: a replica that differs stops the run by name", ranks: .only([2, 3])) {
      communicator in
      try withRuns(communicator) { try checkDifference($0, communicator) }
    },
    MultiRankCase(name: "training: twenty steps are PyTorch's in sync", ranks: .only([1, 2, 4]), limit: 150) {
      try checkTwentySteps("sync", against: "sync", $0)
    },
    MultiRankCase(name: "training: twenty steps on ghosts are PyTorch's on quarters", ranks: .only([1])) {
      try checkTwentySteps("ghost:4", against: "ghost:4", $0)
    },
    MultiRankCase(
      name: "training: twenty steps in local scope are PyTorch's on quarters", ranks: .only([4]), limit: 150
    ) {
      try checkTwentySteps("local", against: "ghost:4", $0)
    },
    MultiRankCase(name: "training: ranks with other images are refused by name", ranks: .atLeast(2)) {
      communicator in
      try withRuns(communicator) { try checkOtherImages($0, communicator) }
    },
    MultiRankCase(
      name: "training: numbers of one rank alone that are not finite end the run on all", ranks: .atLeast(2)
    ) {
      communicator in
      try withRuns(communicator) { try checkOwnStatistics($0, communicator) }
    },
    MultiRankCase(name: "training: one rank's mistake is everybody's", ranks: .atLeast(2)) { communicator in
      try withRuns(communicator) { runs in
        let error = try expectThrows(SharedError.self) {
          _ = try runs.trainer("run", communicator) {
            if communicator.rank == communicator.size - 1 { $0.data = runs("nowhere") }
          }
        }
        try expectEqual(error.exitStatus, 2, "the status")
        try expect(error.message.contains(runs("nowhere")), error.message)
        try runs.onRoot(communicator) { try expect(!AtomicDirectory.exists(runs("run")), "a run directory was made") }
      }
    },
  ]
}

/// A rank's death, as far as its run directory can tell.
private struct Killed: Error {}

/// Data that is node-local may be other data on each host.
private func checkOtherImages(_ runs: Runs, _ communicator: Communicator) throws {
  let last = communicator.size - 1
  try runs.onRoot(communicator) {
    try TinyImages.write(to: runs("fewer"), train: 48)
    try TinyImages.write(to: runs("tests"), test: 44)
  }
  for name in ["fewer", "tests"] {
    let error = try expectThrows(SharedError.self) {
      _ = try runs.trainer("run", communicator) { if communicator.rank == last { $0.data = runs(name) } }
    }
    try expectEqual(error.exitStatus, 2, "the status")
    for part in ["rank \(last) on \(Communicator.host): ", runs(name), "on rank 0", "the same images on all ranks"] {
      try expect(error.message.contains(part), "'\(error.message)' lacks '\(part)'")
    }
  }
  try runs.onRoot(communicator) { try expect(!AtomicDirectory.exists(runs("run")), "a run directory was made") }
  // By another path they are the same.
  try runs.onRoot(communicator) {
    try FileManager.default.createSymbolicLink(atPath: runs("link"), withDestinationPath: runs("data"))
  }
  try runs.finish("run", communicator) { if communicator.rank == last { $0.data = runs("link") } }
}

private func checkOwnStatistics(_ runs: Runs, _ communicator: Communicator) throws {
  let last = communicator.size - 1
  let trainer = try runs.trainer("run", communicator) {
    $0.bnScope = .local
    $0.checkpointEvery = 2
  }
  trainer.afterStep = { [unowned trainer] in
    guard $0 == 4, communicator.rank == last else { return }
    trainer.method.online.running.pointer[0] = .infinity
  }
  let error = try expectThrows(DivergedError.self) { try trainer.run() }
  try expectEqual(error, DivergedError(step: 4, sign: .tensor("online.encoder.bn1.running_mean")))
  try runs.onRoot(communicator) {
    try expectEqual(try AtomicDirectory.entries(of: runs("run/checkpoints")), ["step-00000002"], "checkpoints")
  }
}

private func checkResume(
  _ runs: Runs, _ scope: String, _ communicator: Communicator, _ change: (inout Configuration) -> Void = { _ in }
) throws {
  func settings(_ settings: inout Configuration) {
    change(&settings)
    settings.steps = 12
    settings.checkpointEvery = 5
    settings.probeEvery = 4
    settings.bnScope = scope == "sync" ? .sync : .local
  }
  StopSignals.install()
  defer { StopSignals.reset() }
  try runs.finish("whole", communicator, settings)

  // The signal comes to one rank alone after step 3, and all stop after step 4; then to another. Both are steps of
  // probes, which a resumed run neither makes again nor takes for its last.
  for (rank, step) in [(communicator.size - 1, 3), (0, 7)] {
    let trainer = try runs.trainer("stopped", communicator, settings)
    trainer.afterStep = { if $0 == step, communicator.rank == rank { raise(SIGUSR1) } }
    try expectEqual(try trainer.run(), .stopped(step: step + 1), "\(scope): the outcome")
    StopSignals.reset()
  }
  try runs.finish("stopped", communicator, settings)

  for _ in 0..<2 {
    let trainer = try runs.trainer("killed", communicator, settings)
    trainer.afterStep = { if $0 == 8 { throw Killed() } }
    try expectThrows(Killed.self) { try trainer.run() }
  }
  try runs.finish("killed", communicator, settings)

  try runs.onRoot(communicator) {
    for name in ["stopped", "killed"] {
      for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        try runs.expectSameBytes(name, "whole", file: file, step: 12)
      }
      let (found, wanted) = (try runs.lines(name), try runs.lines("whole"))
      try expectEqual(found.count, wanted.count, "\(scope), \(name): the number of lines")
      for (a, b) in zip(found, wanted) { try expectEqual(a, b, "\(scope), \(name): a line of metrics.jsonl") }
      try expectEqual(try runs.summary(name), try runs.summary("whole"), "\(scope), \(name): summary.json")
    }
    let probes = try runs.lines("whole").filter { $0.contains("probe_accuracy") }
    try expectEqual(probes.count, 3, "probe lines")
    try expectEqual(try runs.lines("whole").count, 15, "lines")
  }
}

private func checkOtherRanks(_ runs: Runs, _ communicator: Communicator) throws {
  defer { StopSignals.reset() }
  for scope in ["sync", "local"] {
    func settings(_ settings: inout Configuration) { settings.bnScope = scope == "sync" ? .sync : .local }
    let trainer = try runs.trainer(scope, communicator, settings)
    StopSignals.install()
    trainer.afterStep = { if $0 == 2, communicator.rank == 0 { raise(SIGTERM) } }
    try expectEqual(try trainer.run(), .stopped(step: 3), "\(scope): the outcome")
    StopSignals.reset()
  }
  try runs.finish("whole", communicator) { _ in }
  try runs.alone(communicator) { alone in
    try runs.finish("sync", alone) { _ in }
    let before = try runs.everything("local")
    let error = try expectThrows(SharedError.self) { _ = try runs.trainer("local", alone) { $0.bnScope = .local } }
    try expectEqual(error.exitStatus, 2, "the status")
    try expect(error.message.contains("should be started with \(communicator.size) ranks"), error.message)
    try expectEqual(try runs.everything("local"), before, "what the refused run left")
  }
  try runs.compare(communicator, "sync", "whole", within: 1e-4)
}

/// The losses of 20 steps from given weights on given images, beside PyTorch's in float64
/// (Tests/TrainingTests/Fixtures/make_twenty_steps.py).
private func checkTwentySteps(_ scope: String, against key: String, _ communicator: Communicator) throws {
  let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  let fixture = tests + "/TrainingTests/Fixtures/twenty_steps"
  let json = try JSON.parse(Array(try Data(contentsOf: URL(fileURLWithPath: fixture + "/losses.json"))))
  let wanted = (json[key]?.array ?? []).map { $0.double ?? .nan }
  try expectEqual(wanted.count, 20, "PyTorch's losses")
  try withRuns(communicator) { runs in
    try runs.finish("run", communicator) { settings in
      settings = Recipe.study.configuration
      let more: [JSON.Member] = [
        .init("data", JSON(fixture)), .init("init", JSON(fixture + "/init.safetensors")), .init("augment", "none"),
        .init("shuffle", "off"), .init("bn-scope", JSON(scope)), .init("out", JSON(runs("run"))), .init("threads", 1),
      ]
      for flag in (json["flags"]?.members ?? []) + more {
        guard let setting = Configuration.settings.first(where: { $0.name == flag.key }) else {
          preconditionFailure("no setting \(flag.key)")
        }
        do { try setting.set(.json(flag.value), in: &settings, from: .flag) } catch { preconditionFailure("\(error)") }
      }
    }
    try runs.onRoot(communicator) {
      let found = try MetricsLog.read(runs("run/metrics.jsonl")).compactMap { $0["loss"]?.double }
      try expectEqual(found.count, 20, "steps")
      for (step, (a, b)) in zip(found, wanted).enumerated() {
        // The fixture's own float32 run strays by 2e-6; a missing weight decay would by 4e-4.
        try expect(abs(a - b) <= 2e-5 * b, "\(scope): the loss of step \(step + 1) is \(a), not \(b)")
      }
    }
  }
}

/// A tensor spoilt on the last rank: the queue, a running mean, and parameters where each rank has its own.
private func checkDifference(_ runs: Runs, _ communicator: Communicator) throws {
  defer { communicator.sharesMemory = true }
  let last = communicator.size - 1
  func check(_ name: String, _ tensor: String, sharesMemory: Bool = true, spoil: @escaping (Siamese) -> Void) throws {
    communicator.sharesMemory = sharesMemory
    let trainer = try runs.trainer(name, communicator) {
      ($0.emaOn, $0.checkpointEvery) = (.everyRank, 4)
      if tensor == "queue.keys" { $0.method = .moco }
    }
    trainer.afterStep = { if $0 == 3, communicator.rank == last { spoil(trainer.method) } }
    let error = try expectThrows(ReplicaDifference.self) { try trainer.run() }
    try expectEqual(error.rank, last, "the rank")
    try expectEqual(error.tensor, tensor, "the tensor")
    try runs.onRoot(communicator) {
      try expect(!AtomicDirectory.exists(runs("\(name)/checkpoints")), "the difference is in a checkpoint")
    }
  }
  try check("queue", "queue.keys") { $0.queue?.keys.pointer[100] += 0.5 }
  try check("running", "target.encoder.bn1.running_mean") { method in
    let store = method.target!
    store.running.pointer[store.buffers.first { $0.name == "encoder.bn1.running_mean" }!.offset] += 0.5
  }
  for (tensor, isTarget) in [("encoder.conv1.weight", true), ("projector.3.bias", false)] {
    try check("\(isTarget)", (isTarget ? "target." : "online.") + tensor, sharesMemory: false) { method in
      let store = isTarget ? method.target! : method.online
      store.values.pointer[store.parameters.first { $0.name == tensor }!.offset] += 0.5
    }
  }
}
