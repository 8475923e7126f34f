/// The one-dimensional transforms of Winograd's minimal filtering F(m, r) (Winograd 1980; Lavin and Gray 2016): m
/// outputs of an r-tap correlation from n = m + r - 1 products.
///
/// y = A' [(G g) * (B' d)] for inputs d, taps g and outputs y; each function applies one of the matrices to vectors of
/// channels, given by index and taken by index. Interpolation points are 0, infinity (the last) and pairs of
/// opposite sign where there is room, which halves the arithmetic; they are chosen for small error (Barabasz et al.
/// 2020), measured in single precision against double.
protocol WinogradTile {
  /// m, outputs on a side.
  static var outputs: Int { get }
  /// r, taps on a side.
  static var taps: Int { get }
  /// Inputs on a side: n, but for what is known to be zero.
  static var inputs: Int { get }
  /// n, products on a side.
  static var side: Int { get }
  /// B' d: n from the inputs.
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void)
  /// G g: n from r.
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void)
  /// A' p: m from n.
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void)
  /// A y: n from m, the adjoint of `output`.
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void)
  /// G' u: r from n, the adjoint of `filter`.
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void)
}

extension WinogradTile {
  @inline(__always)
  static var inputs: Int { side }
  @inline(__always)
  static var side: Int { outputs + taps - 1 }
}

/// x + factor * y.
@inline(__always)
func fma<V: FloatVector>(_ x: V, _ factor: Float, _ y: V) -> V { x.addingProduct(V(repeating: factor), y) }

/// The values at a pair of opposite points, even + point * odd and even - point * odd. The sums are not fused with the
/// product: processors have adders beside their multipliers, and a multiplier less in use is time won.
@inline(__always)
func opposite<V: FloatVector>(_ even: V, _ point: Float, _ odd: V) -> (V, V) {
  let scaled = odd * point
  return (even + scaled, even - scaled)
}

/// F(2, 3) at 0, 1, -1, infinity.
enum WinogradTile2: WinogradTile {
  @inline(__always)
  static var outputs: Int { 2 }
  @inline(__always)
  static var taps: Int { 3 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    let (d0, d1, d2, d3) = (d(0), d(1), d(2), d(3))
    result(0, d0 - d2)
    result(1, d1 + d2)
    result(2, d2 - d1)
    result(3, d3 - d1)
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1, g2) = (g(0), g(1), g(2))
    let even = (g0 + g2) * 0.5
    result(0, g0)
    result(1, fma(even, 0.5, g1))
    result(2, fma(even, -0.5, g1))
    result(3, g2)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2) = (p(1), p(2))
    result(0, p(0) + (p1 + p2))
    result(1, p(3) + (p1 - p2))
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1) = (y(0), y(1))
    result(0, y0)
    result(1, y0 + y1)
    result(2, y0 - y1)
    result(3, y1)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2) = (u(1), u(2))
    let even = (u1 + u2) * 0.5
    result(0, u(0) + even)
    result(1, (u1 - u2) * 0.5)
    result(2, u(3) + even)
  }
}

/// F(3, 3) at 0, 1, -1, 2, infinity.
enum WinogradTile3: WinogradTile {
  @inline(__always)
  static var outputs: Int { 3 }
  @inline(__always)
  static var taps: Int { 3 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    let (d0, d1, d2, d3, d4) = (d(0), d(1), d(2), d(3), d(4))
    let difference = d3 - d1
    result(0, fma(difference, 2, d0 - d2))
    result(1, fma(d3 - d2, -2, d1))
    result(2, fma(fma(d3, -3, d2), 2, d1))
    result(3, difference)
    result(4, fma(d4 - d2, -2, difference))
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1, g2) = (g(0), g(1), g(2))
    let sum = g0 + g2
    result(0, g0 * 0.5)
    result(1, (sum + g1) * -0.5)
    result(2, (sum - g1) * (-1.0 / 6))
    result(3, fma(fma(g0, 2, g1), 4, g2) * (1.0 / 6))
    result(4, g2)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2, p3) = (p(1), p(2), p(3))
    let sum = p1 + p2
    result(0, p(0) + (sum + p3))
    result(1, fma(p1 - p2, 2, p3))
    result(2, fma(p(4) + sum, 4, p3))
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2) = (y(0), y(1), y(2))
    let sum = y0 + y2
    result(0, y0)
    result(1, sum + y1)
    result(2, sum - y1)
    result(3, fma(fma(y0, 2, y1), 4, y2))
    result(4, y2)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2, u3) = (u(1) * -0.5, u(2) * (-1.0 / 6), u(3) * (1.0 / 6))
    let sum = u1 + u2
    result(0, fma(sum + u3, 0.5, u(0)))
    result(1, fma(u1 - u2, 2, u3))
    result(2, fma(u(4) + sum, 4, u3))
  }
}

