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

  /// - Parameter standardized: whether the convolution computes with standardised weights.
  /// - Parameter role: where the convolution's output goes in a network that keeps nothing.
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

  /// output = relu?(norm(convolution(input)) (+ residual)).
  package func forward(
    _ input: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights
  ) throws {
    convolve(input, images: images, weights: weights)
    try context.clock.measure(.norm) {
      try norm.forward(
        sum.pointer, residual: residual, relu: relu, output: output, images: images, weights: weights)
    }
  }

  /// output = the max-pooling of relu(norm(convolution(input))); see `Pooling.maxForward`. Batch norm and ReLU join the
  /// pooling's own pass.
  /// - Parameter activation: room for relu(norm(...)), for other norms.
  package func forwardPooled(
    _ input: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, chosen: UnsafeMutablePointer<UInt8>?,
    activation: UnsafeMutablePointer<Float>, images: Int, weights: Weights
  ) throws {
    guard let batchNorm = norm as? BatchNorm else {
      try forward(input, residual: nil, relu: true, output: activation, images: images, weights: weights)
      return context.clock.measure(.pooling) {
        Pooling.maxForward(
          activation, images: images, height: shape.outputHeight, width: shape.outputWidth,
          channels: shape.outputChannels, output: output, chosen: chosen, team: context.team)
      }
    }
    convolve(input, images: images, weights: weights)
    try context.clock.measure(.norm) {
      try batchNorm.forwardPooled(
        sum.pointer, height: shape.outputHeight, width: shape.outputWidth, output: output, chosen: chosen,
        images: images, weights: weights)
    }
  }

  private func convolve(_ input: UnsafePointer<Float>, images: Int, weights: Weights) {
    context.clock.measure(.convolutionForward) {
      standardization?.standardize(weights.value(filter))
      convolution.forward(images: images, input: input, filter: filterInUse(weights), output: sum.pointer)
    }
  }

  private func filterInUse(_ weights: Weights) -> UnsafePointer<Float> {
    standardization?.weights ?? UnsafePointer(weights.value(filter))
  }

  /// relu(norm(...)) of the last forward pass, computed again.
  package func activation(into output: UnsafeMutablePointer<Float>, images: Int, weights: Weights) {
    context.clock.measure(.norm) { norm.apply(sum.pointer, output: output, images: images, weights: weights) }
  }

  /// The norm's backward pass; see `Normalization.backward`.
  package func backwardNorm(
    _ gradient: UnsafeMutablePointer<Float>, mask: ReLUMask, into sumGradient: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights
  ) throws {
    try context.clock.measure(.norm) {
      try norm.backward(
        gradient: gradient, x: sum.pointer, mask: mask, inputGradient: sumGradient, images: images, weights: weights)
    }
  }

  /// The convolution's backward pass: the filter's gradient and, where wanted, the input's.
  package func backwardConvolution(
    _ sumGradient: UnsafePointer<Float>, input: UnsafePointer<Float>, into inputGradient: UnsafeMutablePointer<Float>?,
    accumulate: Bool, images: Int, weights: Weights
  ) {
    context.clock.measure(.convolutionBackward) {
      convolution.filterGradient(
        images: images, input: input, outputGradient: sumGradient, filterGradient: weights.gradient(filter))
      standardization?.backward(weights.gradient(filter), weights: weights.value(filter))
      if let inputGradient {
        convolution.inputGradient(
          images: images, outputGradient: sumGradient, filter: filterInUse(weights), inputGradient: inputGradient,
          accumulate: accumulate)
      }
    }
  }
}
