import Kernels

/// Weight standardisation (Qiao et al. 2019, arXiv 1903.10520, equation 5; for linear layers too as Richemond et al. 2020):
/// a layer computes with
///
///     What[o, i] = (W[o, i] - mu[o]) / sqrt(sigma²[o] + epsilon)
///
/// where mu and sigma² are the mean and the biased variance of all weights that enter output o, and the gradient flows
/// back through it to W, which is what is stored, updated and averaged into the target.
///
/// In memory a layer's weights are an [inputs x outputs] matrix, so this is a norm over its rows: the standardised copy is
/// made once a forward pass and serves the backward pass too.
final class WeightStandardization {
  static let epsilon = 1e-5

  private let rows: Int
  private let outputs: Int
  private let team: ThreadTeam
  private let copy: AlignedBuffer
  /// What `affine` and `line` point to; `outputs` floats each.
  private let vectors: AlignedBuffer
  private let statistics: UnsafeMutablePointer<ChannelStatistics>
  private let sums: UnsafeMutablePointer<Double>
  private let partials: UnsafeMutablePointer<Double>

  /// - Parameter parameter: [outputs, ...] as PyTorch has it; in memory [the rest x outputs].
  init(_ parameter: Parameter, team: ThreadTeam) {
    outputs = parameter.shape[0]
    rows = parameter.count / outputs
    self.team = team
    copy = AlignedBuffer(count: parameter.count)
    vectors = AlignedBuffer(count: 5 * outputs)
    statistics = .allocate(capacity: outputs)
    sums = .allocate(capacity: 2 * outputs)
    partials = .allocate(capacity: team.threads * 2 * outputs)
  }

  deinit {
    statistics.deallocate()
    sums.deallocate()
    partials.deallocate()
  }

  /// The copy that the last `standardize` made.
  var weights: UnsafePointer<Float> { UnsafePointer(copy.pointer) }

  /// Makes the copy of the weights as they are now.
  func standardize(_ weights: UnsafePointer<Float>) {
    ChannelSums.moments(
      weights, rows: rows, channels: outputs, sums: sums, squares: sums + outputs, partials: partials, team: team)
    for o in 0..<outputs {
      let mean = sums[o] / Double(rows)
      let variance = max(0, sums[outputs + o] / Double(rows) - mean * mean)
      statistics[o] = ChannelStatistics(mean: mean, inverse: 1 / (variance + Self.epsilon).squareRoot())
      affine.set(o, statistics[o], gamma: 1, beta: 0)
    }
    ChannelNormalize.forward(
      weights, affine: affine, residual: nil, relu: false, output: copy.pointer, rows: rows, channels: outputs,
      team: team)
  }

  /// Turns the gradient of the copy, in place, into that of the weights.
  func backward(_ gradient: UnsafeMutablePointer<Float>, weights: UnsafePointer<Float>) {
    ChannelSums.backward(
      gradient: gradient, x: weights, mask: .none, affine: affine, rows: rows, channels: outputs, sums: sums,
      products: sums + outputs, partials: partials, team: team)
    for o in 0..<outputs {
      let product = statistics[o].normalize(product: sums[outputs + o], sum: sums[o])
      line.set(
        o, statistics[o], scale: Double(affine.scale[o]), meanGradient: sums[o] / Double(rows),
        meanProduct: product / Double(rows))
    }
    ChannelNormalize.backward(
      gradient: gradient, x: weights, affine: affine, line: line,
      output: gradient, rows: rows, channels: outputs, team: team)
  }

  private func vector(_ place: Int) -> UnsafeMutablePointer<Float> { vectors.pointer + place * outputs }

  private var affine: ChannelAffine {
    ChannelAffine(scale: vector(0), shift: vector(1))
  }

  private var line: ChannelGradient { ChannelGradient(mean: vector(2), slope: vector(3), offset: vector(4)) }
}
