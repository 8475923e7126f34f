internal import CVector

/// What the processor multiplies and adds with.
enum MultiplyAddUnits {
  /// Whether it has as many units for registers of 512 bits as for those of 256. Others take such a register in two halves, or have
  /// one unit less for it: their multiply-adds of 512 bits take twice as long. Measured, as no system tells: some fifty microseconds
  /// at the first use. Only the choice between kernels of the same bits depends on it.
  static let areWide: Bool = {
    guard SIMD16<Float>.areWide else { return false }
    // The best of many in turn: neighbours slow down some of them, and a unit may have to wake up.
    var (narrow, wide) = (UInt64.max, UInt64.max)
    for _ in 0..<16 {
      narrow = min(narrow, nanosecondsOfProducts(SIMD8<Float>.self))
      wide = min(wide, nanosecondsOfProducts(SIMD16<Float>.self))
    }
    return wide * 2 < narrow * 3
  }()

  /// Nanoseconds of a thousand turns of ten multiply-adds that wait for nothing but their units.
  @inline(__always)
  private static func nanosecondsOfProducts<V: FloatVector>(_: V.Type) -> UInt64 {
    let start = monotonicNanoseconds()
    var turns = cvector_opaque_number(1000)
    let half = V(repeating: 0.5)
    var (a, b, c, d, e) = (half, half + half, half * 3, half * 4, half * 5)
    var (f, g, h, i, j) = (half * 6, half * 7, half * 8, half * 9, half * 10)
    repeat {
      (a, b, c) = (half.addingProduct(a, half), half.addingProduct(b, half), half.addingProduct(c, half))
      (d, e, f) = (half.addingProduct(d, half), half.addingProduct(e, half), half.addingProduct(f, half))
      (g, h, i) = (half.addingProduct(g, half), half.addingProduct(h, half), half.addingProduct(i, half))
      j = half.addingProduct(j, half)
      turns -= 1
    } while turns > 0
    let all = ((a + b) + (c + d)) + ((e + f) + (g + h)) + (i + j)
    // Done before the clock is read, and not left out.
    _ = cvector_opaque_number(Int32(truncatingIfNeeded: all[0].bitPattern))
    return monotonicNanoseconds() - start
  }
}
