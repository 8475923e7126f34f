import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting

private let side = 12
private let pixels = side * side * 3

/// A small replica whose two networks differ, so that the two directions are told apart.
/// - Parameter world: the ranks that losses gather from; one rank's own where a single process has the whole batch.
func replica(
  _ plan: MethodPlan = .byol, images: Int, scope: BatchNormScopes, norm: NormKind = .bn,
  predictor: PredictorDepth = .mlp, world: Communicator, threads: Int = 1
) -> Siamese {
  let encoder = EncoderShape(kind: .resnet10, width: 4, stem: .cifar, imageSize: side, norm: .bn)
  let shape = ModelShape(
    encoder: encoder, hidden: 12, dimensions: 10, projectorNorm: norm, predictorNorm: norm, predictor: predictor)
  let model = Siamese(
    shape, plan: plan, layout: BatchLayout(views: 2, imagesPerView: images), scope: scope, world: world,
    team: ThreadTeam(threads: threads, spins: 100))
  model.initialize(seed: 5)
  model.online.perturb(6)
  model.target?.perturb(7)
  return model
}

/// What a run of a few steps left: everything in PyTorch's order, by name.
struct Trace {
  var losses: [Double] = []
  var gradients: [(name: String, values: [Float])] = []
  var tensors: [(name: String, values: [Float])] = []
}

/// Steps of loss, gradients summed over the ranks, SGD and target, on the ranks' own shares.
func run(
  _ model: Siamese, steps: Int, ranks: [Int], of size: Int, _ communicator: Communicator?,
  placement: EMAPlacement = .everyRank
) throws -> Trace {
  var trace = Trace()
  let team = model.context.team
  let velocity = AlignedBuffer(count: model.online.values.count)
  for step in 0..<steps {
    let views = AlignedBuffer(GlobalBatch(floats: pixels, seed: UInt64(step)).part(ranks, of: size))
    var loss = try model.step(views: views.pointer, globalBatch: GlobalBatch.images)
    withExtendedLifetime(views) {}
    if let communicator {
      loss = try communicator.allReduce(loss, .sum)
      try communicator.allReduce(model.online.gradients.floats, .sum)
    }
    trace.losses.append(loss)
    if step == 0 { trace.gradients = model.online.named(gradients: true) }
    ParameterUpdates.sgd(
      weights: model.online.values.pointer, gradients: model.online.gradients.pointer, velocity: velocity.pointer,
      range: 0..<velocity.count, rate: 0.02, momentum: 0.9, decay: 1e-4, team: team)
    guard let target = model.target else { continue }
    if let communicator {
      let average = MovingAverageTarget(
        target: target, online: model.online, placement: placement, communicator: communicator, pieceFloats: 37)
      try average.update(tau: 0.9, team: team)
      try average.settle()
    } else {
      ParameterUpdates.movingAverage(
        target: target.values.pointer, online: model.online.values.pointer, count: target.values.count, tau: 0.9,
        team: team)
    }
  }
  for (prefix, store) in model.networks {
    trace.tensors += (store.named() + store.namedBuffers()).map { (prefix + $0.name, $0.values) }
  }
  return trace
}

func expectSame(_ found: Trace, _ wanted: Trace, within tolerance: Double, _ what: String) throws {
  for (step, (a, b)) in zip(found.losses, wanted.losses).enumerated() {
    try expect(abs(a - b) <= 0.1 * tolerance * b, "\(what): loss of step \(step) is \(a), not \(b)")
  }
  try expectEqual(found.losses.count, wanted.losses.count)
  let largest = wanted.gradients.map { magnitude($0.values) }.max() ?? 0
  for (a, b) in zip(found.gradients, wanted.gradients) {
    try expectNear(
      a.values, b.values, within: tolerance, scale: 0.01 * largest, "\(what): gradient of \(a.name)")
  }
  for (a, b) in zip(found.tensors, wanted.tensors) {
    try expectNear(a.values, b.values, within: tolerance, scale: 0.05, "\(what): \(a.name)")
  }
}

func share(_ communicator: Communicator) -> Int { GlobalBatch.images / communicator.size }

