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
  /// Whether the heads' linear layers compute with standardised weights.
  public var standardizesWeights: Bool

  public init(
    encoder: EncoderShape, hidden: Int, dimensions: Int, projectorNorm: NormKind, predictorNorm: NormKind,
    standardizesWeights: Bool = false
  ) {
    self.encoder = encoder
    self.hidden = hidden
    self.dimensions = dimensions
    self.projectorNorm = projectorNorm
    self.predictorNorm = predictorNorm
    self.standardizesWeights = standardizesWeights
  }
}

/// One rank's replica of BYOL (Grill et al. 2020): the online network, which is trained, and its target.
///
/// Both views go through each network in one pass, view 0's images first; each view is normalised by itself.
public final class BYOL {
  public let shape: ModelShape
  public let layout: BatchLayout
  public let online: ParameterStore
  public let target: ParameterStore
  /// The online network's part of the pass: its phase and its gradient hook are the caller's to set.
  public let context: NetworkContext
  private let targetContext: NetworkContext
  private let encoder: ResNet
  private let projector: MLP
  private let predictor: MLP
  private let targetEncoder: ResNet
  private let targetProjector: MLP
  private let predictionGradient: AlignedBuffer
  /// z of the last step, [images x dimensions], the online network's; z' the target's.
  public private(set) var projections: UnsafePointer<Float>?
  public private(set) var targetProjections: UnsafePointer<Float>?

  public init(_ shape: ModelShape, layout: BatchLayout, scope: BatchNormScopes, team: ThreadTeam) {
    precondition(layout.views == 2, "BYOL takes two views")
    self.shape = shape
    self.layout = layout
    let scratch = Scratch()
    let maps = SharedMaps()
    context = NetworkContext(
      team: team, scratch: scratch, maps: maps, layout: layout, scope: scope, keepsActivations: true)
    targetContext = NetworkContext(
      team: team, scratch: scratch, maps: maps, layout: layout, scope: scope, keepsActivations: false,
      clock: context.clock)
    let plan = ParameterPlan()
    let targetPlan = ParameterPlan()
    encoder = ResNet("encoder.", shape: shape.encoder, plan: plan, context: context)
    targetEncoder = ResNet("encoder.", shape: shape.encoder, plan: targetPlan, context: targetContext)
    func head(_ name: String, _ inputs: Int, _ norm: NormKind, _ plan: ParameterPlan, _ context: NetworkContext) -> MLP
    {
      MLP(
        name, inputs: inputs, hidden: shape.hidden, outputs: shape.dimensions, norm: norm,
        standardized: shape.standardizesWeights, plan: plan, context: context)
    }
    projector = head("projector", shape.encoder.features, shape.projectorNorm, plan, context)
    targetProjector = head("projector", shape.encoder.features, shape.projectorNorm, targetPlan, targetContext)
    predictor = head("predictor", shape.dimensions, shape.predictorNorm, plan, context)
    online = ParameterStore(plan, trained: true)
    target = ParameterStore(targetPlan, trained: false)
    predictionGradient = AlignedBuffer(count: layout.images * shape.dimensions)
  }

  /// Starts the online network from the seed and the target as its copy.
  public func initialize(seed: UInt64) {
    online.initialize(seed: seed)
    copyOnlineToTarget()
  }

  /// Makes the target's parameters the online network's.
  public func copyOnlineToTarget() {
    target.values.pointer.update(from: online.values.pointer, count: target.values.count)
  }

  /// Forward, loss and backward of one step: afterwards the online gradients are this rank's share of the gradient of
  /// the mean over the global batch.
  ///
  /// - Parameters:
  ///   - views: [2 * imagesPerView x size x size x 3], NHWC, normalised.
  ///   - globalBatch: images of all ranks.
  /// - Returns: this rank's share of the loss, both directions summed.
  /// - Throws: `CollectiveError`.
  public func step(views: UnsafePointer<Float>, globalBatch: Int) throws -> Double {
    let images = layout.images
    let half = layout.imagesPerView
    let dimensions = shape.dimensions
    let targetFeatures = try targetEncoder.forward(views, images: images, weights: target.weights)
    let targets = try targetProjector.forward(targetFeatures, images: images, weights: target.weights)
    let features = try encoder.forward(views, images: images, weights: online.weights)
    let z = try projector.forward(features, images: images, weights: online.weights)
    let predictions = try predictor.forward(z, images: images, weights: online.weights)
    online.batchesTracked += context.scopes.batches(layout)
    target.batchesTracked += context.scopes.batches(layout)
    projections = z
    targetProjections = targets
    var loss = 0.0
    for view in 0..<2 {
      let own = view * half * dimensions
      let other = (1 - view) * half * dimensions
      loss += BYOLLoss.direction(
        predictions: predictions + own, projections: targets + other, rows: half, dimensions: dimensions,
        globalRows: globalBatch, gradient: predictionGradient.pointer + own)
    }
    let zGradient = try predictor.backward(predictionGradient.pointer, images: images, weights: online.weights)
    let featureGradient = try projector.backward(zGradient, images: images, weights: online.weights)
    try encoder.backward(featureGradient, images: images, weights: online.weights)
    return loss
  }

  /// Floating-point operations that direct convolutions would take for one view of one image in a step: the online and
  /// the target's forward pass, the filters' gradients, and the inputs' but for the stem.
  public var convolutionWorkPerImage: Double {
    let works = shape.encoder.convolutions(images: 1).map { $0.operations(images: 1) }
    return 4 * works.reduce(0, +) - (works.first ?? 0)
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
