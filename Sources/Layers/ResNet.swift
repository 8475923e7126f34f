import Kernels

/// What a residual network is made of.
public struct EncoderShape: Sendable, Equatable {
  public var kind: EncoderKind
  /// Channels of the first stage.
  public var width: Int
  public var stem: Stem
  /// Pixels a side of the square input.
  public var imageSize: Int
  public var norm: NormKind
  /// Whether convolutions compute with standardised weights.
  public var standardizesWeights: Bool

  public init(
    kind: EncoderKind, width: Int, stem: Stem, imageSize: Int, norm: NormKind, standardizesWeights: Bool = false
  ) {
    self.kind = kind
    self.width = width
    self.stem = stem
    self.imageSize = imageSize
    self.norm = norm
    self.standardizesWeights = standardizesWeights
  }

  /// Blocks of the four stages.
  public var blocks: [Int] {
    switch kind {
    case .resnet10: [1, 1, 1, 1]
    case .resnet18: [2, 2, 2, 2]
    case .resnet34, .resnet50: [3, 4, 6, 3]
    }
  }

  public var isBottleneck: Bool { kind == .resnet50 }
  /// The length of a feature vector.
  public var features: Int { width * 8 * (isBottleneck ? 4 : 1) }
}

/// The encoder f: torchvision's ResNet without its last linear layer, explicit forward and backward.
public final class ResNet {
  public let shape: EncoderShape
  private let context: NetworkContext
  private let stem: ConvolutionNorm
  /// Nil where the first block makes the activation as it reads.
  private let stemOutput: Scratch?
  private let blocks: [ResidualBlock]
  private let features: Scratch
  private let finalArea: Int
  private let finalChannels: Int
  private let firstOffset: Int
  private var input: UnsafePointer<Float>?

  /// - Parameter name: what the torchvision keys are put behind, with its dot, or nothing.
  public init(_ name: String, shape: EncoderShape, plan: ParameterPlan, context: NetworkContext) {
    self.shape = shape
    self.context = context
    firstOffset = plan.floats
    let images = context.layout.images
    let stemShape = shape.stemConvolution(images: images)
    stem = ConvolutionNorm(
      convolution: name + "conv1", norm: name + "bn1", shape.norm, standardized: shape.standardizesWeights,
      shape: stemShape, pools: shape.stem.pools, sharedAs: .output0, plan: plan, context: context)
    var (height, width) = (stemShape.outputHeight, stemShape.outputWidth)
    if shape.stem.pools { (height, width) = (Pooling.pooledSize(height), Pooling.pooledSize(width)) }
    let stemFloats = images * height * width * shape.width
    var made: [ResidualBlock] = []
    var channels = shape.width
    for (stage, count) in shape.blocks.enumerated() {
      for index in 0..<count {
        let block = ResidualBlock(
          "\(name)layer\(stage + 1).\(index)", bottleneck: shape.isBottleneck, height: height, width: width,
          inputChannels: channels, channels: shape.width << stage, stride: stage > 0 && index == 0 ? 2 : 1,
          norm: shape.norm, standardized: shape.standardizesWeights,
          sharedAs: stage % 2 == 0 ? .shortcut0 : .shortcut1, plan: plan, context: context)
        made.append(block)
        (height, width, channels) = (block.outputHeight, block.outputWidth, block.outputChannels)
      }
    }
    blocks = made
    // In a network that keeps nothing over what it is made of.
    stemOutput = made[0].reads(activationOf: stem) ? nil : context.map(stemFloats, otherwise: .output0)
    finalArea = height * width
    finalChannels = channels
    features = Scratch()
    features.reserve(images * channels)
    if context.keepsActivations {
      for role in [SharedMaps.Role.gradient0, .gradient1] { _ = context.shared(role, stemFloats) }
    }
  }

  /// Whether the first block reads a map that the stem's activation was written to.
  package var writesStemOutput: Bool { stemOutput != nil }

  /// Every convolution, the stem's first.
  var convolutions: [ConvolutionShape] { [stem.shape] + blocks.flatMap(\.convolutions) }

  /// The parts of a forward pass; see `forward(part:)`.
  public var forwardParts: Int { 1 + blocks.reduce(0) { $0 + $1.forwardParts } }

