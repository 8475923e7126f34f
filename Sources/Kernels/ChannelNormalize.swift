/// The elementwise halves of a normalisation over channels: they read their input once and write their output once,
/// with the residual sum and the ReLU joined in. All maps are [rows x channels].
public enum ChannelNormalize {
  /// output = relu?(x * scale + shift (+ residual)). `output` may be `x`.
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

  /// dx = g * scale + (x - mean) * slope + offset; see `ChannelGradient`. `output` may be `gradient`.
  /// - Parameter masked: whether g is `gradient` only where the normalised value is positive, as behind a ReLU.
  public static func backward(
    gradient: UnsafePointer<Float>, x: UnsafePointer<Float>, affine: ChannelAffine, line: ChannelGradient,
    masked: Bool = false, output: UnsafeMutablePointer<Float>, rows: Int, channels: Int,
    team: ThreadTeam
  ) {
    team.split(rows, grain: 16) { range in
      if masked {
        backwardRows(gradient, x, affine, line, true, output, range, channels)
      } else {
        backwardRows(gradient, x, affine, line, false, output, range, channels)
      }
    }
  }

  @inline(__always)
  private static func backwardRows(
    _ gradient: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ affine: ChannelAffine,
    _ line: ChannelGradient, _ masked: Bool,
    _ output: UnsafeMutablePointer<Float>, _ rows: Range<Int>, _ channels: Int
  ) {
    @inline(__always)
    func apply<V: ChannelVector>(_: V.Type, _ rows: Range<Int>, _ c: Int) {
      let (scale, shift) = (V.load(affine.scale + c), V.load(affine.shift + c))
      let (mean, slope, offset) = (V.load(line.mean + c), V.load(line.slope + c), V.load(line.offset + c))
      for r in rows {
        let at = r * channels + c
        let value = V.load(x + at)
        var g = V.load(gradient + at)
        if masked { g = g.wherePositive(shift.addingProduct(value, scale)) }
        offset.addingProduct(value - mean, slope).addingProduct(g, scale).store(output + at)
      }
    }
    switch Width(channels) {
    case .one: return apply(SIMD16<Float>.self, rows, 0)
    case .two: return apply(Two<SIMD16<Float>>.self, rows, 0)
    case .four: return apply(Two<Two<SIMD16<Float>>>.self, rows, 0)
    case .other: break
    }
    for r in rows {
      var c = forVectors(
        of: channels, by16: { apply(SIMD16<Float>.self, r..<r + 1, $0) },
        by8: { apply(SIMD8<Float>.self, r..<r + 1, $0) })
      while c < channels {
        let (at, value) = (r * channels + c, x[r * channels + c])
        var g = gradient[at]
        if masked && affine.shift[c].addingProduct(value, affine.scale[c]) <= 0 { g = 0 }
        output[at] =
          line.offset[c].addingProduct(value - line.mean[c], line.slope[c]).addingProduct(g, affine.scale[c])
        c += 1
      }
    }
  }

  @inline(__always)
  private static func forwardRows(
    _ x: UnsafePointer<Float>, _ affine: ChannelAffine, _ residual: UnsafePointer<Float>, _ adds: Bool, _ relu: Bool,
    _ output: UnsafeMutablePointer<Float>, _ rows: Range<Int>, _ channels: Int
  ) {
    @inline(__always)
    func apply<V: ChannelVector>(_: V.Type, _ rows: Range<Int>, _ c: Int) {
      let (scale, shift) = (V.load(affine.scale + c), V.load(affine.shift + c))
      for r in rows {
        let at = r * channels + c
        var value = shift.addingProduct(V.load(x + at), scale)
        if adds { value = value + V.load(residual + at) }
        if relu { value = value.rectified }
        value.store(output + at)
      }
    }
    switch Width(channels) {
    case .one: return apply(SIMD16<Float>.self, rows, 0)
    case .two: return apply(Two<SIMD16<Float>>.self, rows, 0)
    case .four: return apply(Two<Two<SIMD16<Float>>>.self, rows, 0)
    case .other: break
    }
    for r in rows {
      var c = forVectors(
        of: channels, by16: { apply(SIMD16<Float>.self, r..<r + 1, $0) },
        by8: { apply(SIMD8<Float>.self, r..<r + 1, $0) })
      while c < channels {
        let at = r * channels + c
        var value = affine.shift[c].addingProduct(x[at], affine.scale[c])
        if adds { value += residual[at] }
        output[at] = relu && value <= 0 ? 0 : value
        c += 1
      }
    }
  }

  /// Rows of one, two or four registers of AVX-512, for which the channels' numbers stay in registers from row to row. Of longer
  /// rows a part at a time would do so too, but read memory out of its order.
  private enum Width {
    case one, two, four, other

    @inline(__always)
    init(_ channels: Int) {
      switch SIMD16<Float>.areWide ? channels : 0 {
      case 16: self = .one
      case 32: self = .two
      case 64: self = .four
      default: self = .other
      }
    }
  }
}
