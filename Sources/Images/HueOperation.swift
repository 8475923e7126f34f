/// torchvision's `adjust_hue` on PIL images: to PIL's eight-bit HSV, a shift of H that wraps, and back.
///
/// PIL computes parts of this in double precision. The single-precision forms here give the same bytes: H for every
/// triple of channels (a test tries all), the way back but for about one value in 100,000, which is one level off.
extension Pixels {
  /// - Parameter factor: -0.5 to 0.5, a part of the colour circle.
  package func adjustHue(_ factor: Double) {
    precondition(abs(factor) <= 0.5, "a hue factor of \(factor)")
    let shift = Channel(repeating: UInt32(truncatingIfNeeded: Int(factor * 255)) & 255)
    map { pixels in
      let (red, green, blue) = unpack(pixels)
      let (hue, saturation, value) = hsv(red, green, blue)
      let (r, g, b) = rgb((hue &+ shift) & Channel(repeating: 255), saturation, value)
      return pack(r, g, b)
    }
  }
}

/// PIL's RGB to HSV, each 0...255.
@inline(__always)
func hsv(_ red: Channel, _ green: Channel, _ blue: Channel) -> (hue: Channel, saturation: Channel, value: Channel) {
  let value = pointwiseMax(red, pointwiseMax(green, blue))
  let least = pointwiseMin(red, pointwiseMin(green, blue))
  // A grey pixel would divide by zero; its hue and saturation are 0 by the mask at the end.
  let grey = equal(value, least)
  let range = float((value &- least) | (grey & Channel(repeating: 1)))
  let toRed = float(value &- red) / range
  let toGreen = float(value &- green) / range
  let toBlue = float(value &- blue) / range
  // PIL adds a sector's 2 or 4 in double precision and rounds once. Of the two terms, that of the least channel is 1, so
  // the sum with it is exact and the other addition rounds as PIL's.
  let whole = (SIMD8<Float>(repeating: 2), SIMD8<Float>(repeating: 4))
  let nearGreen = select(equal(blue, least), (whole.0 - toBlue) + toRed, (whole.0 + toRed) - toBlue)
  let nearBlue = select(equal(red, least), (whole.1 - toRed) + toGreen, (whole.1 + toGreen) - toRed)
  let notRed = select(equal(green, value), nearGreen, nearBlue)
  let turn = select(equal(red, value), toBlue - toGreen, notRed) / 6
  let oneMore = negative(turn) & Channel(repeating: Float(1).bitPattern)
  let hue = scaled255(turn + unsafeBitCast(oneMore, to: SIMD8<Float>.self))
  let saturation = scaled255(range / float(value | (grey & Channel(repeating: 1))))
  return (hue & ~grey, saturation & ~grey, value)
}

/// The integer part of 255 x, taken of the exact product.
@inline(__always)
private func scaled255(_ x: SIMD8<Float>) -> Channel {
  let factor = SIMD8<Float>(repeating: 255)
  let rounded = truncated(x * factor)
  // The product may have been rounded up to a whole number; what is left of the exact one then is negative.
  return rounded &+ negative((-float(rounded)).addingProduct(x, factor))
}

/// PIL's HSV to RGB, each 0...255.
@inline(__always)
func rgb(_ hue: Channel, _ saturation: Channel, _ value: Channel) -> (red: Channel, green: Channel, blue: Channel) {
  let sixfold = float(hue) * 6
  let sector = truncated(sixfold / 255)
  let fraction = (sixfold - float(sector) * 255) / 255
  let purity = float(saturation) / 255
  let top = float(value)
  let least = rounded(top.addingProduct(-top, purity))
  let isOdd = Channel() &- (sector & Channel(repeating: 1))
  let part = select(isOdd, fraction, 1 - fraction)
  let between = rounded(top.addingProduct(-top, purity * part))
  // Hue 255 is sector 6, which is sector 0 again.
  let zero = equal(sector, Channel()) | equal(sector, Channel(repeating: 6))
  let one = equal(sector, Channel(repeating: 1))
  let two = equal(sector, Channel(repeating: 2))
  let three = equal(sector, Channel(repeating: 3))
  let four = equal(sector, Channel(repeating: 4))
  let five = equal(sector, Channel(repeating: 5))
  let red = select(zero | five, value, select(two | three, least, between))
  let green = select(one | two, value, select(four | five, least, between))
  let blue = select(three | four, value, select(zero | one, least, between))
  return (red, green, blue)
}

/// To the nearest integer, halves up.
@inline(__always)
private func rounded(_ value: SIMD8<Float>) -> Channel { truncated(value + 0.5) }

/// For tests: PIL's HSV of eight pixels, and eight pixels of PIL's HSV.
package func hsvOfPixels(
  _ pixels: SIMD8<UInt32>
) -> (hue: SIMD8<UInt32>, saturation: SIMD8<UInt32>, value: SIMD8<UInt32>) {
  let (red, green, blue) = unpack(pixels)
  return hsv(red, green, blue)
}

package func pixelsOfHSV(
  hue: SIMD8<UInt32>, saturation: SIMD8<UInt32>, value: SIMD8<UInt32>
) -> SIMD8<UInt32> {
  let (red, green, blue) = rgb(hue, saturation, value)
  return pack(red, green, blue)
}
