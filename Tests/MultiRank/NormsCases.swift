import Collectives
import Files
import Foundation
import Layers
import NetworkTesting
import Training

/// Norms and optimizers in whole runs: every variant beside PyTorch's twenty steps, on several ranks, and resumed.
var normsCases: [MultiRankCase] {
  [
    MultiRankCase(name: "norms: twenty steps of every variant are PyTorch's", ranks: .only([1, 2, 4]), limit: 300) {
      communicator in
      let json = try twentySteps()
      for variant in json["variants"]?.members ?? [] {
        try checkTwentySteps(variant.key, variant.value, flags: json["flags"], communicator)
      }
    },
    MultiRankCase(name: "norms: joint views on all ranks are one rank's", ranks: .atLeast(2), limit: 150) {
      communicator in
      try withRuns(communicator) { runs in
        try runs.finish("all", communicator) { $0.bnViews = .joint }
        try runs.alone(communicator) { try runs.finish("one", $0) { $0.bnViews = .joint } }
        try runs.compare(communicator, "all", "one", within: 1e-4)
      }
    },
    MultiRankCase(
      name: "norms: heads in local scope and a sync encoder are ghosts in the heads of one rank", ranks: .atLeast(2),
      limit: 150
    ) { communicator in
      try withRuns(communicator) { runs in
        let share = Runs.batch / communicator.size
        for views in ViewNormalization.allCases {
          try runs.finish("ranks-\(views)", communicator) { ($0.headBnScope, $0.bnViews) = (.local, views) }
          try runs.alone(communicator) {
            try runs.finish("one-\(views)", $0) { ($0.headBnScope, $0.bnViews) = (.ghost(share), views) }
          }
          // Statistics of three images magnify rounding; heads in sync scope would be off by tenths.
          try runs.compare(communicator, "ranks-\(views)", "one-\(views)", within: 1e-3)
        }
      }
    },
    MultiRankCase(
      name: "norms: an encoder in local scope and sync heads are ghosts in the encoder of one rank",
      ranks: .only([2, 3, 4]), limit: 150
    ) { communicator in
      try withRuns(communicator) { runs in
        let share = Runs.batch / communicator.size
        try runs.finish("ranks", communicator) { ($0.bnScope, $0.headBnScope) = (.local, .sync) }
        try runs.alone(communicator) {
          try runs.finish("one", $0) { ($0.encoderBnScope, $0.headBnScope) = (.ghost(share), .sync) }
        }
        try runs.compare(communicator, "ranks", "one", within: 1e-3)
      }
    },
    MultiRankCase(name: "norms: LARS on all ranks is one rank's", ranks: .atLeast(2), limit: 150) { communicator in
      try withRuns(communicator) { runs in
        func settings(_ settings: inout Configuration) { (settings.optimizer, settings.lr) = (.lars, 0.05) }
        try runs.finish("all", communicator, settings)
        try runs.alone(communicator) { try runs.finish("one", $0, settings) }
        try runs.compare(communicator, "all", "one", within: 1e-4)
      }
    },
    MultiRankCase(name: "norms: what ranks share of the running statistics keeps its bits", ranks: .only([2, 3])) {
      communicator in
      try withRuns(communicator) { runs in
        // In the last step's files the encoder's statistics are everybody's, the heads' their mean over the ranks.
        let trainer = try runs.trainer("run", communicator) { $0.headBnScope = .local }
        try expectEqual(try trainer.run(), .finished, "the outcome")
        let store = trainer.method.online
        let file = try SafetensorsFile(path: runs("run/checkpoints/step-00000006/model.safetensors"))
        for buffer in store.buffers {
          let own = array(store.running.pointer + buffer.offset, buffer.count)
          let all = try communicator.allGather(own)
          let written = try file.floats("online." + buffer.name)
          try expectEqual(buffer.isPerRank, !buffer.name.hasPrefix("encoder."), buffer.name)
          try communicator.together {
            if !buffer.isPerRank {
              for other in all { try expect(other == own, "\(buffer.name) differs between ranks") }
              try expect(written == own, "\(buffer.name) is another in the file")
            } else {
              try expect(all[0] != all[1], "\(buffer.name) is the same on two ranks")
              let mean = own.indices.map { place in all.reduce(0) { $0 + $1[place] } / Float(all.count) }
              try expectNear(written, mean, within: 1e-6, "the mean of \(buffer.name)")
            }
          }
        }
      }
    },
    MultiRankCase(
      name: "norms: scopes apart, stopped and resumed, end with the same bytes", ranks: .only([2, 3]), limit: 200
    ) { communicator in
      try withRuns(communicator) { runs in
        for change in resumed {
          let name = change.name
          func settings(_ settings: inout Configuration) {
            (settings.steps, settings.checkpointEvery) = (8, 3)
            change.apply(&settings)
          }
          try runs.finish("\(name)-whole", communicator, settings)
          for step in [4, 7] {
            let trainer = try runs.trainer("\(name)-killed", communicator, settings)
            trainer.afterStep = { if $0 == step { throw Killed() } }
            try expectThrows(Killed.self) { try trainer.run() }
          }
          try runs.finish("\(name)-killed", communicator, settings)
          try runs.onRoot(communicator) {
            for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
              try runs.expectSameBytes("\(name)-killed", "\(name)-whole", file: file, step: 8)
            }
            try expectEqual(try runs.lines("\(name)-killed"), try runs.lines("\(name)-whole"), name)
          }
        }
      }
    },
    MultiRankCase(
      name: "norms: another number of ranks is refused by the flag that would mean another scope", ranks: .only([2])
    ) { communicator in
      try withRuns(communicator) { runs in
        func settings(_ settings: inout Configuration) {
          (settings.bnScope, settings.encoderBnScope, settings.checkpointEvery) = (.local, .sync, 2)
        }
        do {
          // In a scope of its own: as long as it lives, the run is in use.
          let trainer = try runs.trainer("run", communicator, settings)
          trainer.afterStep = { if $0 == 3 { throw Killed() } }
          try expectThrows(Killed.self) { try trainer.run() }
        }
        try runs.alone(communicator) { alone in
          let error = try expectThrows(SharedError.self) { _ = try runs.trainer("run", alone, settings) }
          try expect(error.message.contains("--bn-scope local: this run has 2 ranks"), error.message)
        }
      }
    },
  ]
}

