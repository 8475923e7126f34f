import Kernels

/// Projector and predictor: Linear, norm, ReLU, Linear (Grill et al. 2020, section 3.3). Parameter names follow
/// torch.nn.Sequential: 0 Linear, 1 norm, 3 Linear.
public final class MLP: Head {
  public let inputs: Int
  public let outputs: Int
  private let first: LinearLayer
  private let norm: any Normalization
  private let second: LinearLayer
  private let hidden: Int
  private let context: NetworkContext
  private let sum: Scratch
  private let activation: Scratch
  private let output: Scratch
  private let hiddenGradient: Scratch
  private let inputGradient: Scratch
  private var input: UnsafePointer<Float>?
  private let firstOffset: Int

  /// - Parameter standardized: whether the linear layers compute with standardised weights.
  public init(
    _ name: String, inputs: Int, hidden: Int, outputs: Int, norm kind: NormKind, standardized: Bool = false,
    plan: ParameterPlan,
    context: NetworkContext
  ) {
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
    self.context = context
    firstOffset = plan.floats
    let rows = context.layout.images
    first = LinearLayer(
      name + ".0", inputs: inputs, outputs: hidden, standardized: standardized, plan: plan, context: context)
    norm = kind.layer(
      name + ".1", channels: hidden, rowsPerImage: 1, group: context.scopes.heads, plan: plan, context: context)
    second = LinearLayer(
      name + ".3", inputs: hidden, outputs: outputs, standardized: standardized, plan: plan, context: context)
    func own(_ floats: Int) -> Scratch {
      let buffer = Scratch()
      buffer.reserve(floats)
      return buffer
    }
    sum = own(rows * hidden)
    activation = own(rows * hidden)
    output = own(rows * outputs)
    hiddenGradient = own(context.keepsActivations ? rows * hidden : 0)
    inputGradient = own(context.keepsActivations ? rows * inputs : 0)
  }

  /// The first half of a forward pass of input [images x inputs], which starts messages to the other ranks that the
  /// second half waits for.
  public func startForward(_ input: UnsafePointer<Float>, images: Int, weights: Weights) throws {
    self.input = input
    first.forward(input, output: sum.pointer, rows: images, weights: weights)
    try context.clock.measure(.norm) {
      norm.observe(sum.pointer, images: images, team: context.team)
      try norm.startSettling(images: images, weights: weights)
    }
  }

  /// input [images x inputs] to [images x outputs]; the result lives until the next call.
  public func forward(_ input: UnsafePointer<Float>, images: Int, weights: Weights) throws -> UnsafePointer<Float> {
    try startForward(input, images: images, weights: weights)
    return try finishForward(images: images, weights: weights)
  }

  /// The second half: [images x outputs], which live until the next pass.
  public func finishForward(images: Int, weights: Weights) throws -> UnsafePointer<Float> {
    try context.clock.measure(.norm) {
      try norm.settle(weights: weights)
      norm.apply(
        sum.pointer, residual: nil, relu: true, output: activation.pointer, images: 0..<images, weights: weights,
        team: context.team)
    }
    second.forward(activation.pointer, output: output.pointer, rows: images, weights: weights)
    return UnsafePointer(output.pointer)
  }

  /// Takes the gradient of the last `forward`'s result, writes all parameters' gradients and returns the input's,
  /// [images x inputs].
  public func backward(
    _ gradient: UnsafePointer<Float>, images: Int, weights: Weights
  ) throws -> UnsafeMutablePointer<Float> {
    guard let input else { preconditionFailure("backward before forward") }
    second.backward(
      input: activation.pointer, outputGradient: gradient, inputGradient: hiddenGradient.pointer, rows: images,
      weights: weights)
    try context.clock.measure(.norm) {
      try norm.backward(
        gradient: hiddenGradient.pointer, x: sum.pointer, mask: .recomputed, inputGradient: hiddenGradient.pointer,
        images: images, weights: weights, team: context.team)
    }
    first.backward(
      input: input, outputGradient: hiddenGradient.pointer, inputGradient: inputGradient.pointer, rows: images,
      weights: weights)
    try context.gradientsReady?(firstOffset)
    return inputGradient.pointer
  }
}
