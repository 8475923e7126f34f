import Kernels

/// y = x W + b with W [inputs x outputs] in memory, [outputs x inputs] in files, as torch.nn.Linear.
package final class LinearLayer {
  package let inputs: Int
  package let outputs: Int
  private let context: NetworkContext
  private let weight: Parameter
  private let bias: Parameter
  private let standardization: WeightStandardization?

  /// - Parameter standardized: whether it computes with standardised weights.
  package init(
    _ name: String, inputs: Int, outputs: Int, standardized: Bool = false, plan: ParameterPlan, context: NetworkContext
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.context = context
    weight = plan.add(
      name + ".weight", shape: [outputs, inputs], layout: .linear, start: .uniform(inputs: inputs))
    standardization = standardized ? WeightStandardization(weight, team: context.team) : nil
    bias = plan.add(name + ".bias", shape: [outputs], start: .uniform(inputs: inputs))
  }

  private func weightInUse(_ weights: Weights) -> UnsafePointer<Float> {
    standardization?.weights ?? UnsafePointer(weights.value(weight))
  }

  /// input [rows x inputs] to output [rows x outputs].
  package func forward(
    _ input: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, rows: Int, weights: Weights
  ) {
    let outer = context.clock.enter(.gemm)
    defer { context.clock.enter(outer) }
    standardization?.standardize(weights.value(weight))
    let shift = weights.value(bias)
    for row in 0..<rows { (output + row * outputs).update(from: shift, count: outputs) }
    MatrixMultiply.run(
      m: rows, n: outputs, k: inputs, a: input, lda: inputs, aTransposed: false, b: weightInUse(weights),
      ldb: outputs, bTransposed: false, c: output, ldc: outputs, accumulate: true, team: context.team,
      scratch: context.scratch)
  }

  /// Writes the gradients of weight and bias and, where wanted, of the input.
  package func backward(
    input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>, inputGradient: UnsafeMutablePointer<Float>?,
    rows: Int, weights: Weights
  ) {
    let outer = context.clock.enter(.gemm)
    defer { context.clock.enter(outer) }
    MatrixMultiply.run(
      m: inputs, n: outputs, k: rows, a: input, lda: inputs, aTransposed: true, b: outputGradient, ldb: outputs,
      bTransposed: false, c: weights.gradient(weight), ldc: outputs, accumulate: false, team: context.team,
      scratch: context.scratch)
    standardization?.backward(weights.gradient(weight), weights: weights.value(weight))
    ChannelSums.sums(outputGradient, rows: rows, channels: outputs, into: weights.gradient(bias))
    guard let inputGradient else { return }
    MatrixMultiply.run(
      m: rows, n: inputs, k: outputs, a: outputGradient, lda: outputs, aTransposed: false, b: weightInUse(weights),
      ldb: outputs, bTransposed: true, c: inputGradient, ldc: inputs, accumulate: false, team: context.team,
      scratch: context.scratch)
  }
}