/// F(4, 3) at 0, +-3/4, +-3/2, infinity: a quarter of the error of the usual 0, +-1, +-2, infinity.
enum WinogradTile4: WinogradTile {
  @inline(__always)
  static var outputs: Int { 4 }
  @inline(__always)
  static var taps: Int { 3 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    let (d1, d2, d3, d4) = (d(1), d(2), d(3), d(4))
    result(0, fma(fma(d4, -2.8125, d2), 1.265625, d(0)))
    let (evenA, oddA) = (fma(d4, -2.25, d2), fma(d3, -2.25, d1))
    let (plusA, minusA) = opposite(evenA, 0.75, oddA)
    result(1, plusA)
    result(2, minusA)
    let (evenB, oddB) = (fma(d4, -0.5625, d2), fma(d3, -0.5625, d1))
    let (plusB, minusB) = opposite(evenB, 1.5, oddB)
    result(3, plusB)
    result(4, minusB)
    result(5, fma(fma(d(5), -2.8125, d3), 1.265625, d1))
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1, g2) = (g(0), g(1), g(2))
    result(0, g0 * (1 / 1.265625))
    let evenA = fma(g0, 0.5625, g2) * (-1 / 1.8984375)
    let oddA = g1 * (-0.75 / 1.8984375)
    result(1, evenA + oddA)
    result(2, evenA - oddA)
    let evenB = fma(g0, 2.25, g2) * (1 / 7.59375)
    let oddB = g1 * (1.5 / 7.59375)
    result(3, evenB + oddB)
    result(4, evenB - oddB)
    result(5, g2)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2, p3, p4) = (p(1), p(2), p(3), p(4))
    let (sumA, differenceA) = (p1 + p2, p1 - p2)
    let (sumB, differenceB) = (p3 + p4, p3 - p4)
    result(0, p(0) + (sumA + sumB))
    result(1, fma(differenceA * 0.75, 1.5, differenceB))
    result(2, fma(sumA * 0.5625, 2.25, sumB))
    result(3, fma(fma(p(5), 0.421875, differenceA), 3.375, differenceB))
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2, y3) = (y(0), y(1), y(2), y(3))
    result(0, y0)
    let (evenA, oddA) = (fma(y0, 0.5625, y2), fma(y1 * 0.75, 0.421875, y3))
    result(1, evenA + oddA)
    result(2, evenA - oddA)
    let (evenB, oddB) = (fma(y0, 2.25, y2), fma(y1 * 1.5, 3.375, y3))
    result(3, evenB + oddB)
    result(4, evenB - oddB)
    result(5, y3)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2, u3, u4) = (u(1), u(2), u(3), u(4))
    let sumA = (u1 + u2) * (-1 / 1.8984375)
    let sumB = (u3 + u4) * (1 / 7.59375)
    result(0, fma(sumA + sumB, 1 / 1.265625, u(0)))
    let differenceA = (u1 - u2) * (-0.75 / 1.8984375)
    result(1, fma(differenceA, 1.5 / 7.59375, u3 - u4))
    result(2, fma(fma(u(5), 0.5625, sumA), 2.25, sumB))
  }
}
