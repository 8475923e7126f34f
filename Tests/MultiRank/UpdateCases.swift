import Collectives
import Foundation
import Kernels
import Methods
import Training

/// The end of a step, where a host's ranks update one copy of the parameters.
var updateCases: [MultiRankCase] {
  [
    MultiRankCase(
      name: "update: what a host's ranks update in common has the bits of replicas", ranks: .atLeast(2), limit: 200
    ) {
      communicator in
      try withRuns(communicator) { try checkRuns($0, communicator) }
    },
    MultiRankCase(
      name: "update: late ranks are waited for, before and after what they do for all", ranks: .atLeast(2), limit: 200
    ) {
      communicator in
      for optimizer in OptimizerKind.allCases {
        for placement in EMAPlacement.allCases { try checkLateRanks(optimizer, placement, communicator) }
      }
    },
  ]
}

/// Parameters that ranks share, updated piece by piece by whoever is free, against replicas of each rank's own.
private func checkRuns(_ runs: Runs, _ communicator: Communicator) throws {
  defer { communicator.sharesMemory = true }
  for (name, optimizer, placement, method) in [
    ("sgd", OptimizerKind.sgd, EMAPlacement.rank0, MethodKind.byol), ("every", .sgd, .everyRank, .byol),
    ("lars", .lars, .rank0, .byol), ("no target", .sgd, .rank0, .simclr),
  ] {
    for sharesMemory in [true, false] {
      communicator.sharesMemory = sharesMemory
      let trainer = try runs.trainer("\(name) \(sharesMemory)", communicator) {
        ($0.optimizer, $0.emaOn, $0.method, $0.steps) = (optimizer, placement, method, 5)
      }
      // Each in turn: who did not wait would work with the last step's numbers, or change what is still in use.
      trainer.afterStep = { if $0 % communicator.size == communicator.rank { comeLate() } }
      try expectEqual(try trainer.run(), .finished, "the run's end")
      let shares = trainer.sharesParameters
      let isOneHost = try communicator.splitByHost().size == communicator.size
      try expect(
        shares == sharesMemory || !isOneHost, "\(name): parameters in common: \(shares), asked for: \(sharesMemory)")
    }
    try runs.onRoot(communicator) {
      for file in ["model.safetensors", "optimizer.safetensors"] {
        try runs.expectSameBytes("\(name) true", "\(name) false", file: file, step: 5)
      }
    }
  }
}

/// Rounds in which one rank comes late to the update, and another one has nothing to do but wait; what is there when it
/// returns is compared at once.
private func checkLateRanks(
  _ optimizer: OptimizerKind, _ placement: EMAPlacement, _ communicator: Communicator
) throws {
  var settings = Recipe.quick.configuration
  (settings.optimizer, settings.emaOn, settings.larsTrust) = (optimizer, placement, 0.5)
  (settings.width, settings.hidden, settings.dim, settings.imageSize) = (32, 512, 256, 32)
  settings.batch = 2 * communicator.size
  let threads = placement == .rank0 ? 2 : 1
  let step = try TrainingStep(settings, total: 9, threads: threads, spins: 100, world: communicator)
  let isOneHost = try communicator.splitByHost().size == communicator.size
  // A rank may be alone on its host among several.
  let allShare = try communicator.allReduce(Int64(step.hostUpdate == nil ? 0 : 1), .min) == 1
  guard allShare, let update = step.hostUpdate, let target = step.method.target else {
    return try expect(!isOneHost, "ranks of one host have nothing in common")
  }
  // Each rank's own replica, updated by itself alone.
  settings.batch = 2
  let own = try communicator.split(color: communicator.rank, key: 0)
  let alone = try TrainingStep(settings, total: 9, threads: 1, spins: 100, world: own)
  let (online, replica) = (step.method.online, alone.method.online)
  let (team, lone) = (step.method.context.team, alone.method.context.team)
  for method in [step.method, alone.method] { method.initialize(seed: 3) }
  let sums = OrderedAllReduce(communicator, longest: replica.gradients.count)
  try update.takeParameters()
  for round in 0..<6 {
    let gradients = roughFloats(online.values.count, rank: communicator.rank + round * communicator.size)
    replica.gradients.pointer.update(from: gradients, count: gradients.count)
    try sums.run(replica.gradients.floats)
    let before = Array(replica.values.floats)
    // First, so that what the ranks did in common is looked at in the moment it should be there.
    alone.optimizer.update(replica, rate: 1e-3, team: lone)
    let average = alone.method.target!.values
    ParameterUpdates.movingAverage(
      target: average.pointer, online: replica.values.pointer, count: average.count, tau: 0.75, team: lone)
    let isLate = round / 2 % communicator.size == communicator.rank
    // Before it says that it has arrived: until then nobody may change what it uses, or add up its gradients.
    if isLate, round % 2 == 0 { comeLate() }
    try expect(online.values.floats.elementsEqual(before), "round \(round): parameters that were still in use changed")
    let sum = update.addsGradients ? gradients : Array(replica.gradients.floats)
    online.gradients.pointer.update(from: sum, count: sum.count)
    update.arrive()
    // After: the others find all pieces free, and wait in the end where rank 0 moves the target.
    if isLate, round % 2 == 1 { comeLate() }
    try update.run(rate: 1e-3, tau: 0.75, team: team)
    try expect(
      online.values.floats.elementsEqual(replica.values.floats), "\(optimizer), round \(round): the parameters differ")
    try update.settle()
    // Between hosts rank 0's goes by message.
    try expect(update.movesTarget || placement == .rank0, "nobody moves the target")
    try expect(
      !update.movesTarget || target.values.floats.elementsEqual(average.floats),
      "\(optimizer), \(placement), round \(round): the target differs")
  }
}
