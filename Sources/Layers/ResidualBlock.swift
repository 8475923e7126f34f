import Kernels

/// A residual block (He et al. 2016): units of convolution, norm and ReLU whose last one adds the block's input, or
/// its projection where the shape changes, before its ReLU. Two 3x3 units make the basic block, 1x1, 3x3, 1x1 the
/// bottleneck (stride on the 3x3, as torchvision).
package final class ResidualBlock {
  package let outputChannels: Int
  package let outputHeight: Int
  package let outputWidth: Int
  private let units: [ConvolutionNorm]
  private let downsample: ConvolutionNorm?
  private let context: NetworkContext
  /// The block's own map, or where nothing is kept two that all blocks share.
  private let output: [Scratch]
  private let firstOffset: Int
  /// What the last forward pass took, for the shortcut and for the first unit's filter gradient: a map, or an activation that is
  /// nowhere written.
  private var input: UnitInput?
  private var kept: UnsafeMutablePointer<Float>?

  /// - Parameters:
  ///   - channels: of the block's inner units; a bottleneck's output has four times as many.
  ///   - projection: where the projection goes in a network that keeps nothing; not where the one goes that the input is made of.
  package init(
    _ name: String, bottleneck: Bool, height: Int, width: Int, inputChannels: Int, channels: Int, stride: Int,
    norm: NormKind, standardized: Bool = false, sharedAs projection: SharedMaps.Role = .shortcut0, plan: ParameterPlan,
    context: NetworkContext
  ) {
    self.context = context
    firstOffset = plan.floats
    let images = context.layout.images
    let kernels = bottleneck ? [1, 3, 1] : [3, 3]
    let strides = bottleneck ? [1, stride, 1] : [stride, 1]
    let outputs = bottleneck ? [channels, channels, 4 * channels] : [channels, channels]
    var made: [ConvolutionNorm] = []
    var (rows, columns, depth) = (height, width, inputChannels)
    for (index, kernel) in kernels.enumerated() {
      let shape = ConvolutionShape(
        images: images, height: rows, width: columns, inputChannels: depth, outputChannels: outputs[index],
        kernel: kernel, stride: strides[index], padding: kernel / 2)
      made.append(
        ConvolutionNorm(
          convolution: "\(name).conv\(index + 1)", norm: "\(name).bn\(index + 1)", norm, standardized: standardized,
          shape: shape,
          sharedAs: [.convolution0, .convolution1, .convolution2][index], plan: plan, context: context))
      (rows, columns, depth) = (shape.outputHeight, shape.outputWidth, shape.outputChannels)
    }
    units = made
    outputChannels = depth
    outputHeight = rows
    outputWidth = columns
    if stride != 1 || inputChannels != depth {
      let shape = ConvolutionShape(
        images: images, height: height, width: width, inputChannels: inputChannels, outputChannels: depth, kernel: 1,
        stride: stride, padding: 0)
      downsample = ConvolutionNorm(
        convolution: "\(name).downsample.0", norm: "\(name).downsample.1", norm, standardized: standardized,
        shape: shape,
        sharedAs: projection, plan: plan, context: context)
    } else {
      downsample = nil
    }
    let floats = images * rows * columns * depth
    if context.keepsActivations {
      let own = Scratch()
      own.reserve(floats)
      output = [own]
    } else {
      output = [context.shared(.output0, floats), context.shared(.output1, floats)]
    }
    reserve()
  }

  var convolutions: [ConvolutionShape] { (units + [downsample].compactMap { $0 }).map(\.shape) }

  private func reserve() {
    let largest = units.map { max($0.inputFloats, $0.outputFloats) }.max() ?? 0
    _ = context.shared(.activation, units.dropFirst().map(\.activationFloats).max() ?? 0)
    guard context.keepsActivations else { return }
    for role in [SharedMaps.Role.gradient0, .gradient1, .work0, .work1] { _ = context.shared(role, largest) }
  }

  /// The parts of a forward pass, between which other ranks need not be waited for.
  package var forwardParts: Int { units.count }

  /// Whether the block can take a unit's activation that is nowhere written.
  func reads(activationOf unit: ConvolutionNorm) -> Bool {
    downsample == nil && units[0].reads(activationOf: unit)
  }

  /// The first part, which takes the block's input.
  package func forward(_ input: UnitInput, images: Int, weights: Weights) throws {
    let later = input.isActivation ? input : .map(input.map)
    self.input = later
    precondition(
      downsample.map { !input.isMade(of: $0.normalizedMap) } ?? true, "a projection over what the input is made of")
    // The first to read it has it made.
    try downsample?.forward(input, images: images, weights: weights)
    try units[0].forward(downsample == nil ? input : later, images: images, weights: weights)
  }

  /// A later part, which needs what the one before it started on with the other ranks.
  package func forward(part: Int, images: Int, weights: Weights) throws {
    try units[part].forward(.activation(units[part - 1]), images: images, weights: weights)
  }

  /// After all parts: the output, made as it is read. Where nothing is kept it lies over an input that is added to it, which saves a
  /// map that the caches would have to make room for, and lives until the next block's is made.
  package func finishForward(images: Int, weights: Weights) throws -> UnitInput {
    guard let input else { preconditionFailure("the end of a forward pass before its beginning") }
    let inputsPlace = output.firstIndex { UnsafePointer($0.pointer) == input.place }
    let target = output[downsample == nil ? inputsPlace ?? 0 : inputsPlace == 0 ? 1 : 0].pointer
    kept = target
    return try units[units.count - 1].normalizing(
      residual: shortcut(input, projectedTo: target, images, weights), relu: true, output: target, weights: weights)
  }

  /// The input or its projection, which is written to `target` where it cannot be made as it is added.
  private func shortcut(
    _ input: UnitInput, projectedTo target: UnsafeMutablePointer<Float>, _ images: Int, _ weights: Weights
  ) throws -> Shortcut {
    guard let downsample else {
      guard case .activation(let unit) = input else { return Shortcut(input.map) }
      guard let activation = try unit.shortcut(relu: true, weights: weights) else {
        preconditionFailure("an activation that its readers cannot compute")
      }
      return activation
    }
    if let projection = try downsample.shortcut(relu: false, weights: weights) { return projection }
    try downsample.normalize(residual: nil, relu: false, output: target, images: images, weights: weights)
    return Shortcut(UnsafePointer(target))
  }

  /// Begins the backward pass: what takes in the gradient of the output.
  package func taker(_ weights: Weights) -> GradientTaker {
    guard let kept else { preconditionFailure("backward before forward") }
    return units[units.count - 1].taker(
      mask: .output(UnsafePointer(kept)), projection: downsample, weights: weights)
  }

  /// After all of the gradient was taken.
  package func startSettlingGradient(images: Int, weights: Weights) throws {
    try units[units.count - 1].startSettlingGradient(images: images, weights: weights)
    try downsample?.startSettlingGradient(images: images, weights: weights)
  }

  /// After `startSettlingGradient`: the input's gradient, in either of the shared maps.
  /// - Parameters:
  ///   - gradient: of the output, in one of the two shared gradient maps.
  ///   - below: takes the input's gradient.
  ///   - whenComplete: called before the last filters' gradients are computed, for what is below to have its messages
  ///     under way meanwhile.
  package func backward(
    _ gradient: UnsafeMutablePointer<Float>, images: Int, weights: Weights, below: GradientTaker?,
    whenComplete: () throws -> Void
  ) throws -> UnsafeMutablePointer<Float> {
    guard let input, let kept else { preconditionFailure("backward before forward") }
    let (work0, work1) = (context.maps[.work0].pointer, context.maps[.work1].pointer)
    var inputGradient = gradient
    if downsample != nil {
      let (one, two) = (context.maps[.gradient0].pointer, context.maps[.gradient1].pointer)
      inputGradient = gradient == one ? two : one
    }
    var (from, mask, sumGradient) = (gradient, ReLUMask.output(UnsafePointer(kept)), work0)
    for index in stride(from: units.count - 1, to: 0, by: -1) {
      let (source, target) = (units[index - 1], sumGradient == work0 ? work1 : work0)
      try units[index].backwardInput(
        from, mask: mask, sumGradient: sumGradient, inputGradient: target, accumulate: false, images: images,
        weights: weights, taker: source.taker(mask: .recomputed, weights: weights))
      try source.startSettlingGradient(images: images, weights: weights)
      units[index].backwardFilter(sumGradient, input: .activation(source), images: images, weights: weights)
      (from, mask, sumGradient) = (target, .recomputed, target)
    }
    // Without a projection the masked gradient is already the identity branch's; the convolution adds its own.
    try units[0].backwardInput(
      from, mask: mask, sumGradient: sumGradient, inputGradient: inputGradient, accumulate: downsample == nil,
      images: images, weights: weights, taker: downsample == nil ? below : nil)
    try downsample?.backwardInput(
      gradient, mask: .none, sumGradient: gradient, inputGradient: inputGradient, accumulate: true, images: images,
      weights: weights, taker: below)
    try whenComplete()
    units[0].backwardFilter(sumGradient, input: input, images: images, weights: weights)
    downsample?.backwardFilter(gradient, input: input, images: images, weights: weights)
    try context.gradientsReady?(firstOffset)
    return inputGradient
  }
}
