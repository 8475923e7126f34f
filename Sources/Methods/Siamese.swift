import Collectives
import Kernels
import Layers

/// The sizes and norms of a model: encoder f, projector g and predictor q.
public struct ModelShape: Sendable, Equatable {
  public var encoder: EncoderShape
  public var hidden: Int
  /// The length of a projection.
  public var dimensions: Int
  public var projectorNorm: NormKind
  public var predictorNorm: NormKind
  public var predictor: PredictorDepth
  /// Whether the heads' linear layers compute with standardised weights.
  public var standardizesWeights: Bool

  public init(
    encoder: EncoderShape, hidden: Int, dimensions: Int, projectorNorm: NormKind, predictorNorm: NormKind,
    predictor: PredictorDepth = .mlp, standardizesWeights: Bool = false
  ) {
    self.encoder = encoder
    self.hidden = hidden
    self.dimensions = dimensions
    self.projectorNorm = projectorNorm
    self.predictorNorm = predictorNorm
    self.predictor = predictor
    self.standardizesWeights = standardizesWeights
  }
}

/// One rank's replica of a method: the online network, which is trained, and what its predictions are compared with.
///
/// Both views go through each network in one pass, view 0's images first; each view is normalised by itself unless
/// the scopes join them.
public final class Siamese {
  public let shape: ModelShape
  public let plan: MethodPlan
  public let layout: BatchLayout
  public let online: ParameterStore
  /// The target's parameters; nil for a method without a target.
  public let target: ParameterStore?
  /// The online network's part of the pass: its phase and its gradient hook are the caller's to set.
  public let context: NetworkContext
  /// Called before the target's parameters are used, for whoever sends them while the online network begins a step.
  public var beforeTarget: (() throws -> Void)?
  private let encoder: ResNet
  private let projector: MLP
  private let predictor: (any Head)?
  private let targetNetwork: TargetNetwork?
  private let loss: any StepLoss
  private let queryGradient: AlignedBuffer
  private let keyGradient: AlignedBuffer?
  /// z of the last step, [images x dimensions], the online network's.
  public private(set) var projections: UnsafePointer<Float>?
  /// z', likewise: the target's, or z where there is no target, whose z' is the other view's projection.
  public private(set) var targetProjections: UnsafePointer<Float>?

  /// - Parameter world: all ranks, whose images losses compare with.
  public init(
    _ shape: ModelShape, plan method: MethodPlan, layout: BatchLayout, scope: BatchNormScopes, world: Communicator,
    team: ThreadTeam
  ) {
    precondition(layout.views == 2, "there are two views")
    self.shape = shape
    plan = method
    self.layout = layout
    let scratch = Scratch()
    let maps = SharedMaps()
    context = NetworkContext(
      team: team, scratch: scratch, maps: maps, layout: layout, scope: scope, keepsActivations: true)
    let plan = ParameterPlan()
    encoder = ResNet("encoder.", shape: shape.encoder, plan: plan, context: context)
    projector = shape.projector(plan, context)
    predictor = shape.predictorHead(plan, context)
    online = ParameterStore(plan, trained: true)
    targetNetwork =
      method.hasTarget ? TargetNetwork(shape, shuffles: method.shufflesKeys, sharing: context, world: world) : nil
    target = targetNetwork?.store
    queryGradient = AlignedBuffer(count: layout.images * shape.dimensions)
    keyGradient =
      method.keys == .online(stopsGradient: false) && method.comparesWithKeys
      ? AlignedBuffer(count: layout.images * shape.dimensions) : nil
    loss = method.makeLoss(
      rows: layout.imagesPerView, dimensions: shape.dimensions, keyGradient: keyGradient != nil, world: world,
      context: context)
  }

  /// The networks by the names that files and messages put before their tensors'.
  public var networks: [(prefix: String, store: ParameterStore)] {
    [("online.", online)] + (target.map { [("target.", $0)] } ?? [])
  }

  /// The keys of earlier batches; nil where negatives are not from a queue.
  public var queue: KeyQueue? { (loss as? KeyComparison)?.queue }

  /// Starts the online network and the queue from the seed and the target as a copy; keys are shuffled by it too.
  public func initialize(seed: UInt64) {
    targetNetwork?.shuffle?.seed = seed
    online.initialize(seed: seed)
    copyOnlineToTarget()
    queue?.initialize(seed: seed)
  }

  /// Makes the target's parameters the online network's.
  public func copyOnlineToTarget() {
    guard let target else { return }
    target.values.pointer.update(from: online.values.pointer, count: target.values.count)
  }

  /// Forward, loss and backward of one step: afterwards the online gradients are this rank's share of the gradient of
  /// the mean over the global batch. Collective where the loss is.
  ///
  /// - Parameters:
  ///   - views: [2 * imagesPerView x size x size x 3], NHWC, normalised.
  ///   - globalBatch: images of all ranks.
  ///   - index: the step's number, by which keys are shuffled.
  /// - Returns: this rank's share of the loss, both directions summed.
  /// - Throws: `CollectiveError`.
  public func step(views: UnsafePointer<Float>, globalBatch: Int, index: Int = 0) throws -> Double {
    let images = layout.images
    try targetNetwork?.takeViews(views, index: index)
    // The networks take turns, so that one computes while the other's statistics cross the ranks.
    for part in 0..<encoder.forwardParts {
      try encoder.forward(part: part, views, images: images, weights: online.weights)
      if part == 0 { try beforeTarget?() }
      try targetNetwork?.forward(part: part)
    }
    let features = try encoder.finishForward(images: images, weights: online.weights)
    try projector.startForward(features, images: images, weights: online.weights)
    try targetNetwork?.startProjecting()
    let z = try projector.finishForward(images: images, weights: online.weights)
    let targets = try targetNetwork?.finishProjecting()
    let queries = try predictor?.forward(z, images: images, weights: online.weights) ?? z
    online.batchesTracked += context.scopes.batches(layout)
    projections = z
    targetProjections = targets ?? z
    let value = try loss.evaluate(
      LossRows(
        queries: queries, keys: targets ?? z, rows: layout.imagesPerView, dimensions: shape.dimensions,
        queryGradient: queryGradient.pointer, keyGradient: keyGradient?.pointer), globalRows: globalBatch)
    try backward()
    return value
  }

