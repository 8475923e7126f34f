/// The classes of `shapes`: figures about as large as the unit disc, told apart by their local contour.
package enum Form: String, CaseIterable, Sendable {
  case disc, ring, triangle, cross, star, crescent, bars, checker, dots, zigzag

  /// The signed distance from a point to the contour, negative inside; exact near the contour, where it matters.
  @inline(__always)
  func distance(_ x: Float, _ y: Float) -> Float {
    switch self {
    case .disc: return length(x, y) - 0.85
    case .ring: return abs(length(x, y) - 0.73) - 0.16
    case .triangle:
      let side = 0.866_025_4 * abs(x) + 0.5 * y
      return max(side, -y) - 0.5
    case .cross: return min(box(x, y, 0.95, 0.26), box(x, y, 0.26, 0.95))
    case .star: return Self.star(x, y)
    case .crescent: return max(length(x, y) - 0.9, 0.74 - length(x - 0.42, y))
    case .bars:
      let row = max(-1, min(1, (y / 0.62).rounded()))
      return box(x, y - 0.62 * row, 0.85, 0.17)
    case .checker:
      let (u, v) = (abs(x), abs(y))
      return min(box(u - 0.567, v - 0.567, 0.283, 0.283), box(u, v, 0.283, 0.283))
    case .dots:
      let sides = length(abs(x) - 0.52, y - 0.3)
      return min(sides, length(x, y + 0.6)) - 0.36
    case .zigzag:
      // A triangle wave of period 0.9; the vertical distance becomes one to its slopes.
      let phase = (x / 0.9 + 0.25) - (x / 0.9 + 0.25).rounded()
      let wave = 0.35 * (4 * abs(phase) - 1)
      return max(0.54 * abs(y - wave) - 0.16, abs(x) - 0.9)
    }
  }

  /// A five-pointed star, folded into the half of one point.
  @inline(__always)
  private static func star(_ x: Float, _ y: Float) -> Float {
    let (c36, s36): (Float, Float) = (0.809_017, 0.587_785_3)
    var px = abs(x)
    var py = y
    // Two reflections bring every point next to the tip at (0, 1).
    let first = 2 * max(0, px * c36 - py * s36)
    px -= first * c36
    py += first * s36
    let second = 2 * max(0, -px * c36 - py * s36)
    px += second * c36
    py += second * s36
    px = abs(px)
    // The edge from the tip (0, 1) to the inner corner at 36 degrees and radius 0.36.
    let (ex, ey) = (0.36 * s36, 0.36 * c36 - 1)
    let edge = length(ex, ey)
    return (px * -ey + (py - 1) * ex) / edge
  }
}

@inline(__always)
private func length(_ x: Float, _ y: Float) -> Float { (x * x + y * y).squareRoot() }

@inline(__always)
private func box(_ x: Float, _ y: Float, _ halfWidth: Float, _ halfHeight: Float) -> Float {
  let (dx, dy) = (abs(x) - halfWidth, abs(y) - halfHeight)
  return length(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0)
}