var methodsCases: [MultiRankCase] {
  [
    MultiRankCase(name: "methods: BYOL in sync scope is one rank's on the whole batch") { communicator in
      for threads in [1, 2] {
        let ours = replica(
          images: share(communicator), scope: try BatchNormScopes(.sync, world: communicator),
          world: communicator, threads: threads)
        let alone = replica(images: GlobalBatch.images, scope: .local, world: communicator)
        let found = try run(ours, steps: 3, ranks: [communicator.rank], of: communicator.size, communicator)
        let wanted = try run(alone, steps: 3, ranks: [0], of: 1, nil)
        try communicator.together { try expectSame(found, wanted, within: 1e-4, "sync") }
      }
    },
    MultiRankCase(name: "methods: BYOL in local scope is one rank's with ghosts of the local batch") { communicator in
      let world = try Communicator.start()
      let ours = replica(
        images: share(communicator), scope: try BatchNormScopes(.local, world: communicator),
        world: communicator)
      let alone = replica(
        images: GlobalBatch.images, scope: try BatchNormScopes(.ghost(share(communicator)), world: world),
        world: communicator)
      // One step: statistics of three images magnify rounding so much that later steps part.
      var found = try run(ours, steps: 1, ranks: [communicator.rank], of: communicator.size, communicator)
      let wanted = try run(alone, steps: 1, ranks: [0], of: 1, nil)
      // Running statistics are each rank's own; their mean is what the ghosts on one rank have.
      for place in found.tensors.indices where found.tensors[place].name.contains("running") {
        try communicator.allReduce(&found.tensors[place].values, .sum)
        found.tensors[place].values = found.tensors[place].values.map { $0 / Float(communicator.size) }
      }
      try expectSame(found, wanted, within: 2e-4, "local")
    },
    MultiRankCase(name: "methods: BYOL's gradients in every scope are the sum of its groups'") { communicator in
      for scope in try scopes(communicator) { try checkGroups(scope, communicator) }
    },
    MultiRankCase(name: "methods: replicas have the same bits after every step") { communicator in
      for scope in [BatchNormScope.sync, .local] {
        let ours = replica(
          images: share(communicator), scope: try BatchNormScopes(scope, world: communicator),
          world: communicator, threads: 2)
        for placement in EMAPlacement.allCases {
          let trace = try run(
            ours, steps: 2, ranks: [communicator.rank], of: communicator.size, communicator, placement: placement)
          try expectSameOnAllRanks(ours.online.gradients.array, communicator, "\(scope): gradients")
          for (name, values) in trace.tensors where scope == .sync || !name.contains("running") {
            try expectSameOnAllRanks(values, communicator, "\(scope): \(name)")
          }
        }
      }
    },
    MultiRankCase(name: "methods: the target from rank 0 has the bits of every rank's own") { communicator in
      var targets: [[Float]] = []
      for placement in EMAPlacement.allCases {
        let ours = replica(
          images: share(communicator), scope: try BatchNormScopes(.sync, world: communicator),
          world: communicator)
        let target = ours.target!
        // Where rank 0 computes, nobody else's target counts.
        if placement == .rank0, communicator.rank != 0 {
          target.values.pointer.update(repeating: .nan, count: target.values.count)
        }
        let average = MovingAverageTarget(
          target: target, online: ours.online, placement: placement, communicator: communicator)
        for step in 0..<3 {
          for i in 0..<ours.online.values.count { ours.online.values.pointer[i] += Float(step) * 0.01 }
          try average.update(tau: 0.97, team: ours.context.team)
        }
        try average.settle()
        targets.append(target.values.array)
      }
      try expectSameOnAllRanks(targets[0], communicator, "the target")
      try expectSameOnAllRanks(targets[1], communicator, "the target of every rank's own")
      try expect(targets[0] == targets[1], "the placements differ")
    },
    MultiRankCase(name: "methods: without batch norm in the heads the scope of the encoder still counts") {
      communicator in
      for norm in [NormKind.none, .ln] {
        let ours = replica(
          images: share(communicator), scope: try BatchNormScopes(.sync, world: communicator), norm: norm,
          world: communicator)
        let alone = replica(images: GlobalBatch.images, scope: .local, norm: norm, world: communicator)
        let found = try run(ours, steps: 2, ranks: [communicator.rank], of: communicator.size, communicator)
        let wanted = try run(alone, steps: 2, ranks: [0], of: 1, nil)
        try communicator.together { try expectSame(found, wanted, within: 1e-4, "\(norm)") }
      }
    },
  ]
}

/// One step: each group of ranks is what one process makes of the group's images, as a part of the global batch.
private func checkGroups(_ scope: BatchNormScope, _ communicator: Communicator) throws {
  let size = communicator.size
  let ours = replica(
    images: share(communicator), scope: try BatchNormScopes(scope, world: communicator),
    world: communicator)
  let found = try run(ours, steps: 1, ranks: [communicator.rank], of: size, communicator)
  var wanted: Trace?
  var running: [Float] = []
  for group in groups(scope, size: size) {
    let alone = replica(images: share(communicator) * group.count, scope: .local, world: communicator)
    let part = try run(alone, steps: 1, ranks: group, of: size, nil)
    if group.contains(communicator.rank) { running = alone.online.running.array }
    guard var sum = wanted else {
      wanted = part
      continue
    }
    sum.losses[0] += part.losses[0]
    for place in sum.gradients.indices {
      for i in sum.gradients[place].values.indices {
        sum.gradients[place].values[i] += part.gradients[place].values[i]
      }
    }
    wanted = sum
  }
  wanted!.tensors = []
  try communicator.together {
    try expectSame(found, wanted!, within: 2e-4, "\(scope)")
    try expectNear(ours.online.running.array, running, within: 1e-4, "\(scope): running statistics")
  }
}