  /// From the loss's gradients to those of all parameters.
  private func backward() throws {
    let images = layout.images
    let zGradient =
      try predictor?.backward(queryGradient.pointer, images: images, weights: online.weights) ?? queryGradient.pointer
    // Without stop-gradient z is a key too.
    if let keyGradient {
      for index in 0..<images * shape.dimensions { zGradient[index] += keyGradient.pointer[index] }
    }
    let featureGradient = try projector.backward(zGradient, images: images, weights: online.weights)
    try encoder.backward(featureGradient, images: images, weights: online.weights)
  }

  /// Floating-point operations that direct convolutions would take for one view of one image in a step: the online and
  /// the target's forward pass, the filters' gradients, and the inputs' but for the stem.
  public var convolutionWorkPerImage: Double {
    let works = shape.encoder.convolutions(images: 1).map { $0.operations(images: 1) }
    return (plan.hasTarget ? 4 : 3) * works.reduce(0, +) - (works.first ?? 0)
  }

  /// The online encoder's features in evaluation phase, [images x features], at most `layout.images` at a time; valid
  /// until the next pass.
  public func features(of pixels: UnsafePointer<Float>, images: Int) throws -> UnsafePointer<Float> {
    precondition(images <= layout.images, "\(images) images do not fit a pass of \(layout.images)")
    context.phase = .evaluation
    defer { context.phase = .training }
    return try encoder.forward(pixels, images: images, weights: online.weights)
  }
}

/// The target: encoder and projector that are never trained, so that a pass keeps nothing.
private final class TargetNetwork {
  let store: ParameterStore
  private let context: NetworkContext
  private let encoder: ResNet
  private let projector: MLP
  /// nil where keys keep their places, or where all images share statistics, so that places do not matter.
  let shuffle: KeyShuffle?
  private var input: UnsafePointer<Float>?

  /// - Parameter online: whose scratch, maps and clock it uses too.
  init(_ shape: ModelShape, shuffles: Bool, sharing online: NetworkContext, world: Communicator) {
    context = NetworkContext(
      team: online.team, scratch: online.scratch, maps: online.maps, layout: online.layout, scope: online.scopes,
      keepsActivations: false, clock: online.clock)
    let plan = ParameterPlan()
    encoder = ResNet("encoder.", shape: shape.encoder, plan: plan, context: context)
    projector = shape.projector(plan, context)
    store = ParameterStore(plan, trained: false)
    shuffle =
      shuffles && !context.scopes.coverBatch(context.layout, ranks: world.size)
      ? KeyShuffle(
        images: context.layout.imagesPerView, imageFloats: shape.encoder.imageSize * shape.encoder.imageSize * 3,
        dimensions: shape.dimensions, world: world, clock: context.clock) : nil
  }

  /// Begins a forward pass.
  func takeViews(_ views: UnsafePointer<Float>, index: Int) throws {
    input = try shuffle?.scatter(views, step: index) ?? views
  }

  /// One part of the encoder's; see `ResNet.forward(part:)`.
  func forward(part: Int) throws {
    guard let input else { preconditionFailure("a forward pass without views") }
    try encoder.forward(part: part, input, images: context.layout.images, weights: store.weights)
  }

  /// After all parts.
  func startProjecting() throws {
    let images = context.layout.images
    let features = try encoder.finishForward(images: images, weights: store.weights)
    store.batchesTracked += context.scopes.batches(context.layout)
    try projector.startForward(features, images: images, weights: store.weights)
  }

  /// z', [images x dimensions].
  func finishProjecting() throws -> UnsafePointer<Float> {
    let projections = try projector.finishForward(images: context.layout.images, weights: store.weights)
    return try shuffle?.collect(projections) ?? projections
  }
}

extension ModelShape {
  fileprivate func projector(_ plan: ParameterPlan, _ context: NetworkContext) -> MLP {
    MLP(
      "projector", inputs: encoder.features, hidden: hidden, outputs: dimensions, norm: projectorNorm,
      standardized: standardizesWeights, plan: plan, context: context)
  }

  fileprivate func predictorHead(_ plan: ParameterPlan, _ context: NetworkContext) -> (any Head)? {
    switch predictor {
    case .none: nil
    case .linear:
      LinearHead(
        "predictor", inputs: dimensions, outputs: dimensions, standardized: standardizesWeights, plan: plan,
        context: context)
    case .mlp:
      MLP(
        "predictor", inputs: dimensions, hidden: hidden, outputs: dimensions, norm: predictorNorm,
        standardized: standardizesWeights, plan: plan, context: context)
    }
  }
}
