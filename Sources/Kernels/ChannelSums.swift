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
  /// sums[c] = Σ g, products[c] = Σ g x, of which `ChannelStatistics.normalize` makes Σ g xhat.
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
    let (block, furtherOn) = (blockRows(channels, atLeast: 8), FurtherOn())
    var low = rows.lowerBound
    while low < rows.upperBound {
      let range = low..<min(low + block, rows.upperBound)
      @inline(__always)
      func add<V: ChannelVector>(_: V.Type, _ c: Int) {
        moments(V.self, x, range, channels, c, sums, squares, furtherOn)
      }
      var c = forVectors(
        of: channels, by64: { add(ManyLanes.self, $0) }, by16: { add(SIMD16<Float>.self, $0) },
        by8: { add(SIMD8<Float>.self, $0) })
      while c < channels {
        for r in range {
          let value = Double(x[r * channels + c])
          sums[c] += value
          squares[c] += value * value
        }
        c += 1
      }
      low = range.upperBound
    }
  }

  /// Channels whose sums the registers of AVX-512 hold: with as many, memory is read in order.
  private typealias ManyLanes = Two<Two<SIMD16<Float>>>

  @inline(__always)
  private static func moments<V: ChannelVector>(
    _: V.Type, _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ channels: Int, _ c: Int,
    _ sums: UnsafeMutablePointer<Double>, _ squares: UnsafeMutablePointer<Double>, _ furtherOn: FurtherOn
  ) {
    var sum = V.Wide.zero
    var square = V.Wide.zero
    var p = x + rows.lowerBound * channels + c
    for _ in rows {
      furtherOn.ask(V.self, p)
      let value = V.load(p).widened
      sum = sum + value
      square = square.addingProduct(value, value)
      p += channels
    }
    (V.Wide.load(sums + c) + sum).store(sums + c)
    (V.Wide.load(squares + c) + square).store(squares + c)
  }

  @inline(__always)
  private static func backwardOfRows(
    _ gradient: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ output: UnsafePointer<Float>?,
    _ recompute: Bool, _ affine: ChannelAffine, _ rows: Range<Int>, _ channels: Int,
    _ sums: UnsafeMutablePointer<Double>, _ products: UnsafeMutablePointer<Double>
  ) {
    let (block, furtherOn) = (blockRows(channels, atLeast: 4), FurtherOn())
    var low = rows.lowerBound
    while low < rows.upperBound {
      let range = low..<min(low + block, rows.upperBound)
      @inline(__always)
      func add<V: ChannelVector>(_: V.Type, _ c: Int) {
        backward(V.self, gradient, x, output, recompute, affine, range, channels, c, sums, products, furtherOn)
      }
      var c = forVectors(
        of: channels, by64: { add(ManyLanes.self, $0) }, by16: { add(SIMD16<Float>.self, $0) },
        by8: { add(SIMD8<Float>.self, $0) })
      while c < channels {
        for r in range {
          let at = r * channels + c
          var g = gradient[at]
          if recompute || output != nil {
            let activation = recompute ? affine.shift[c].addingProduct(x[at], affine.scale[c]) : output![at]
            if activation <= 0 { g = 0 }
            if !recompute { gradient[at] = g }
          }
          sums[c] += Double(g)
          products[c] += Double(g) * Double(x[at])
        }
        c += 1
      }
      low = range.upperBound
    }
  }

  @inline(__always)
  private static func backward<V: ChannelVector>(
    _: V.Type, _ gradient: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ output: UnsafePointer<Float>?,
    _ recompute: Bool, _ affine: ChannelAffine, _ rows: Range<Int>, _ channels: Int, _ c: Int,
    _ sums: UnsafeMutablePointer<Double>, _ products: UnsafeMutablePointer<Double>, _ furtherOn: FurtherOn
  ) {
    let scale = V.load(affine.scale + c)
    let shift = V.load(affine.shift + c)
    var sum = V.Wide.zero
    var product = V.Wide.zero
    var at = rows.lowerBound * channels + c
    for _ in rows {
      furtherOn.ask(V.self, x + at)
      furtherOn.ask(V.self, gradient + at)
      if let output { furtherOn.ask(V.self, output + at) }
      var g = V.load(gradient + at)
      let value = V.load(x + at)
      if recompute || output != nil {
        let activation = recompute ? shift.addingProduct(value, scale) : V.load(output! + at)
        g = g.wherePositive(activation)
        if !recompute { g.store(gradient + at) }
      }
      let wide = g.widened
      sum = sum + wide
      product = product.addingProduct(wide, value.widened)
      at += channels
    }
    (V.Wide.load(sums + c) + sum).store(sums + c)
    (V.Wide.load(products + c) + product).store(products + c)
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
