import Kernels

/// A convolution without bias and the normalisation behind it: the unit that residual networks are made of.
package final class ConvolutionNorm {
  package let shape: ConvolutionShape
  package let norm: any Normalization
  private let convolution: Convolution
  private let filter: Parameter
  private let standardization: WeightStandardization?
  private let context: NetworkContext
  /// The convolution's output; the norm's backward pass needs it.
  private let sum: Scratch
  var outputFloats: Int { shape.images * shape.outputHeight * shape.outputWidth * shape.outputChannels }
  var inputFloats: Int { shape.images * shape.height * shape.width * shape.inputChannels }

  /// - Parameters:
  ///   - standardized: whether the convolution computes with standardised weights.
  ///   - role: where the convolution's output goes in a network that keeps nothing.
  package init(
    convolution name: String, norm normName: String, _ kind: NormKind, standardized: Bool, shape: ConvolutionShape,
    sharedAs role: SharedMaps.Role, plan: ParameterPlan, context: NetworkContext
  ) {
    self.shape = shape
    self.context = context
    convolution = Convolution(shape, team: context.team, scratch: context.scratch)
    filter = plan.add(
      name + ".weight", shape: [shape.outputChannels, shape.inputChannels, shape.kernel, shape.kernel],
      layout: .convolution, start: .kaimingNormal)
    standardization = standardized ? WeightStandardization(filter, team: context.team) : nil
    norm = kind.layer(
      normName, channels: shape.outputChannels, rowsPerImage: shape.outputHeight * shape.outputWidth,
      group: context.scopes.encoder, plan: plan, context: context)
    sum = context.map(
      shape.images * shape.outputHeight * shape.outputWidth * shape.outputChannels, otherwise: role)
  }

  /// Floats of the map that a unit's activation is put in for this one to read, a piece at a time.
  var activationFloats: Int {
    max(convolution.forwardPiece, context.keepsActivations ? convolution.filterGradientPiece : 0) * shape.inputSize
  }

  /// Computes the convolution and starts on the statistics of the norm behind it, a few images at a time: each piece of
  /// the input is normalised before and each piece of the output is summed up after, while the caches have it. Other
  /// ranks are waited for by what follows: `normalize`, or another unit that takes this one as its input.
  package func forward(_ input: UnitInput, images: Int, weights: Weights) throws {
    if case .activation(let unit) = input { try unit.settle(weights) }
    let weightsInUse = context.clock.measure(.convolutionForward) {
      standardization?.standardize(weights.value(filter))
      return filterInUse(weights)
    }
    for first in stride(from: 0, to: images, by: convolution.forwardPiece) {
      let piece = first..<min(first + convolution.forwardPiece, images)
      let source = source(input, piece, weights)
      context.clock.measure(.convolutionForward) {
        convolution.forward(
          images: piece.count, input: source, filter: weightsInUse, output: sum.pointer + first * shape.outputSize,
          keepsFilter: first > 0)
      }
      context.clock.measure(.norm) { norm.observe(sum.pointer, images: piece) }
    }
    try context.clock.measure(.norm) { try norm.startSettling(images: images, weights: weights) }
  }

  private func settle(_ weights: Weights) throws {
    try context.clock.measure(.norm) { try norm.settle(weights: weights) }
  }

  /// output = relu?(norm(convolution(input)) (+ residual)) of the last forward pass.
  package func normalize(
    residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>, images: Int, weights: Weights
  ) throws {
    try normalizing(residual: residual, relu: relu, output: output, weights: weights).whole(images)
  }

  /// The same as a map that its first reader has made, a few images at a time. Waits for other ranks now.
  func normalizing(
    residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>, weights: Weights
  ) throws -> UnitInput {
    try settle(weights)
    return .made(UnsafePointer(output)) { [self] piece in
      context.clock.measure(.norm) {
        norm.apply(
          sum.pointer, residual: residual, relu: relu, output: output + piece.lowerBound * shape.outputSize,
          images: piece, weights: weights)
      }
    }
  }

  /// output = the max-pooling of relu(norm(convolution(input))) of the last forward pass; see `Pooling.maxForward`.
  /// Batch norm and ReLU join the pooling's own pass.
  /// - Parameter activation: room for relu(norm(...)), for other norms.
  package func normalizePooled(
    output: UnsafeMutablePointer<Float>, chosen: UnsafeMutablePointer<UInt8>?,
    activation: UnsafeMutablePointer<Float>, images: Int, weights: Weights
  ) throws {
    try settle(weights)
    if let batchNorm = norm as? BatchNorm {
      return context.clock.measure(.norm) {
        batchNorm.applyPooled(
          sum.pointer, height: shape.outputHeight, width: shape.outputWidth, output: output, chosen: chosen,
          images: images, weights: weights)
      }
    }
    try normalize(residual: nil, relu: true, output: activation, images: images, weights: weights)
    context.clock.measure(.pooling) {
      Pooling.maxForward(
        activation, images: images, height: shape.outputHeight, width: shape.outputWidth,
        channels: shape.outputChannels, output: output, chosen: chosen, team: context.team)
    }
  }

  /// A piece of what the unit reads.
  private func source(_ input: UnitInput, _ piece: Range<Int>, _ weights: Weights) -> UnsafePointer<Float> {
    switch input {
    case .map(let map): return map + piece.lowerBound * shape.inputSize
    case .made(let map, let make):
      make(piece)
      return map + piece.lowerBound * shape.inputSize
    case .activation(let unit):
      let activation = context.maps[.activation].pointer
      context.clock.measure(.norm) {
        unit.norm.apply(
          unit.sum.pointer, residual: nil, relu: true, output: activation, images: piece, weights: weights)
      }
      return UnsafePointer(activation)
    }
  }

  private func filterInUse(_ weights: Weights) -> UnsafePointer<Float> {
    standardization?.weights ?? UnsafePointer(weights.value(filter))
  }

  /// Begins the backward pass: takes in the gradient of `normalize`'s output, some images of it in their order; see
  /// `Normalization.observeGradient`.
  func takeGradient(
    _ gradient: UnsafeMutablePointer<Float>, mask: ReLUMask, images: Range<Int>, weights: Weights
  ) {
    context.clock.measure(.norm) {
      norm.observeGradient(gradient, x: sum.pointer, mask: mask, images: images, weights: weights)
    }
  }

  /// After `takeGradient` of all images: starts to settle it with the other ranks.
  func startSettlingGradient(images: Int, weights: Weights) throws {
    try context.clock.measure(.norm) { try norm.startSettlingGradient(images: images, weights: weights) }
  }

  /// After `startSettlingGradient`: the gradient of the convolution's output and that of the input, a few images at a time.
  /// - Parameters:
  ///   - sumGradient: room for the gradient of the convolution's output; may be `gradient`.
  ///   - taken: called with each few images of the input's gradient, while the caches have them.
  package func backwardInput(
    _ gradient: UnsafeMutablePointer<Float>, mask: ReLUMask, sumGradient: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool, images: Int, weights: Weights,
    taken: (Range<Int>) -> Void
  ) throws {
    try context.clock.measure(.norm) { try norm.settleGradient() }
    for first in stride(from: 0, to: images, by: convolution.inputGradientPiece) {
      let piece = first..<min(first + convolution.inputGradientPiece, images)
      applyNorm(gradient, mask: mask, sumGradient: sumGradient, piece, weights)
      context.clock.measure(.convolutionBackward) {
        convolution.inputGradient(
          images: piece.count, outputGradient: sumGradient + first * shape.outputSize, filter: filterInUse(weights),
          inputGradient: inputGradient + first * shape.inputSize, accumulate: accumulate, keepsFilter: first > 0)
      }
      taken(piece)
    }
  }

  /// After `backwardInput`: the filter's gradient. An activation is computed again, a few images at a time.
  package func backwardFilter(
    _ sumGradient: UnsafePointer<Float>, input: UnitInput, images: Int, weights: Weights
  ) {
    for first in stride(from: 0, to: images, by: convolution.filterGradientPiece) {
      let piece = first..<min(first + convolution.filterGradientPiece, images)
      addToFilterGradient(sumGradient, input: input, piece, of: images, weights)
    }
  }

  /// In place of both for a unit whose input needs no gradient; `gradient` becomes that of the convolution's output.
  package func backwardFilterOnly(
    _ gradient: UnsafeMutablePointer<Float>, mask: ReLUMask, input: UnitInput, images: Int, weights: Weights
  ) throws {
    try context.clock.measure(.norm) { try norm.settleGradient() }
    for first in stride(from: 0, to: images, by: convolution.filterGradientPiece) {
      let piece = first..<min(first + convolution.filterGradientPiece, images)
      applyNorm(gradient, mask: mask, sumGradient: gradient, piece, weights)
      addToFilterGradient(gradient, input: input, piece, of: images, weights)
    }
  }

  private func applyNorm(
    _ gradient: UnsafePointer<Float>, mask: ReLUMask, sumGradient: UnsafeMutablePointer<Float>, _ piece: Range<Int>,
    _ weights: Weights
  ) {
    context.clock.measure(.norm) {
      norm.applyGradient(
        gradient, x: sum.pointer, mask: mask, inputGradient: sumGradient, images: piece, weights: weights)
    }
  }

  private func addToFilterGradient(
    _ sumGradient: UnsafePointer<Float>, input: UnitInput, _ piece: Range<Int>, of images: Int, _ weights: Weights
  ) {
    let source = source(input, piece, weights)
    let isLast = piece.upperBound == images
    context.clock.measure(.convolutionBackward) {
      convolution.filterGradient(
        images: piece.count, input: source, outputGradient: sumGradient + piece.lowerBound * shape.outputSize,
        filterGradient: weights.gradient(filter), isFirst: piece.lowerBound == 0, isLast: isLast)
      if isLast { standardization?.backward(weights.gradient(filter), weights: weights.value(filter)) }
    }
  }
}

/// What a unit of convolution and norm reads.
package enum UnitInput {
  case map(UnsafePointer<Float>)
  /// A map that is made as it is read, for which the images of each piece are called for before.
  case made(UnsafePointer<Float>, by: (Range<Int>) -> Void)
  /// relu(norm(...)) of another unit's last forward pass, which is nowhere written as a whole.
  case activation(ConvolutionNorm)
}

extension UnitInput {
  /// Has all of a map made at once, for readers of another kind.
  @discardableResult
  func whole(_ images: Int) -> UnsafePointer<Float> {
    switch self {
    case .map(let map): return map
    case .made(let map, let make):
      make(0..<images)
      return map
    case .activation: preconditionFailure("an activation that is nowhere written as a whole")
    }
  }

  /// The map, once it is made.
  var map: UnsafePointer<Float> {
    switch self {
    case .map(let map), .made(let map, _): map
    case .activation: preconditionFailure("an activation that is nowhere written as a whole")
    }
  }
}
