import CAllocations
import Collectives
import Foundation
import Kernels
import Layers
import Methods
import NetworkTesting
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
    MultiRankCase(
      name: "update: a step of ranks that share a host allocates nothing", ranks: .only([1, 2, 4]), limit: 200
    ) {
      communicator in
      guard try communicator.splitByHost().size == communicator.size else { return }
      for optimizer in OptimizerKind.allCases {
        for placement in EMAPlacement.allCases { try checkAllocations(optimizer, placement, communicator) }
      }
    },
    MultiRankCase(
      name: "update: what all ranks are done with is updated by those that wait, and nothing else", ranks: .atLeast(2),
      limit: 200
    ) {
      communicator in
      for optimizer in OptimizerKind.allCases {
        for placement in EMAPlacement.allCases { try checkReadyPieces(optimizer, placement, communicator) }
      }
    },
  ]
}

/// Whole steps of ranks that share a host: what they tell each other goes through memory that is there before the first one.
private func checkAllocations(
  _ optimizer: OptimizerKind, _ placement: EMAPlacement, _ communicator: Communicator
) throws {
  var settings = Recipe.quick.configuration
  (settings.optimizer, settings.emaOn) = (optimizer, placement)
  (settings.width, settings.hidden, settings.dim, settings.imageSize) = (8, 16, 8, 32)
  settings.batch = 4 * communicator.size
  let step = try TrainingStep(settings, total: 20, threads: 1, spins: 100, world: communicator)
  let views = AlignedBuffer(noise(8 * 32 * 32 * 3, UInt64(communicator.rank)))
  for index in 0..<3 { _ = try step.run(index, views: views.pointer, stop: false, detail: .effectiveRank) }
  let before = allocations_of_this_thread()
  for index in 3..<8 { _ = try step.run(index, views: views.pointer, stop: false, detail: .effectiveRank) }
  let most = try communicator.allReduce(Int64(allocations_of_this_thread() - before), .max)
  try expectEqual(most, 0, "\(optimizer), \(placement): a rank's allocations in five steps")
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
  let threads = placement == .rank0 ? 2 : 1
  guard let both = try InCommonAndAlone(optimizer, placement, threads: threads, communicator) else { return }
  let (update, online) = (both.update, both.step.method.online)
  for round in 0..<6 {
    let before = Array(both.replica.values.floats)
    // First, so that what the ranks did in common is looked at in the moment it should be there.
    let gradients = try both.updateAlone(round)
    update.begin(rate: both.rate, tau: both.tau)
    let isLate = round / 2 % communicator.size == communicator.rank
    // Before it says that it has arrived: until then nobody may change what it uses, or add up its gradients.
    if isLate, round % 2 == 0 { comeLate() }
    try expect(online.values.floats.elementsEqual(before), "round \(round): parameters that were still in use changed")
    online.gradients.pointer.update(from: gradients, count: gradients.count)
    try update.arrive()
    // After: the others find all pieces free, and wait in the end where rank 0 moves the target.
    if isLate, round % 2 == 1 { comeLate() }
    try both.finish("\(optimizer), \(placement), round \(round)")
  }
}

/// Rounds in which the ranks are done with the upper half of the parameters, one of them later than the others, before they
/// are with the rest: what they do while they wait must be the whole update of that half, and nothing of the other.
private func checkReadyPieces(
  _ optimizer: OptimizerKind, _ placement: EMAPlacement, _ communicator: Communicator
) throws {
  guard let both = try InCommonAndAlone(optimizer, placement, threads: 1, communicator) else { return }
  let (update, online) = (both.update, both.step.method.online)
  // Layer-wise rates wait for whole layers, and a host for the gradients of others.
  let updatesEarly = optimizer == .sgd && update.addsGradients
  for round in 0..<2 * communicator.size {
    let before = Array(both.replica.values.floats)
    let gradients = try both.updateAlone(round)
    let (count, first) = (gradients.count, gradients.count / 2 + 7)
    update.begin(rate: both.rate, tau: both.tau)
    try expect(!update.updateReady(), "round \(round): something to update before anything is ready")
    // What is not ready yet is still to be computed.
    online.gradients.pointer.update(repeating: .nan, count: count)
    (online.gradients.pointer + first).update(from: Array(gradients[first...]), count: count - first)
    if round % communicator.size == communicator.rank { comeLate() }
    try expect(online.values.floats.elementsEqual(before), "round \(round): parameters that were still in use changed")
    update.ready(from: first)
    while update.updateReady() {}
    // All have looked after all were ready, and none has a piece in hand.
    try communicator.barrier()
    while update.updateReady() {}
    try communicator.barrier()
    let changed = before.indices.filter { online.values.pointer[$0] != before[$0] }
    try expect(
      changed.allSatisfy { $0 >= first } && changed.isEmpty == !updatesEarly,
      "round \(round): \(changed.count) parameters changed from \(changed.first ?? count) on, ready from \(first)")
    // All but the piece that begins below it.
    let whole = count - first - HostUpdate.pieceFloats
    try expect(
      !updatesEarly || online.values.floats.suffix(whole).elementsEqual(both.replica.values.floats.suffix(whole)),
      "round \(round): what all were done with is not updated")
    online.gradients.pointer.update(from: gradients, count: first)
    try update.arrive()
    try both.finish("\(optimizer), \(placement), round \(round)")
  }
}

