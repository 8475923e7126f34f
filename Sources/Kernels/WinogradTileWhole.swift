/// Three outputs of a 3-tap correlation of three inputs with zeros on both sides of them: a map of 3 pixels, as a whole.
///
/// F(3, 3) takes five products; knowing the zeros, four do. y0 = g1 d0 + g2 d1, y1 = g0 d0 + g1 d1 + g2 d2,
/// y2 = g0 d1 + g1 d2, so the matrix of the g is g1 I + (g0 + g2) S / 2 + (g2 - g0) K / 2 with a symmetric S = e h' + h e' and an
/// antisymmetric K = k e' - e k', where e = (0, 1, 0), h = (1, 0, 1), k = (1, 0, -1). Each of them is the difference of
/// two matrices of rank one: (e + h / a)(e + h / a)' - (e - h / a)(e - h / a)' and
/// (e + k / b)(e - k / b)' - (e - k / b)(e + k / b)', up to a factor. Their sums in place of the differences
/// make up I for every a and b with a^2 - b^2 = 2. The pair 3/2 and 1/2 rounds least: a sixth of the error of F(3, 3).
///
/// Nothing of the kind was found for larger maps: n + 1 products for n outputs come as near as one likes, with ever larger
/// numbers, but are exact only with the (n + 1)th roots of unity.
enum WinogradTileWhole3: WinogradTile {
  @inline(__always)
  static var outputs: Int { 3 }
  @inline(__always)
  static var taps: Int { 3 }
  @inline(__always)
  static var inputs: Int { 3 }
  @inline(__always)
  static var side: Int { 4 }

  @inline(__always)
  static func input<V: FloatVector>(_ d: (Int) -> V, _ result: (Int, V) -> Void) {
    let (d0, d1, d2) = (d(0), d(1), d(2))
    aboutTheMiddle(d0 + d2, 1.5, d0 - d2, 0.5, d1, result)
  }

  @inline(__always)
  static func filter<V: FloatVector>(_ g: (Int) -> V, _ result: (Int, V) -> Void) {
    let (g0, g1, g2) = (g(0), g(1), g(2))
    aboutTheMiddle((g2 + g0) * (1.0 / 6), 0.25, (g2 - g0) * 0.5, 0.25, g1, result)
  }

  /// The outer two's sum, and then their difference, with a multiple of the middle one added and taken away.
  @inline(__always)
  private static func aboutTheMiddle<V: FloatVector>(
    _ sum: V, _ a: Float, _ difference: V, _ b: Float, _ middle: V, _ result: (Int, V) -> Void
  ) {
    result(0, fma(sum, a, middle))
    result(1, fma(sum, -a, middle))
    result(2, fma(difference, b, middle))
    result(3, fma(difference, -b, middle))
  }

  @inline(__always)
  static func output<V: FloatVector>(_ p: (Int) -> V, _ result: (Int, V) -> Void) {
    let (p0, p1, p2, p3) = (p(0), p(1), p(2), p(3))
    let (even, odd) = (p0 - p1, p2 - p3)
    result(0, even + odd)
    result(1, fma((p0 + p1) * 1.5, -0.5, p2 + p3))
    result(2, even - odd)
  }

  @inline(__always)
  static func outputGradient<V: FloatVector>(_ y: (Int) -> V, _ result: (Int, V) -> Void) {
    let (y0, y1, y2) = (y(0), y(1), y(2))
    let (sum, difference) = (y0 + y2, y0 - y2)
    result(0, fma(sum, 1.5, y1))
    result(1, fma(-sum, 1.5, y1))
    result(2, fma(difference, -0.5, y1))
    result(3, fma(-difference, -0.5, y1))
  }

  @inline(__always)
  static func filterGradient<V: FloatVector>(_ u: (Int) -> V, _ result: (Int, V) -> Void) {
    let (u0, u1, u2, u3) = (u(0), u(1), u(2), u(3))
    let (sum, difference) = ((u0 + u1) * (1.0 / 6), (u2 + u3) * 0.5)
    result(0, sum - difference)
    result(1, ((u0 - u1) + (u2 - u3)) * 0.25)
    result(2, sum + difference)
  }
}
