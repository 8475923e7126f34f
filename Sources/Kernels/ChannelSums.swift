/// Sums over the rows of a [rows x channels] block, one a channel, in double: the statistics of batch norm and the
/// bias gradient. A map of n images is n * height * width rows.
public enum ChannelSums {
  /// Rows are taken in blocks whose channels are visited eight at a time: of a kilobyte or two, so that memory is read
  /// nearly in order. Blocks the size of the first-level cache took three times as long on maps that no cache had.
  private static func blockRows(_ channels: Int, atLeast rows: Int) -> Int { max(rows, rows * 64 / max(channels, 1)) }

  /// sums[c] = Σ x[r, c], squares[c] = Σ x[r, c]².
  /// - Parameter partials: room for `team.threads * 2 * channels` doubles; a thread alone needs none.
  public static func moments(
    _ x: UnsafePointer<Float>, rows: Int, channels: Int, sums: UnsafeMutablePointer<Double>,
    squares: UnsafeMutablePointer<Double>, partials: UnsafeMutablePointer<Double>? = nil, team: ThreadTeam = .alone
  ) {
    reduce(rows: rows, channels: channels, first: sums, second: squares, partials: partials, team: team) {
      momentsOfRows(x, $0, channels, $1, $2)
    }
  }

  /// sums[c] = Σ x[r, c]; overwritten.
  public static func sums(_ x: UnsafePointer<Float>, rows: Int, channels: Int, into sums: UnsafeMutablePointer<Float>) {
    for c in 0..<channels {
      var total = 0.0
      for r in 0..<rows { total += Double(x[r * channels + c]) }
      sums[c] = Float(total)
    }
  }

  /// The two sums of batch norm's backward pass, over g = gradient where the ReLU behind the norm let through:
  /// sums[c] = Σ g, products[c] = Σ g (x - mean) * deviationInverse.
  /// Where the mask is a kept output, g is written back to `gradient`; a mask that can be had again need not be.
  /// - Parameter partials: as for `moments`.
  public static func backward(
    gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask, affine: ChannelAffine,
    rows: Int, channels: Int, sums: UnsafeMutablePointer<Double>, products: UnsafeMutablePointer<Double>,
    partials: UnsafeMutablePointer<Double>? = nil, team: ThreadTeam = .alone
  ) {
    reduce(rows: rows, channels: channels, first: sums, second: products, partials: partials, team: team) {
      range, first, second in
      switch mask {
      case .none: backwardOfRows(gradient, x, nil, false, affine, range, channels, first, second)
      case .output(let output):
        backwardOfRows(gradient, x, output, false, affine, range, channels, first, second)
      case .recomputed:
        backwardOfRows(gradient, x, nil, true, affine, range, channels, first, second)
      }
    }
  }

  private static func reduce(
    rows: Int, channels: Int, first: UnsafeMutablePointer<Double>, second: UnsafeMutablePointer<Double>,
    partials: UnsafeMutablePointer<Double>?, team: ThreadTeam,
    _ body: (Range<Int>, UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) -> Void
  ) {
    first.update(repeating: 0, count: channels)
    second.update(repeating: 0, count: channels)
    if team.threads == 1 { return body(0..<rows, first, second) }
    guard let partials else { preconditionFailure("threads without room for their sums") }
    partials.update(repeating: 0, count: team.threads * 2 * channels)
    team.run { thread in
      let mine = partials + thread * 2 * channels
      body(team.share(of: rows, thread: thread), mine, mine + channels)
    }
    for thread in 0..<team.threads {
      let theirs = partials + thread * 2 * channels
      for c in 0..<channels {
        first[c] += theirs[c]
        second[c] += theirs[channels + c]
      }
    }
  }

