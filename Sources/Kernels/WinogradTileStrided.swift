// Tiles of two taps: what a 3-tap filter of stride 2 becomes when even and odd inputs are told apart.

/// F(3, 2) at 0, 1, -1, infinity.
enum WinogradStrided3: WinogradTile {
  @inline(__always)
  static var outputs: Int { 3 }
  @inline(__always)
  static var taps: Int { 2 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    WinogradTile2.input(d, result)
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1) = (g(0), g(1))
    result(0, g0)
    result(1, (g0 + g1) * 0.5)
    result(2, (g0 - g1) * 0.5)
    result(3, g1)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2) = (p(1), p(2))
    let sum = p1 + p2
    result(0, p(0) + sum)
    result(1, p1 - p2)
    result(2, p(3) + sum)
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2) = (y(0), y(1), y(2))
    let sum = y0 + y2
    result(0, y0)
    result(1, sum + y1)
    result(2, sum - y1)
    result(3, y2)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2) = (u(1), u(2))
    result(0, fma(u(0), 0.5, u1 + u2))
    result(1, fma(u(3), 0.5, u1 - u2))
  }
}

/// F(4, 2) at 0, 1, -1, 2, infinity.
enum WinogradStrided4: WinogradTile {
  @inline(__always)
  static var outputs: Int { 4 }
  @inline(__always)
  static var taps: Int { 2 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    WinogradTile3.input(d, result)
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1) = (g(0), g(1))
    result(0, g0 * 0.5)
    result(1, (g0 + g1) * -0.5)
    result(2, (g0 - g1) * (-1.0 / 6))
    result(3, fma(g0, 2, g1) * (1.0 / 6))
    result(4, g1)
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p1, p2, p3) = (p(1), p(2), p(3))
    let (sum, difference) = (p1 + p2, p1 - p2)
    result(0, p(0) + (sum + p3))
    result(1, fma(difference, 2, p3))
    result(2, fma(sum, 4, p3))
    result(3, fma(p(4) + difference, 8, p3))
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2, y3) = (y(0), y(1), y(2), y(3))
    let (even, odd) = (y0 + y2, y1 + y3)
    result(0, y0)
    result(1, even + odd)
    result(2, even - odd)
    result(3, fma(fma(y0, 2, y1), 4, fma(y2, 2, y3)))
    result(4, y3)
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u1, u2, u3) = (u(1) * -0.5, u(2) * (-1.0 / 6), u(3) * (1.0 / 6))
    result(0, fma((u1 + u2) + u3, 0.5, u(0)))
    result(1, fma(u(4) + (u1 - u2), 2, u3))
  }
}
