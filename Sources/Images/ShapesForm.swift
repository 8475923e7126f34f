/// The classes of `shapes`: figures about as large as the unit disc, told apart by their local contour.
package enum Form: String, CaseIterable, Sendable {
  case disc, ring, square, frame, triangle, cross, star, crescent, bars, heart

  /// The signed distance from a point to the contour, negative inside; exact near the contour, where it matters.
  @inline(__always)
  func distance(_ x: Float, _ y: Float) -> Float {
    switch self {
    case .disc: return length(x, y) - 0.85
    case .ring: return abs(length(x, y) - 0.73) - 0.16
    case .square: return box(x, y, 0.74, 0.74)
    case .frame: return abs(box(x, y, 0.66, 0.66)) - 0.14
    case .triangle:
      let side = 0.866_025_4 * abs(x) + 0.5 * y
      return max(side, -y) - 0.5
    case .cross: return min(box(x, y, 0.95, 0.26), box(x, y, 0.26, 0.95))
    case .star: return Self.star(x, y)
    case .crescent: return max(length(x, y) - 0.9, 0.74 - length(x - 0.42, y))
    case .bars:
      let row = max(-1, min(1, (y / 0.62).rounded()))
      return box(x, y - 0.62 * row, 0.85, 0.17)
    case .heart:
      let (u, v) = (0.707_106_8 * (x + y), 0.707_106_8 * (y - x))
      let body = box(u + 0.1, v + 0.1, 0.5, 0.5)
      return min(body, min(length(u + 0.1, v - 0.4) - 0.5, length(u - 0.4, v + 0.1) - 0.5))
    }
  }

  /// A five-pointed star, folded into the half of one point.
  @inline(__always)
  private static func star(_ x: Float, _ y: Float) -> Float {
    let (c36, s36): (Float, Float) = (0.809_017, 0.587_785_3)
    var px = abs(x)
    var py = y
    let first = max(0, px * s36 - py * c36) * 2
    // Two reflections bring every point next to the tip at (0, 1).
    px -= first * s36
    py += first * c36
    let second = max(0, -px * s36 - py * c36) * 2
    px += second * s36
    py += second * c36
    px = abs(px)
    // The edge from the tip (0, 1) to the inner corner at 36 degrees and radius 0.42.
    let (ex, ey) = (0.42 * s36, 0.42 * c36 - 1)
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
