/// Copies into the layouts that register tiles read.
enum Packing {
  /// b[k x columns] as panels of 16: packed[panel][k][16], panels `panelStride` apart, zeros to the right of the last.
  /// Reads b in the order in which it is stored.
  @inline(__always)
  static func panelsOf16(
    _ b: UnsafePointer<Float>, ldb: Int, k: Int, columns: Int, _ packed: UnsafeMutablePointer<Float>, panelStride: Int
  ) {
    let whole = columns / 16
    let left = columns % 16
    for index in 0..<k {
      let source = b + index * ldb
      var target = packed + index * 16
      for panel in 0..<whole {
        let (low, high) = (load8(source + panel * 16), load8(source + panel * 16 + 8))
        store8(low, target)
        store8(high, target + 8)
        target += panelStride
      }
      if left > 0 {
        for column in 0..<16 { target[column] = column < left ? source[whole * 16 + column] : 0 }
      }
    }
  }

  /// packed[k x 16] = the transpose of b[columns x k], with zeros to the right.
  static func transposedColumns(
    _ b: UnsafePointer<Float>, ldb: Int, k: Int, columns: Int, _ packed: UnsafeMutablePointer<Float>
  ) {
    let whole = columns == 16 ? k & ~7 : 0
    for first in stride(from: 0, to: whole, by: 8) {
      transpose8(b + first, ldb, packed + first * 16, 16)
      transpose8(b + 8 * ldb + first, ldb, packed + first * 16 + 8, 16)
    }
    for index in whole..<k {
      for column in 0..<16 { packed[index * 16 + column] = column < columns ? b[column * ldb + index] : 0 }
    }
  }

  /// A block of a k-by-k stored matrix as groups of six: packed[group][k][6], groups `groupStride` apart (at least
  /// 6 k + 2); zeros where the last group has fewer than six rows. Reads a in the order in which it is stored.
  /// - Parameter slack: floats that may be read from the block's first in every row of a, at least `rows`.
  @inline(__always)
  static func groupsOf6(
    _ a: UnsafePointer<Float>, lda: Int, k: Int, rows: Int, slack: Int, _ packed: UnsafeMutablePointer<Float>,
    groupStride: Int
  ) {
    let groups = (rows + 5) / 6
    let whole = min(groups, slack >= 8 ? (slack - 8) / 6 + 1 : 0)
    for index in 0..<k {
      let (source, target) = (a + index * lda, packed + index * 6)
      for group in 0..<whole { store8(load8(source + group * 6), target + group * groupStride) }
      for group in whole..<groups {
        for row in 0..<6 { target[group * groupStride + row] = group * 6 + row < rows ? source[group * 6 + row] : 0 }
      }
    }
  }

  /// target[8 x 8] = the transpose of source[8 x 8].
  @inline(__always)
  static func transpose8(
    _ source: UnsafePointer<Float>, _ sourceRow: Int, _ target: UnsafeMutablePointer<Float>, _ targetRow: Int
  ) {
    let (a, b) = pairs(load8(source), load8(source + sourceRow))
    let (c, d) = pairs(load8(source + 2 * sourceRow), load8(source + 3 * sourceRow))
    let (e, f) = pairs(load8(source + 4 * sourceRow), load8(source + 5 * sourceRow))
    let (g, h) = pairs(load8(source + 6 * sourceRow), load8(source + 7 * sourceRow))
    let (ac0, ac1) = quads(a, c)
    let (bd0, bd1) = quads(b, d)
    let (eg0, eg1) = quads(e, g)
    let (fh0, fh1) = quads(f, h)
    store8(SIMD8(lowHalf: ac0.lowHalf, highHalf: eg0.lowHalf), target)
    store8(SIMD8(lowHalf: ac1.lowHalf, highHalf: eg1.lowHalf), target + targetRow)
    store8(SIMD8(lowHalf: bd0.lowHalf, highHalf: fh0.lowHalf), target + 2 * targetRow)
    store8(SIMD8(lowHalf: bd1.lowHalf, highHalf: fh1.lowHalf), target + 3 * targetRow)
    store8(SIMD8(lowHalf: ac0.highHalf, highHalf: eg0.highHalf), target + 4 * targetRow)
    store8(SIMD8(lowHalf: ac1.highHalf, highHalf: eg1.highHalf), target + 5 * targetRow)
    store8(SIMD8(lowHalf: bd0.highHalf, highHalf: fh0.highHalf), target + 6 * targetRow)
    store8(SIMD8(lowHalf: bd1.highHalf, highHalf: fh1.highHalf), target + 7 * targetRow)
  }

  /// Entries 0, 1 | 4, 5 of two rows interleaved, and entries 2, 3 | 6, 7 (vunpcklps, vunpckhps).
  @inline(__always)
  private static func pairs(_ x: SIMD8<Float>, _ y: SIMD8<Float>) -> (SIMD8<Float>, SIMD8<Float>) {
    (
      SIMD8(x[0], y[0], x[1], y[1], x[4], y[4], x[5], y[5]), SIMD8(x[2], y[2], x[3], y[3], x[6], y[6], x[7], y[7])
    )
  }

  /// The first pairs of each half of x and y, and the second pairs.
  @inline(__always)
  private static func quads(_ x: SIMD8<Float>, _ y: SIMD8<Float>) -> (SIMD8<Float>, SIMD8<Float>) {
    (
      SIMD8(x[0], x[1], y[0], y[1], x[4], x[5], y[4], y[5]), SIMD8(x[2], x[3], y[2], y[3], x[6], x[7], y[6], y[7])
    )
  }
}
