/// The elementwise halves of a normalisation over channels: they read their input once and write their output once,
/// with the residual sum and the ReLU joined in. All maps are [rows x channels].
public enum ChannelNormalize {
  /// output = relu?((x - mean) * scale + beta (+ residual)). `output` may be `x`.
  public static func forward(
    _ x: UnsafePointer<Float>, affine: ChannelAffine, residual: UnsafePointer<Float>?, relu: Bool,
    output: UnsafeMutablePointer<Float>, rows: Int, channels: Int, team: ThreadTeam
  ) {
    team.split(rows, grain: 16) { range in
      // A loop of its own for each case, without a question inside.
      switch (residual, relu) {
      case (let residual?, true): forwardRows(x, affine, residual, true, true, output, range, channels)
      case (let residual?, false): forwardRows(x, affine, residual, true, false, output, range, channels)
      case (nil, true): forwardRows(x, affine, x, false, true, output, range, channels)
      case (nil, false): forwardRows(x, affine, x, false, false, output, range, channels)
      }
    }
  }

  /// output = relu?(x (+ residual)): the shape of `forward` where nothing normalises.
  public static func passThrough(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    count: Int, team: ThreadTeam
  ) {
    team.split(count, grain: 64) { range in
      for i in range {
        let value = residual.map { x[i] + $0[i] } ?? x[i]
        output[i] = relu ? max(value, 0) : value
      }
    }
  }

  /// dx = (g - meanGradient - xhat * meanProduct) * scale, with xhat = (x - mean) * inverse. The gradient of a channel
  /// normalised over its rows (Ioffe & Szegedy 2015, section 3). `output` may be `gradient`.
  /// - Parameters:
  ///   - gamma: where channels of different weights share statistics, so that the means are of g * gamma:
  ///     dx = (g * gamma - meanGradient - xhat * meanProduct) * inverse.
  ///   - masked: whether g is `gradient` only where the normalised value is positive, as behind a ReLU.
  public static func backward(
    gradient: UnsafePointer<Float>, x: UnsafePointer<Float>, affine: ChannelAffine, gamma: UnsafePointer<Float>? = nil,
    meanGradient: UnsafePointer<Float>, meanProduct: UnsafePointer<Float>, masked: Bool = false,
    output: UnsafeMutablePointer<Float>, rows: Int, channels: Int, team: ThreadTeam
  ) {
    team.split(rows, grain: 16) { range in
      switch (gamma, masked) {
      case (let gamma?, _):
        backwardRows(
          gradient, x, affine, gamma, true, affine.inverse, meanGradient, meanProduct, masked, output, range, channels)
      case (nil, true):
        backwardRows(
          gradient, x, affine, affine.scale, false, affine.scale, meanGradient, meanProduct, true, output, range,
          channels)
      case (nil, false):
        backwardRows(
          gradient, x, affine, affine.scale, false, affine.scale, meanGradient, meanProduct, false, output, range,
          channels)
      }
    }
  }

  @inline(__always)
  private static func backwardRows(
    _ gradient: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ affine: ChannelAffine,
    _ gamma: UnsafePointer<Float>, _ weighs: Bool, _ factor: UnsafePointer<Float>,
    _ meanGradient: UnsafePointer<Float>, _ meanProduct: UnsafePointer<Float>, _ masked: Bool,
    _ output: UnsafeMutablePointer<Float>, _ rows: Range<Int>, _ channels: Int
  ) {
    for r in rows {
      let base = r * channels
      @inline(__always)
      func apply<V: ChannelVector>(_: V.Type, _ c: Int) {
        let shifted = V.load(x + base + c) - V.load(affine.mean + c)
        var g = V.load(gradient + base + c)
        if masked {
          let activation = V.load(affine.beta + c).addingProduct(shifted, V.load(affine.scale + c))
          g = g.wherePositive(activation)
        }
        if weighs { g = g * V.load(gamma + c) }
        let hat = shifted * V.load(affine.inverse + c)
        let centred = g - V.load(meanGradient + c) - hat * V.load(meanProduct + c)
        (centred * V.load(factor + c)).store(output + base + c)
      }
      var c = forVectors(of: channels, by16: { apply(SIMD16<Float>.self, $0) }, by8: { apply(SIMD8<Float>.self, $0) })
      while c < channels {
        let shifted = x[base + c] - affine.mean[c]
        var g = gradient[base + c]
        if masked && affine.beta[c].addingProduct(shifted, affine.scale[c]) <= 0 { g = 0 }
        if weighs { g *= gamma[c] }
        let hat = shifted * affine.inverse[c]
        output[base + c] = (g - meanGradient[c] - hat * meanProduct[c]) * factor[c]
        c += 1
      }
    }
  }

  @inline(__always)
  private static func forwardRows(
    _ x: UnsafePointer<Float>, _ affine: ChannelAffine, _ residual: UnsafePointer<Float>, _ adds: Bool, _ relu: Bool,
    _ output: UnsafeMutablePointer<Float>, _ rows: Range<Int>, _ channels: Int
  ) {
    for r in rows {
      let base = r * channels
      @inline(__always)
      func apply<V: ChannelVector>(_: V.Type, _ c: Int) {
        let centred = V.load(x + base + c) - V.load(affine.mean + c)
        var value = V.load(affine.beta + c).addingProduct(centred, V.load(affine.scale + c))
        if adds { value = value + V.load(residual + base + c) }
        if relu { value = value.rectified }
        value.store(output + base + c)
      }
      var c = forVectors(of: channels, by16: { apply(SIMD16<Float>.self, $0) }, by8: { apply(SIMD8<Float>.self, $0) })
      while c < channels {
        var value = affine.beta[c].addingProduct(x[base + c] - affine.mean[c], affine.scale[c])
        if adds { value += residual[base + c] }
        output[base + c] = relu && value <= 0 ? 0 : value
        c += 1
      }
    }
  }
}