  private static func momentsOfRows(
    _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ channels: Int, _ sums: UnsafeMutablePointer<Double>,
    _ squares: UnsafeMutablePointer<Double>
  ) {
    let block = blockRows(channels, atLeast: 8)
    let whole = channels & ~7
    var low = rows.lowerBound
    while low < rows.upperBound {
      let high = min(low + block, rows.upperBound)
      var c = 0
      while c < whole {
        var sum = SIMD8<Double>.zero
        var square = SIMD8<Double>.zero
        var p = x + low * channels + c
        for _ in low..<high {
          let value = load8(p).widened
          sum += value
          square = square.addingProduct(value, value)
          p += channels
        }
        accumulate(sum, sums + c)
        accumulate(square, squares + c)
        c += 8
      }
      while c < channels {
        for r in low..<high {
          let value = Double(x[r * channels + c])
          sums[c] += value
          squares[c] += value * value
        }
        c += 1
      }
      low = high
    }
  }

  @inline(__always)
  private static func backwardOfRows(
    _ gradient: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ output: UnsafePointer<Float>?,
    _ recompute: Bool, _ affine: ChannelAffine, _ rows: Range<Int>, _ channels: Int,
    _ sums: UnsafeMutablePointer<Double>, _ products: UnsafeMutablePointer<Double>
  ) {
    let block = blockRows(channels, atLeast: 4)
    let whole = channels & ~7
    let masked = recompute || output != nil
    var low = rows.lowerBound
    while low < rows.upperBound {
      let high = min(low + block, rows.upperBound)
      var c = 0
      while c < whole {
        let mean = load8(affine.mean + c)
        let inverse = load8(affine.inverse + c)
        let scale = load8(affine.scale + c)
        let beta = load8(affine.beta + c)
        var sum = SIMD8<Double>.zero
        var product = SIMD8<Double>.zero
        var at = low * channels + c
        for _ in low..<high {
          var g = load8(gradient + at)
          let centred = load8(x + at) - mean
          if masked {
            let activation = recompute ? beta.addingProduct(centred, scale) : load8(output! + at)
            g = g.wherePositive(activation)
            if !recompute { store8(g, gradient + at) }
          }
          let wide = g.widened
          sum += wide
          product = product.addingProduct(wide, (centred * inverse).widened)
          at += channels
        }
        accumulate(sum, sums + c)
        accumulate(product, products + c)
        c += 8
      }
      while c < channels {
        for r in low..<high {
          let at = r * channels + c
          let centred = x[at] - affine.mean[c]
          var g = gradient[at]
          if masked {
            let activation = recompute ? affine.beta[c].addingProduct(centred, affine.scale[c]) : output![at]
            if activation <= 0 { g = 0 }
            if !recompute { gradient[at] = g }
          }
          sums[c] += Double(g)
          products[c] += Double(g) * Double(centred * affine.inverse[c])
        }
        c += 1
      }
      low = high
    }
  }

  @inline(__always)
  private static func accumulate(_ value: SIMD8<Double>, _ p: UnsafeMutablePointer<Double>) {
    let raw = UnsafeMutableRawPointer(p)
    raw.storeBytes(of: raw.loadUnaligned(as: SIMD8<Double>.self) + value, as: SIMD8<Double>.self)
  }
}

/// Where the ReLU behind a normalisation let its input through.
public enum ReLUMask {
  /// There is no ReLU.
  case none
  /// Where this kept output is positive.
  case output(UnsafePointer<Float>)
  /// Where the normalised value, computed again from the input, is positive.
  case recomputed

  public var isRecomputed: Bool { if case .recomputed = self { true } else { false } }

  /// The mask from an offset in floats on.
  public func from(_ offset: Int) -> ReLUMask {
    if case .output(let output) = self { .output(output + offset) } else { self }
  }
}

/// What a normalisation does to each channel: y = (x - mean) * scale + beta, with scale = gamma * inverse and inverse
/// one over the standard deviation. Four pointers to `channels` floats.
public struct ChannelAffine {
  public var mean: UnsafeMutablePointer<Float>
  public var inverse: UnsafeMutablePointer<Float>
  public var scale: UnsafeMutablePointer<Float>
  public var beta: UnsafeMutablePointer<Float>

  public init(
    mean: UnsafeMutablePointer<Float>, inverse: UnsafeMutablePointer<Float>, scale: UnsafeMutablePointer<Float>,
    beta: UnsafeMutablePointer<Float>
  ) {
    self.mean = mean
    self.inverse = inverse
    self.scale = scale
    self.beta = beta
  }
}
