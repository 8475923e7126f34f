import Kernels

/// A normalisation between a convolution or linear layer and its ReLU, with the residual sum and ReLU joined in.
///
/// Maps are [images * rowsPerImage x channels]; a head has one row an image.
package protocol Normalization: AnyObject {
  /// output = relu?(norm(x) (+ residual)); measures the statistics and keeps them for `apply` and `backward`.
  func forward(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights) throws

  /// output = relu(norm(x)) with the statistics of the last `forward`: activations are computed again in the backward
  /// pass rather than kept.
  func apply(
    _ x: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, images: Int, weights: Weights)

  /// Takes the gradient of `forward`'s output and writes the gradient of x; overwrites the parameters' gradients.
  /// `gradient` is left as the gradient before the ReLU, which is what the residual branch receives.
  /// `inputGradient` may be `gradient`.
  func backward(
    gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Int, weights: Weights) throws
}

extension NormKind {
  /// Makes the layer, with its parameters under `name`.
  /// - Parameter group: the samples that share statistics, where the batch enters.
  package func layer(
    _ name: String, channels: Int, rowsPerImage: Int, group: BatchNormGroup, plan: ParameterPlan,
    context: NetworkContext
  ) -> any Normalization {
    switch self {
    case .bn, .brn:
      BatchNorm(
        name, channels: channels, rowsPerImage: rowsPerImage, group: group,
        renorm: self == .brn ? context.scopes.renorm : nil, plan: plan, context: context)
    case .ln:
      GroupNorm(name, groups: 1, channels: channels, rowsPerImage: rowsPerImage, plan: plan, context: context)
    case .gn:
      GroupNorm(
        name, groups: GroupNorm.groups(channels), channels: channels, rowsPerImage: rowsPerImage, plan: plan,
        context: context)
    case .none:
      NoNorm(channels: channels, rowsPerImage: rowsPerImage, context: context)
    }
  }
}

/// Nothing is normalised; the residual sum and the ReLU remain.
package final class NoNorm: Normalization {
  private let floatsPerImage: Int
  private let context: NetworkContext

  package init(channels: Int, rowsPerImage: Int, context: NetworkContext) {
    floatsPerImage = channels * rowsPerImage
    self.context = context
  }

  package func forward(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights
  ) {
    ChannelNormalize.passThrough(
      x, residual: residual, relu: relu, output: output, count: images * floatsPerImage, team: context.team)
  }

  package func apply(_ x: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, images: Int, weights: Weights) {
    forward(x, residual: nil, relu: true, output: output, images: images, weights: weights)
  }

  package func backward(
    gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Int, weights: Weights
  ) {
    let count = images * floatsPerImage
    switch mask {
    case .none: break
    case .output(let output): zero(gradient, where: output, count)
    case .recomputed: zero(gradient, where: x, count)
    }
    if inputGradient != gradient { inputGradient.update(from: gradient, count: count) }
  }

  private func zero(
    _ gradient: UnsafeMutablePointer<Float>, where activation: UnsafePointer<Float>, _ count: Int
  ) {
    context.team.split(count, grain: 64) { range in
      for i in range where activation[i] <= 0 { gradient[i] = 0 }
    }
  }
}