  /// One part of a forward pass of images NHWC [images x size x size x 3]. Each starts messages to the other ranks that
  /// the next part waits for, so a network beside this one may take its own part in between.
  public func forward(part: Int, _ input: UnsafePointer<Float>, images: Int, weights: Weights) throws {
    if part == 0 {
      self.input = input
      return try stem.forward(.map(input), images: images, weights: weights)
    }
    var (place, block) = (part - 1, 0)
    while place >= blocks[block].forwardParts {
      place -= blocks[block].forwardParts
      block += 1
    }
    guard place == 0 else { return try blocks[block].forward(part: place, images: images, weights: weights) }
    let source =
      try block == 0 ? stemOutput(weights) : blocks[block - 1].finishForward(images: images, weights: weights)
    try blocks[block].forward(source, images: images, weights: weights)
  }

  private func stemOutput(_ weights: Weights) throws -> UnitInput {
    guard let stemOutput else { return .activation(stem) }
    return try stem.normalizing(residual: nil, relu: true, output: stemOutput.pointer, weights: weights)
  }

  /// After all parts: the features [images x features], which live until the next pass.
  public func finishForward(images: Int, weights: Weights) throws -> UnsafePointer<Float> {
    let maps = try blocks[blocks.count - 1].finishForward(images: images, weights: weights)
    let whole = context.clock.measure(.norm) { maps.whole(images, team: context.team) }
    context.clock.measure(.pooling) {
      Pooling.averageForward(
        whole, images: images, area: finalArea, channels: finalChannels, output: features.pointer)
    }
    return UnsafePointer(features.pointer)
  }

  /// All parts: images NHWC [images x size x size x 3] to features [images x features].
  public func forward(_ input: UnsafePointer<Float>, images: Int, weights: Weights) throws -> UnsafePointer<Float> {
    for part in 0..<forwardParts { try forward(part: part, input, images: images, weights: weights) }
    return try finishForward(images: images, weights: weights)
  }

  /// Takes the gradient of the features [images x features] and writes the gradients of all parameters.
  public func backward(_ gradient: UnsafePointer<Float>, images: Int, weights: Weights) throws {
    guard let input else { preconditionFailure("backward before forward") }
    var current = context.maps[.gradient0].pointer
    context.clock.measure(.pooling) {
      Pooling.averageBackward(
        outputGradient: gradient, images: images, area: finalArea, channels: finalChannels, inputGradient: current)
    }
    let top = blocks[blocks.count - 1]
    context.clock.measure(.norm) {
      top.taker(weights).takeAll(current, Pieces(images: images, size: 1), team: context.team)
    }
    try top.startSettlingGradient(images: images, weights: weights)
    for index in blocks.indices.reversed() {
      let below: GradientTaker? =
        index > 0
        ? blocks[index - 1].taker(weights) : stem.taker(mask: .recomputed, weights: weights)
      current = try blocks[index].backward(current, images: images, weights: weights, below: below) {
        if index > 0 { try blocks[index - 1].startSettlingGradient(images: images, weights: weights) }
      }
    }
    try stem.startSettlingGradient(images: images, weights: weights)
    try stem.backwardFilterOnly(
      current, mask: .recomputed, input: .map(input), images: images, weights: weights)
    try context.gradientsReady?(firstOffset)
  }
}

extension EncoderShape {
  func stemConvolution(images: Int) -> ConvolutionShape {
    let (kernel, stride) =
      switch stem {
      case .imagenet: (7, 2)
      case .cifar: (3, 1)
      case .small: (3, 2)
      }
    return ConvolutionShape(
      images: images, height: imageSize, width: imageSize, inputChannels: 3, outputChannels: width, kernel: kernel,
      stride: stride, padding: kernel / 2)
  }
}

extension EncoderShape {
  /// Every convolution of the network, in the order of the forward pass, downsampling ones included.
  public func convolutions(images: Int) -> [ConvolutionShape] {
    let scope = BatchNormScopes.local
    let context = NetworkContext(
      team: ThreadTeam(threads: 1), scratch: Scratch(), maps: SharedMaps(),
      layout: BatchLayout(views: 1, imagesPerView: images), scope: scope, keepsActivations: false)
    return ResNet("", shape: self, plan: ParameterPlan(), context: context).convolutions
  }
}
