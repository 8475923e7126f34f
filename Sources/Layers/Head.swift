import Kernels

/// A small network behind the encoder, one row an image: projector or predictor.
public protocol Head: AnyObject {
  var inputs: Int { get }
  var outputs: Int { get }

  /// input [images x inputs] to [images x outputs]; the result lives until the next call.
  func forward(_ input: UnsafePointer<Float>, images: Int, weights: Weights) throws -> UnsafePointer<Float>

  /// Takes the gradient of the last `forward`'s result, writes all parameters' gradients and returns the input's,
  /// [images x inputs].
  func backward(
    _ gradient: UnsafePointer<Float>, images: Int, weights: Weights
  ) throws -> UnsafeMutablePointer<Float>
}

/// A head of one linear layer, without norm or ReLU: parameters `NAME.0.weight` and `NAME.0.bias`.
public final class LinearHead: Head {
  public let inputs: Int
  public let outputs: Int
  private let layer: LinearLayer
  private let context: NetworkContext
  private let output: Scratch
  private let inputGradient: Scratch
  private var input: UnsafePointer<Float>?
  private let firstOffset: Int

  /// - Parameter standardized: whether it computes with standardised weights.
  public init(
    _ name: String, inputs: Int, outputs: Int, standardized: Bool = false, plan: ParameterPlan, context: NetworkContext
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.context = context
    firstOffset = plan.floats
    layer = LinearLayer(
      name + ".0", inputs: inputs, outputs: outputs, standardized: standardized, plan: plan, context: context)
    output = Scratch()
    output.reserve(context.layout.images * outputs)
    inputGradient = Scratch()
    inputGradient.reserve(context.keepsActivations ? context.layout.images * inputs : 0)
  }

  public func forward(_ input: UnsafePointer<Float>, images: Int, weights: Weights) throws -> UnsafePointer<Float> {
    self.input = input
    layer.forward(input, output: output.pointer, rows: images, weights: weights)
    return UnsafePointer(output.pointer)
  }

  public func backward(
    _ gradient: UnsafePointer<Float>, images: Int, weights: Weights
  ) throws -> UnsafeMutablePointer<Float> {
    guard let input else { preconditionFailure("backward before forward") }
    layer.backward(
      input: input, outputGradient: gradient, inputGradient: inputGradient.pointer, rows: images, weights: weights)
    try context.gradientsReady?(firstOffset)
    return inputGradient.pointer
  }
}
