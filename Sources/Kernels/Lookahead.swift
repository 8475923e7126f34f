/// What lies in memory, or in the third-level cache, and is read or written next: its cache lines are asked for a few at a time while
/// products, which find all they need in the second-level cache, leave the memory idle. They go to that cache too: the first level's would
/// push out what the products read. More at once would wait for each other, and the products' own reads for all of them, as a
/// core has only a dozen lines or two under way.
struct Lookahead {
  private var first, second: Part

  /// - Parameter products: of a number and a register of 16 channels, over which all lines are asked for.
  init(products: Int, _ first: Lines, _ second: Lines = .none) {
    (self.first, self.second) = (Part(first, products: products), Part(second, products: products))
  }

  /// Asks for nothing.
  static var nothing: Lookahead { Lookahead(products: productsAtOnce, .none) }

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

  /// Cache lines: those that hold a range of floats, or some floats of each of a matrix's rows.
  struct Lines {
    let start: UnsafePointer<Float>?
    /// Of a row.
    let count: Int
    let rows: Int
    /// Floats from a row to the next.
    let distance: Int

    init(_ floats: UnsafePointer<Float>, _ range: Range<Int>) {
      self.init(floats + range.lowerBound, width: range.count, rows: 1, distance: 0)
    }

    /// `width` floats of each row from an address on.
    init(_ first: UnsafePointer<Float>?, width: Int, rows: Int, distance: Int) {
      (start, count, self.rows, self.distance) = (first, (width + 15) / 16, rows, distance)
    }

    static var none: Lines { Lines(nil, width: 0, rows: 1, distance: 0) }
  }

  /// Addresses, as numbers. Each time the same number of lines from the next byte due on, of which the first may have been asked
  /// for before, or the same number of rows: a number that changed from time to time would be a branch that the processor cannot
  /// foresee.
  private struct Part {
    private var next: Int
    private let end, advance, linesAtOnce, rowsAtOnce, distance: Int

    init(_ lines: Lines, products: Int) {
      next = Int(bitPattern: lines.start)
      distance = lines.distance * MemoryLayout<Float>.size
      let products = max(products, 1)
      func share(of total: Int) -> Int { (total * productsAtOnce + products - 1) / products }
      if lines.rows == 1 {
        end = next + lines.count * 64
        advance = share(of: lines.count * 64)
        (rowsAtOnce, linesAtOnce) = (1, (advance + 63) / 64)
      } else {
        end = next + lines.rows * distance
        (rowsAtOnce, linesAtOnce) = (share(of: lines.rows), lines.count)
        advance = rowsAtOnce * distance
      }
    }

    @inline(__always)
    mutating func ask() {
      guard next < end else { return }
      var (row, rowsLeft) = (next, rowsAtOnce)
      next += advance
      repeat {
        var (line, left) = (row, linesAtOnce)
        repeat {
          prefetchSecondLevel(UnsafePointer<Float>(bitPattern: line).unsafelyUnwrapped)
          line += 64
          left -= 1
        } while left > 0
        row += distance
        rowsLeft -= 1
      } while rowsLeft > 0
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
