/// PIL's ImageFilter.GaussianBlur: three passes of an extended box blur along each axis (Gwosdek et al. 2011), with
/// 24-bit weights and bytes between passes.
package struct BoxBlur: Equatable {
  /// Whole pixels on each side, their weight, and the weight of the pixel beyond on each side.
  let radius: Int
  let weight: UInt32
  let edgeWeight: UInt32
  static let passes = 3

  /// The box whose three-fold application has a Gaussian's variance.
  /// - Parameter sigma: PIL's radius, the Gaussian's deviation in pixels; more than 0.
  package init(sigma: Float) {
    let variance = sigma * sigma / Float(Self.passes)
    let length = Float((12 * Double(variance) + 1).squareRoot())
    let whole = ((length - 1) / 2).rounded(.down)
    var part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part /= 6 * (variance - (whole + 1) * (whole + 1))
    let floatRadius = whole + part
    radius = Int(floatRadius)
    weight = UInt32(Float(1 << 24) / (floatRadius * 2 + 1))
    edgeWeight = ((1 << 24) - UInt32(radius * 2 + 1) * weight) / 2
  }

  /// One pass along the columns: each row becomes the weighted sum of its neighbours, the outermost rows repeated.
  func alongColumns(
    from source: UnsafePointer<UInt32>, into target: UnsafeMutablePointer<UInt32>, height: Int, width: Int
  ) {
    let bytes = 4 * width
    let rows = UnsafeRawPointer(source).assumingMemoryBound(to: UInt8.self)
    let out = UnsafeMutableRawPointer(target).assumingMemoryBound(to: UInt8.self)
    func row(_ y: Int) -> UnsafePointer<UInt8> { rows + min(max(y, 0), height - 1) * bytes }
    for y in 0..<height {
      let into = out + y * bytes
      let (above, below) = (row(y - radius - 1), row(y + radius + 1))
      switch radius {
      case 0:
        let center = row(y)
        for byte in 0..<bytes {
          into[byte] = mix(UInt32(center[byte]), UInt32(above[byte]) &+ UInt32(below[byte]))
        }
      case 1:
        let (first, center, last) = (row(y - 1), row(y), row(y + 1))
        for byte in 0..<bytes {
          let box = UInt32(first[byte]) &+ UInt32(center[byte]) &+ UInt32(last[byte])
          into[byte] = mix(box, UInt32(above[byte]) &+ UInt32(below[byte]))
        }
      default:
        for byte in 0..<bytes {
          var box: UInt32 = 0
          for near in (y - radius)...(y + radius) { box = box &+ UInt32(row(near)[byte]) }
          into[byte] = mix(box, UInt32(above[byte]) &+ UInt32(below[byte]))
        }
      }
    }
  }

  @inline(__always)
  private func mix(_ box: UInt32, _ edges: UInt32) -> UInt8 {
    UInt8(truncatingIfNeeded: (box &* weight &+ edges &* edgeWeight &+ 1 << 23) &>> 24)
  }
}

extension Pixels {
  /// Blurs in place; `spare` is room for as many pixels.
  /// - Parameter sigma: PIL's radius, more than 0.
  package func blur(sigma: Float, spare: UnsafeMutablePointer<UInt32>) {
    let box = BoxBlur(sigma: sigma)
    // PIL blurs along rows first; columns are the fast direction here, so the image is turned, blurred, and turned back.
    transpose(start, into: spare, height: height, width: width)
    box.alongColumns(from: spare, into: start, height: width, width: height)
    box.alongColumns(from: start, into: spare, height: width, width: height)
    box.alongColumns(from: spare, into: start, height: width, width: height)
    transpose(start, into: spare, height: width, width: height)
    box.alongColumns(from: spare, into: start, height: height, width: width)
    box.alongColumns(from: start, into: spare, height: height, width: width)
    box.alongColumns(from: spare, into: start, height: height, width: width)
  }
}

/// Writes rows as columns, in blocks that stay in the first cache.
func transpose(_ source: UnsafePointer<UInt32>, into target: UnsafeMutablePointer<UInt32>, height: Int, width: Int) {
  for top in stride(from: 0, to: height, by: 8) {
    for x in 0..<width {
      for y in top..<min(top + 8, height) { target[x &* height &+ y] = source[y &* width &+ x] }
    }
  }
}
