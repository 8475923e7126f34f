import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting

/// A method as these cases run it.
private struct Method {
  let name: String
  let plan: MethodPlan
  let predictor: PredictorDepth
}

private func comparison(
  _ negatives: ComparisonPlan.Negatives, _ loss: ComparisonPlan.Loss = .crossEntropy(alpha: nil), _ t: Double = 0.2
) -> MethodPlan.Loss { .comparison(ComparisonPlan(negatives: negatives, loss: loss, temperature: t)) }

private let flowing = MethodPlan.Keys.online(stopsGradient: false)

private let methods = [
  Method(name: "contrastive", plan: MethodPlan(keys: .target, loss: comparison(.batch)), predictor: .mlp),
  Method(name: "moco", plan: MethodPlan(keys: .target, loss: comparison(.queue(72))), predictor: .none),
  Method(
    name: "moco with a margin",
    plan: MethodPlan(keys: .target, loss: comparison(.queue(24), .crossEntropy(alpha: 500))),
    predictor: .none),
  Method(
    name: "simclr", plan: MethodPlan(keys: flowing, loss: comparison(.bothViews, .crossEntropy(alpha: nil), 0.5)),
    predictor: .none),
  Method(
    name: "simclr, stopped", plan: MethodPlan(keys: .online(stopsGradient: true), loss: comparison(.bothViews)),
    predictor: .none),
  Method(
    name: "binary cross entropy", plan: MethodPlan(keys: flowing, loss: comparison(.batch, .binaryCrossEntropy)),
    predictor: .linear),
  Method(name: "simsiam", plan: MethodPlan(keys: .online(stopsGradient: true), loss: .l2), predictor: .mlp),
  Method(name: "simsiam, flowing", plan: MethodPlan(keys: flowing, loss: .l2), predictor: .linear),
  Method(name: "barlow-twins", plan: MethodPlan(keys: flowing, loss: .barlowTwins(lambda: 0.05)), predictor: .none),
  Method(name: "vicreg", plan: MethodPlan(keys: flowing, loss: .vicreg(VICRegCoefficients())), predictor: .none),
]

/// Losses that compare a rank's images with other ranks'.
var comparisonCases: [MultiRankCase] {
  [
    MultiRankCase(name: "methods: every loss and its gradients are one rank's on the whole batch") { communicator in
      let alone = try communicator.split(color: communicator.rank, key: 0)
      for method in methods { try checkLoss(method, communicator, alone) }
    },
    MultiRankCase(name: "methods: steps of every method in sync scope are one rank's", limit: 150) { communicator in
      let alone = try communicator.split(color: communicator.rank, key: 0)
      for method in methods {
        let ours = replica(
          method.plan, images: share(communicator), scope: try BatchNormScopes(.sync, world: communicator),
          predictor: method.predictor, world: communicator)
        let whole = replica(
          method.plan, images: GlobalBatch.images, scope: .local, predictor: method.predictor, world: alone)
        let found = try run(ours, steps: 2, ranks: [communicator.rank], of: communicator.size, communicator)
        let wanted = try run(whole, steps: 2, ranks: [0], of: 1, nil)
        try communicator.together {
          try expectSame(found, wanted, within: 2e-4, method.name)
          try expectEqual(found.tensors.contains { $0.name.hasPrefix("target.") }, method.plan.hasTarget, method.name)
        }
        for (name, values) in found.tensors {
          try expectSameOnAllRanks(values, communicator, "\(method.name): \(name)")
        }
        guard let queue = ours.queue, let other = whole.queue else { continue }
        try expectSameOnAllRanks(queue.keys.array, communicator, "\(method.name): the queue")
        try communicator.together {
          try expectEqual(queue.next, other.next, "\(method.name): the queue's end")
          try expectNear(queue.keys.array, other.keys.array, within: 1e-4, "\(method.name): the queue")
        }
      }
    },
  ]
}

/// What one rank's rows give, with buffers that live as long as the result.
private final class Evaluation {
  let loss: any StepLoss
  let query: AlignedBuffer
  let key: AlignedBuffer
  private let queries: AlignedBuffer
  private let keys: AlignedBuffer
  private let rows: Int
  static let dimensions = 10

  init(_ method: Method, _ queries: [Float], _ keys: [Float], _ world: Communicator) {
    rows = queries.count / Self.dimensions / 2
    (self.queries, self.keys) = (AlignedBuffer(queries), AlignedBuffer(keys))
    (query, key) = (AlignedBuffer(count: queries.count), AlignedBuffer(count: keys.count))
    let context = NetworkContext(
      team: ThreadTeam(threads: 1), scratch: Scratch(), maps: SharedMaps(),
      layout: BatchLayout(views: 2, imagesPerView: rows), scope: .local, keepsActivations: true)
    loss = method.plan.makeLoss(
      rows: rows, dimensions: Self.dimensions, keyGradient: method.plan.keys == flowing, world: world, context: context)
    (loss as? KeyComparison)?.queue?.initialize(seed: 3)
  }

  func run(keyGradient: Bool) throws -> Double {
    try loss.evaluate(
      LossRows(
        queries: queries.pointer, keys: keys.pointer, rows: rows, dimensions: Self.dimensions,
        queryGradient: query.pointer, keyGradient: keyGradient ? key.pointer : nil), globalRows: GlobalBatch.images)
  }
}

private func checkLoss(_ method: Method, _ communicator: Communicator, _ alone: Communicator) throws {
  let dimensions = Evaluation.dimensions
  let isSelf = method.predictor == .none && !method.plan.hasTarget
  let queries = GlobalBatch(floats: dimensions, seed: 1)
  let keys = isSelf ? queries : GlobalBatch(floats: dimensions, seed: 2)
  func part(_ batch: GlobalBatch) -> [Float] { batch.part([communicator.rank], of: communicator.size) }
  let ours = Evaluation(method, part(queries), part(keys), communicator)
  let whole = Evaluation(method, queries.values, keys.values, alone)
  let flows = method.plan.keys == flowing
  // The second step meets what the first left in a queue.
  for step in 0..<2 {
    let found = try communicator.allReduce(ours.run(keyGradient: flows), .sum)
    let wanted = try whole.run(keyGradient: flows)
    let what = "\(method.name), step \(step)"
    try communicator.together {
      try expect(abs(found - wanted) <= 1e-6 * abs(wanted), "\(what): the loss is \(found), not \(wanted)")
      for (name, mine, all) in [("queries", ours.query, whole.query), ("keys", ours.key, whole.key)] {
        let share = mine.count / 2
        let slices = (0..<2).flatMap { view in
          Array(all.array[(view * all.count / 2 + communicator.rank * share)...].prefix(share))
        }
        try expectNear(
          mine.array, slices, within: 1e-5, scale: magnitude(all.array), "\(what): the gradient of the \(name)")
      }
    }
  }
}