/// Parameters that the ranks update in common, and each rank's own replica, which it updates by itself alone.
private struct InCommonAndAlone {
  let step: TrainingStep
  let update: HostUpdate
  let target: ParameterStore
  let rate = 1e-3
  let tau = 0.75
  private let alone: TrainingStep
  private let sums: OrderedAllReduce
  private let communicator: Communicator
  private let movesTarget: Bool
  var replica: ParameterStore { alone.method.online }

  /// nil where ranks of several hosts are alone on some.
  init?(
    _ optimizer: OptimizerKind, _ placement: EMAPlacement, threads: Int, _ communicator: Communicator
  ) throws {
    var settings = Recipe.quick.configuration
    (settings.optimizer, settings.emaOn, settings.larsTrust) = (optimizer, placement, 0.5)
    (settings.width, settings.hidden, settings.dim, settings.imageSize) = (32, 512, 256, 32)
    settings.batch = 2 * communicator.size
    let step = try TrainingStep(settings, total: 9, threads: threads, spins: 100, world: communicator)
    let isOneHost = try communicator.splitByHost().size == communicator.size
    let allShare = try communicator.allReduce(Int64(step.hostUpdate == nil ? 0 : 1), .min) == 1
    guard allShare, let update = step.hostUpdate, let target = step.method.target else {
      try expect(!isOneHost, "ranks of one host have nothing in common")
      return nil
    }
    settings.batch = 2
    let own = try communicator.split(color: communicator.rank, key: 0)
    alone = try TrainingStep(settings, total: 9, threads: 1, spins: 100, world: own)
    (self.step, self.update, self.target, self.communicator) = (step, update, target, communicator)
    for method in [step.method, alone.method] { method.initialize(seed: 3) }
    sums = OrderedAllReduce(communicator, longest: alone.method.online.gradients.count)
    // Between hosts rank 0's goes by message.
    movesTarget = update.movesTarget
    try expect(movesTarget || placement == .rank0, "nobody moves the target")
    try update.takeParameters()
    // Also where the ranks of a test share cores.
    update.updatesWhileWaiting = true
  }

  /// One more update of the replica.
  /// - Returns: what this rank's gradients in common are to be.
  func updateAlone(_ round: Int) throws -> [Float] {
    let gradients = roughFloats(replica.values.count, rank: communicator.rank + round * communicator.size)
    replica.gradients.pointer.update(from: gradients, count: gradients.count)
    try sums.run(replica.gradients.floats)
    let (average, team) = (alone.method.target!.values, alone.method.context.team)
    alone.optimizer.update(replica, rate: rate, team: team)
    ParameterUpdates.movingAverage(
      target: average.pointer, online: replica.values.pointer, count: average.count, tau: tau, team: team)
    return update.addsGradients ? gradients : Array(replica.gradients.floats)
  }

  /// The update in common, which must leave what the replica has.
  func finish(_ what: String) throws {
    try update.run(team: step.method.context.team)
    try expect(
      step.method.online.values.floats.elementsEqual(replica.values.floats), "\(what): the parameters differ")
    try update.settle()
    try expect(
      !movesTarget || target.values.floats.elementsEqual(alone.method.target!.values.floats),
      "\(what): the target differs")
  }
}