private struct Change: Sendable {
  let name: String
  let apply: @Sendable (inout Configuration) -> Void
}

private let resumed = [
  Change(name: "local-heads") { $0.headBnScope = .local },
  Change(name: "lars") {
    ($0.encoderBnScope, $0.headBnScope, $0.optimizer, $0.lr) = (.local, .ghost(4), .lars, 0.05)
  },
  Change(name: "standardized") {
    ($0.encoderNorm, $0.projectorNorm, $0.weightStandardization, $0.headBnScope) = (.gn, .gn, .on, .local)
  },
  Change(name: "joint-renorm") {
    ($0.encoderBnScope, $0.bnViews, $0.projectorNorm, $0.predictorNorm) = (.local, .joint, .brn, .brn)
    $0.brnWarmupSteps = 6
  },
]

private struct Killed: Error {}

private let fixtureDirectory =
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  + "/TrainingTests/Fixtures/twenty_steps"

private func twentySteps() throws -> JSON {
  try JSON.parse(Array(try Data(contentsOf: URL(fileURLWithPath: fixtureDirectory + "/losses.json"))))
}

/// The losses of 20 steps beside PyTorch's in float64 (Tests/TrainingTests/Fixtures/make_twenty_steps.py).
private func checkTwentySteps(
  _ name: String, _ variant: JSON, flags: JSON?, _ communicator: Communicator
) throws {
  let wanted = (variant["losses"]?.array ?? []).map { $0.double ?? .nan }
  try expectEqual(wanted.count, 20, "PyTorch's losses")
  try withRuns(communicator) { runs in
    try runs.finish("run", communicator) { settings in
      settings = Recipe.study.configuration
      let more: [JSON.Member] = [
        .init("data", JSON(fixtureDirectory)), .init("init", JSON(fixtureDirectory + "/init.safetensors")),
        .init("augment", "none"), .init("shuffle", "off"), .init("out", JSON(runs("run"))), .init("threads", 1),
      ]
      for flag in (flags?.members ?? []) + more + (variant["flags"]?.members ?? []) {
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
        // As the fixture's own float32 run, with room for ranks' rounding.
        try expect(abs(a - b) <= 2e-5 * b, "\(name): the loss of step \(step + 1) is \(a), not \(b)")
      }
    }
  }
}
