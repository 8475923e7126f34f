/// What is added to a normalised map: another map, or relu?(map * scale + shift), made as it is added.
public struct Residual {
  let map: UnsafePointer<Float>
  let affine: ChannelAffine?
  let relu: Bool

  public init(_ map: UnsafePointer<Float>) { (self.map, affine, relu) = (map, nil, false) }

  public init(_ map: UnsafePointer<Float>, affine: ChannelAffine, relu: Bool) {
    (self.map, self.affine, self.relu) = (map, affine, relu)
  }
}

/// The elementwise halves of a normalisation over channels: they read their input once and write their output once,
/// with the residual sum and the ReLU joined in. All maps are [rows x channels].
public enum ChannelNormalize {
  /// output = relu?(x * scale + shift (+ residual)). `output` may be `x` or the residual's map.
  public static func forward(
    _ x: UnsafePointer<Float>, affine: ChannelAffine, residual: Residual?, relu: Bool,
    output: UnsafeMutablePointer<Float>, rows: Int, channels: Int, team: ThreadTeam
  ) {
    team.split(rows, grain: 16) { range in
      @inline(__always)
      func run(_ adds: NormalizeForward.Adds) {
        @inline(__always)
        func run(relu: Bool) {
          NormalizeForward(
            x: x, affine: affine, residual: residual?.map ?? x, residualAffine: residual?.affine ?? affine, adds: adds,
            relu: relu, output: output, channels: channels
          ).run(range)
        }
        if relu { run(relu: true) } else { run(relu: false) }
      }
      // A loop of its own for each case, without a question inside.
      switch residual {
      case nil: run(.nothing)
      case let residual? where residual.affine == nil: run(.map)
      case let residual?: if residual.relu { run(.activation) } else { run(.normalized) }
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
      @inline(__always)
      func run(masked: Bool) {
        NormalizeBackward(
          gradient: gradient, x: x, affine: affine, line: line, masked: masked, output: output, channels: channels
        ).run(range)
      }
      if masked { run(masked: true) } else { run(masked: false) }
    }
  }
}

/// One half of a normalisation, for some rows of a vector of channels or for a single number.
private protocol NormalizePass {
  var channels: Int { get }
  func apply<V: ChannelVector>(_: V.Type, _ rows: Range<Int>, _ channel: Int)
  func apply(_ row: Int, _ channel: Int)
}

extension NormalizePass {
  /// All channels of some rows. Where a row is one, two or four registers of AVX-512, the channels' numbers stay in registers
  /// from row to row; of longer rows a part at a time would do so too, but read memory out of its order.
  @inline(__always)
  fileprivate func run(_ rows: Range<Int>) {
    switch SIMD16<Float>.areWide ? channels : 0 {
    case 16: return apply(SIMD16<Float>.self, rows, 0)
    case 32: return apply(Two<SIMD16<Float>>.self, rows, 0)
    case 64: return apply(Two<Two<SIMD16<Float>>>.self, rows, 0)
    default: break
    }
    for r in rows {
      let rest = forVectors(
        of: channels, by16: { apply(SIMD16<Float>.self, r..<r + 1, $0) },
        by8: { apply(SIMD8<Float>.self, r..<r + 1, $0) })
      for c in rest..<channels { apply(r, c) }
    }
  }
}

private struct NormalizeForward: NormalizePass {
  enum Adds { case nothing, map, normalized, activation }

  let x: UnsafePointer<Float>
  let affine: ChannelAffine
  let residual: UnsafePointer<Float>
  let residualAffine: ChannelAffine
  let adds: Adds
  let relu: Bool
  let output: UnsafeMutablePointer<Float>
  let channels: Int
  private let furtherOn = FurtherOn()

  @inline(__always)
  func apply<V: ChannelVector>(_: V.Type, _ rows: Range<Int>, _ channel: Int) {
    let (scale, shift) = (V.load(affine.scale + channel), V.load(affine.shift + channel))
    let other = (scale: V.load(residualAffine.scale + channel), shift: V.load(residualAffine.shift + channel))
    for r in rows {
      let at = r * channels + channel
      furtherOn.ask(V.self, x + at)
      if adds != .nothing { furtherOn.ask(V.self, residual + at) }
      furtherOn.ask(V.self, output + at)
      var value = shift.addingProduct(V.load(x + at), scale)
      if adds != .nothing {
        var added = V.load(residual + at)
        if adds != .map { added = other.shift.addingProduct(added, other.scale) }
        value = value + (adds == .activation ? added.rectified : added)
      }
      if relu { value = value.rectified }
      value.store(output + at)
    }
  }

  @inline(__always)
  func apply(_ row: Int, _ channel: Int) {
    let at = row * channels + channel
    var value = affine.shift[channel].addingProduct(x[at], affine.scale[channel])
    if adds != .nothing {
      var added = residual[at]
      if adds != .map {
        added = residualAffine.shift[channel].addingProduct(added, residualAffine.scale[channel])
      }
      value += adds == .activation && added <= 0 ? 0 : added
    }
    output[at] = relu && value <= 0 ? 0 : value
  }
}

private struct NormalizeBackward: NormalizePass {
  let gradient, x: UnsafePointer<Float>
  let affine: ChannelAffine
  let line: ChannelGradient
  let masked: Bool
  let output: UnsafeMutablePointer<Float>
  let channels: Int
  private let furtherOn = FurtherOn()

  @inline(__always)
  func apply<V: ChannelVector>(_: V.Type, _ rows: Range<Int>, _ channel: Int) {
    let (scale, shift) = (V.load(affine.scale + channel), V.load(affine.shift + channel))
    let (mean, slope) = (V.load(line.mean + channel), V.load(line.slope + channel))
    let offset = V.load(line.offset + channel)
    for r in rows {
      let at = r * channels + channel
      furtherOn.ask(V.self, x + at)
      furtherOn.ask(V.self, gradient + at)
      let value = V.load(x + at)
      var g = V.load(gradient + at)
      if masked { g = g.wherePositive(shift.addingProduct(value, scale)) }
      offset.addingProduct(value - mean, slope).addingProduct(g, scale).store(output + at)
    }
  }

  @inline(__always)
  func apply(_ row: Int, _ channel: Int) {
    let at = row * channels + channel
    let (value, scale) = (x[at], affine.scale[channel])
    let g = masked && affine.shift[channel].addingProduct(value, scale) <= 0 ? 0 : gradient[at]
    output[at] =
      line.offset[channel].addingProduct(value - line.mean[channel], line.slope[channel]).addingProduct(g, scale)
  }
}
