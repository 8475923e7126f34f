/// Parts of maps that lie in memory and are read or written next: their cache lines are asked for a few at a time while products,
/// which find all they need in the second-level cache, leave the memory idle. They go to that cache too: the first level's would
/// push out what the products read. More at once would wait for each other, and the products' own reads for all of them, as a
/// core has only a dozen lines or two under way.
struct Lookahead {
  private var first, second: Part

  /// - Parameter products: of a number and a register of 16 channels, over which all lines are asked for.
  init(products: Int, _ first: Lines, _ second: Lines) {
    (self.first, self.second) = (Part(first, products: products), Part(second, products: products))
  }

  /// Asks for nothing.
  static var nothing: Lookahead { Lookahead(products: productsAtOnce, .none, .none) }

  /// Products between two calls of `ask`: a hundred cycles' or two.
  private static var productsAtOnce: Int { 192 }

  /// The depth of a register tile with as many products.
  @inline(__always)
  static func depth(rows: Int, columns: Int) -> Int { productsAtOnce * 16 / (rows * columns) }

  /// Asks for what is due after as many more products.
  @inline(__always)
  mutating func ask() {
    first.ask()
    second.ask()
  }

  /// The cache lines of a map that hold a range of its floats.
  struct Lines {
    let start: UnsafePointer<Float>?
    let count: Int

    init(_ map: UnsafePointer<Float>, _ floats: Range<Int>) {
      (start, count) = (map + floats.lowerBound, (floats.count + 15) / 16)
    }

    private init() { (start, count) = (nil, 0) }
    static var none: Lines { Lines() }
  }

  /// Addresses, as numbers. Each time the same number of lines from the next byte due on, of which the first may have been asked
  /// for before: a number that changed from time to time would be a branch that the processor cannot foresee.
  private struct Part {
    private var next: Int
    private let end, advance, linesAtOnce: Int

    init(_ lines: Lines, products: Int) {
      next = Int(bitPattern: lines.start)
      end = next + lines.count * 64
      advance = (lines.count * 64 * productsAtOnce + products - 1) / products
      linesAtOnce = (advance + 63) / 64
    }

    @inline(__always)
    mutating func ask() {
      guard next < end else { return }
      var (line, left) = (next, linesAtOnce)
      next += advance
      repeat {
        prefetchSecondLevel(UnsafePointer<Float>(bitPattern: line).unsafelyUnwrapped)
        line += 64
        left -= 1
      } while left > 0
    }
  }
}

/// What passes over maps in the order of memory ask for, four kilobytes further on: worth it before a slow third level, further
/// than the processor looks by itself. Elsewhere it costs more than it gains.
struct FurtherOn {
  private let isWorthwhile = CacheSize.isBeforeSlowThirdLevel

  /// Asks for the lines that hold the same channels of what comes then.
  @inline(__always)
  func ask<V: ChannelVector>(_: V.Type, _ place: UnsafePointer<Float>) {
    guard isWorthwhile else { return }
    for line in 0..<max(V.lanes / 16, 1) { prefetchSecondLevel(place + 1024 + line * 16) }
  }
}

extension WinogradView {
  /// The floats of the map's lines that the tiles of a range touch, `side` coordinates each.
  func lines(of tiles: Range<Int>, side: Int) -> Range<Int> {
    if tiles.isEmpty { return 0..<0 }
    let (image, y, _) = place(tiles.lowerBound)
    let (lastImage, lastY, _) = place(tiles.upperBound - 1)
    let first = image * height + max(y, 0)
    let end = lastImage * height + min(lastY + (side - 1) * stride + 1, height)
    return first * width * channels..<max(first, end) * width * channels
  }
}
