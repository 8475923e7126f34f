/// F(6, 3) at 0, +-1, +-2, +-1/2, infinity: the fewest products, and errors of a few units in the fifth decimal of the
/// largest output where hundreds of channels are summed.
enum WinogradTile6: WinogradTile {
  @inline(__always)
  static var outputs: Int { 6 }
  @inline(__always)
  static var taps: Int { 3 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    let (d1, d2, d3, d4, d5, d6) = (d(1), d(2), d(3), d(4), d(5), d(6))
    result(0, fma(d(0) - d6, 5.25, d4 - d2))
    let (even1, odd1) = (fma(d2 + d6, -4.25, d4), fma(d1 + d5, -4.25, d3))
    result(1, even1 + odd1)
    result(2, even1 - odd1)
    let (even2, odd2) = (fma(fma(d6, -1.25, d4), 0.25, d2), fma(fma(d5, -1.25, d3), 0.25, d1))
    let (plus2, minus2) = opposite(even2, 2, odd2)
    result(3, plus2)
    result(4, minus2)
    let (even3, odd3) = (fma(fma(d6, -5, d4), 4, d2), fma(fma(d5, -5, d3), 4, d1))
    let (plus3, minus3) = opposite(even3, 0.5, odd3)
    result(5, plus3)
    result(6, minus3)
    result(7, fma(d(7) - d1, 5.25, d3 - d5))
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1, g2) = (g(0), g(1), g(2))
    result(0, g0)
    let (even1, odd1) = ((g0 + g2) * (-1 / 4.5), g1 * (-1 / 4.5))
    result(1, even1 + odd1)
    result(2, even1 - odd1)
    let (even2, odd2) = (fma(g0, 4, g2) * (1 / 90), g1 * (2 / 90))
    result(3, even2 + odd2)
    result(4, even2 - odd2)
    let (even3, odd3) = (fma(g0, 0.25, g2) * (1 / 1.40625), g1 * (0.5 / 1.40625))
    result(5, even3 + odd3)
    result(6, even3 - odd3)
    result(7, g2)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2, p3, p4, p5, p6) = (p(1), p(2), p(3), p(4), p(5), p(6))
    let (sum1, sum2, sum3) = (p1 + p2, p3 + p4, p5 + p6)
    let (odd1, odd2, odd3) = (p1 - p2, p3 - p4, p5 - p6)
    result(0, (p(0) + sum1) + (sum2 + sum3))
    result(1, fma(fma(odd1, 2, odd2), 0.5, odd3))
    result(2, fma(fma(sum1, 4, sum2), 0.25, sum3))
    result(3, fma(fma(odd1, 8, odd2), 0.125, odd3))
    result(4, fma(fma(sum1, 16, sum2), 0.0625, sum3))
    result(5, fma(fma(p(7) + odd1, 32, odd2), 0.03125, odd3))
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2, y3, y4, y5) = (y(0), y(1), y(2), y(3), y(4), y(5))
    result(0, y0)
    let (even1, odd1) = (y0 + (y2 + y4), y1 + (y3 + y5))
    result(1, even1 + odd1)
    result(2, even1 - odd1)
    let (even2, odd2) = (fma(fma(y0, 4, y2), 16, y4), fma(fma(y1 * 2, 8, y3), 32, y5))
    result(3, even2 + odd2)
    result(4, even2 - odd2)
    let (even3, odd3) = (fma(fma(y0, 0.25, y2), 0.0625, y4), fma(fma(y1 * 0.5, 0.125, y3), 0.03125, y5))
    result(5, even3 + odd3)
    result(6, even3 - odd3)
    result(7, y5)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2, u3, u4, u5, u6) = (u(1), u(2), u(3), u(4), u(5), u(6))
    let (sum1, odd1) = ((u1 + u2) * (-1 / 4.5), (u1 - u2) * (-1 / 4.5))
    let (sum2, odd2) = ((u3 + u4) * (1 / 90), (u3 - u4) * (1 / 90))
    let (sum3, odd3) = ((u5 + u6) * (1 / 1.40625), (u5 - u6) * (1 / 1.40625))
    result(0, (u(0) + sum1) + (sum2 + sum3))
    result(1, fma(fma(odd1, 2, odd2), 0.5, odd3))
    result(2, fma(fma(u(7) + sum1, 4, sum2), 0.25, sum3))
  }
}
