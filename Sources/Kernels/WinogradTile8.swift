/// F(8, 3) at 0, +-1/2, +-7/8, +-9/8, +-2, infinity: the fewest products on one axis of a map. On both it rounds too much; with
/// F(4, 3) on the other axis the errors are those of F(6, 3) on both.
enum WinogradTile8: WinogradTile {
  @inline(__always)
  static var outputs: Int { 8 }
  @inline(__always)
  static var taps: Int { 3 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    // Of the polynomial whose roots are all points' squares one factor belongs to 1/2 and 2, which are each other's inverse,
    // so that its ends are 1, and one to 7/8 and 9/8. What both ends and two pairs need of a factor is computed once.
    @inline(__always)
    func outer(_ a: V, _ b: V, _ c: V) -> V { fma(a + c, -4.25, b) }
    @inline(__always)
    func inner(_ a: V, _ b: V, _ c: V) -> V { fma(fma(c, -2.03125, b), 0.968994140625, a) }
    @inline(__always)
    func pair(_ place: Int, _ point: Float, _ even: V, _ odd: V) {
      let (plus, minus) = opposite(even, point, odd)
      result(place, plus)
      result(place + 1, minus)
    }
    let (d1, d2, d3, d4, d5, d6, d7, d8) = (d(1), d(2), d(3), d(4), d(5), d(6), d(7), d(8))
    let (even1, even2) = (outer(d2, d4, d6), outer(d4, d6, d8))
    result(0, inner(outer(d(0), d2, d4), even1, even2))
    let (odd0, odd1) = (outer(d1, d3, d5), outer(d3, d5, d7))
    result(9, inner(odd0, odd1, outer(d5, d7, d(9))))
    pair(5, 0.875, fma(even2, -1.265625, even1), fma(odd1, -1.265625, odd0))
    pair(7, 1.125, fma(even2, -0.765625, even1), fma(odd1, -0.765625, odd0))
    let (evenA, evenB) = (inner(d2, d4, d6), inner(d4, d6, d8))
    let (oddA, oddB) = (inner(d1, d3, d5), inner(d3, d5, d7))
    pair(1, 0.5, fma(evenB, -4, evenA), fma(oddB, -4, oddA))
    pair(3, 2, fma(evenB, -0.25, evenA), fma(oddB, -0.25, oddA))
  }

  // 1 / N(p), where N(p) is the product of the differences from p to the other finite points.
  @inline(__always)
  private static var zero: Float { 1 / 0.968994140625 }
  @inline(__always)
  private static var half: Float { 1 / (2 * 0.25 * (0.25 - 4) * (0.25 - 0.765625) * (0.25 - 1.265625)) }
  @inline(__always)
  private static var two: Float { 1 / (2 * 4 * (4 - 0.25) * (4 - 0.765625) * (4 - 1.265625)) }
  @inline(__always)
  private static var less: Float { 1 / (2 * 0.765625 * (0.765625 - 0.25) * (0.765625 - 4) * (0.765625 - 1.265625)) }
  @inline(__always)
  private static var more: Float { 1 / (2 * 1.265625 * (1.265625 - 0.25) * (1.265625 - 4) * (1.265625 - 0.765625)) }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1, g2) = (g(0), g(1), g(2))
    result(0, g0 * zero)
    @inline(__always)
    func pair(_ place: Int, _ point: Float, _ scale: Float) {
      let even = fma(g0, point * point, g2) * scale
      let odd = g1 * (point * scale)
      result(place, even + odd)
      result(place + 1, even - odd)
    }
    pair(1, 0.5, half)
    pair(3, 2, two)
    pair(5, 0.875, less)
    pair(7, 1.125, more)
    result(9, g2)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2, p3, p4, p5, p6, p7, p8) = (p(1), p(2), p(3), p(4), p(5), p(6), p(7), p(8))
    let (sum1, sum2, sum3, sum4) = (p1 + p2, p3 + p4, p5 + p6, p7 + p8)
    let (odd1, odd2, odd3, odd4) = (p1 - p2, p3 - p4, p5 - p6, p7 - p8)
    /// The sum of the four, each times that power of its point.
    @inline(__always)
    func power(_ n: Int, _ a: V, _ b: V, _ c: V, _ d: V) -> V {
      fma(fma(fma(a * raised(0.5, n), raised(0.875, n), c), raised(1.125, n), d), raised(2, n), b)
    }
    result(0, (p(0) + sum1) + (sum2 + (sum3 + sum4)))
    result(1, power(1, odd1, odd2, odd3, odd4))
    result(2, power(2, sum1, sum2, sum3, sum4))
    result(3, power(3, odd1, odd2, odd3, odd4))
    result(4, power(4, sum1, sum2, sum3, sum4))
    result(5, power(5, odd1, odd2, odd3, odd4))
    result(6, power(6, sum1, sum2, sum3, sum4))
    result(7, power(7, odd1, odd2, odd3, odd4) + p(9))
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2, y3, y4, y5, y6, y7) = (y(0), y(1), y(2), y(3), y(4), y(5), y(6), y(7))
    result(0, y0)
    @inline(__always)
    func pair(_ place: Int, _ point: Float) {
      let square = point * point
      let even = fma(y0, square, fma(y2, square, fma(y4, square, y6)))
      let odd = fma(y1, square, fma(y3, square, fma(y5, square, y7)))
      let (plus, minus) = opposite(even, point, odd)
      result(place, plus)
      result(place + 1, minus)
    }
    pair(1, 0.5)
    pair(3, 2)
    pair(5, 0.875)
    pair(7, 1.125)
    result(9, y7)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2, u3, u4, u5, u6, u7, u8) = (u(1), u(2), u(3), u(4), u(5), u(6), u(7), u(8))
    let (sum1, sum2) = ((u1 + u2) * half, (u3 + u4) * two)
    let (sum3, sum4) = ((u5 + u6) * less, (u7 + u8) * more)
    result(0, fma(sum1 + sum2 + (sum3 + sum4), zero, u(0)))
    let (odd1, odd2) = ((u1 - u2) * (0.5 * half), (u3 - u4) * (2 * two))
    let (odd3, odd4) = ((u5 - u6) * (0.875 * less), (u7 - u8) * (1.125 * more))
    result(1, (odd1 + odd2) + (odd3 + odd4))
    result(2, fma(fma(u(9), 4, sum2), 1.265625, sum4) + fma(sum1 * 0.25, 0.765625, sum3))
  }

  /// A power of a point: a constant, once it is inlined.
  @inline(__always)
  private static func raised(_ point: Float, _ n: Int) -> Float {
    let square = point * point
    return switch n {
    case 1: point
    case 2: square
    case 3: square * point
    case 4: square * square
    case 5: square * square * point
    case 6: square * square * square
    default: square * square * square * point
    }
  }
}
