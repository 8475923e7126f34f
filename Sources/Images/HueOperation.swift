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
  let grey = value .== least
  // A grey pixel would divide by zero; its hue and saturation are 0 by the masks at the end.
  let range = float((value &- least).replacing(with: 1, where: grey))
  let toRed = float(value &- red) / range
  let toGreen = float(value &- green) / range
  let toBlue = float(value &- blue) / range
  let isRed = red .== value
  let isGreen = green .== value
  // PIL adds the sector's 2 or 4 in double precision; adding it to the term that is exact comes to the same.
  var sextant = sectorSum(4, toGreen, toRed)
  sextant = sextant.replacing(with: sectorSum(2, toRed, toBlue), where: isGreen)
  sextant = sextant.replacing(with: toBlue - toGreen, where: isRed)
  let turn = sextant / 6
  let wrapped = turn.replacing(with: turn + 1, where: turn .< SIMD8())
  let hue = scaled255(wrapped.replacing(with: SIMD8(), where: wrapped .>= SIMD8(repeating: 1)))
  let top = float(value.replacing(with: 1, where: grey))
  let saturation = scaled255(range / top)
  return (hue.replacing(with: 0, where: grey), saturation.replacing(with: 0, where: grey), value)
}

/// sector + plus - minus with one rounding: the larger of the two is 1 or the other is 0, so the sum with it is exact.
@inline(__always)
private func sectorSum(_ sector: Float, _ plus: SIMD8<Float>, _ minus: SIMD8<Float>) -> SIMD8<Float> {
  let minusIsWhole = minus .== SIMD8(repeating: 1) .| minus .== SIMD8()
  let minusFirst = (sector - minus) + plus
  let plusFirst = (sector + plus) - minus
  return plusFirst.replacing(with: minusFirst, where: minusIsWhole)
}

/// The integer part of 255 x, taken of the exact product.
@inline(__always)
private func scaled255(_ x: SIMD8<Float>) -> Channel {
  let factor = SIMD8<Float>(repeating: 255)
  let rounded = truncated(x * factor)
  // The product may have been rounded up to a whole number; what is left of the exact one then is negative.
  let rest = (-float(rounded)).addingProduct(x, factor)
  return rounded.replacing(with: rounded &- Channel(repeating: 1), where: rest .< SIMD8())
}

/// PIL's HSV to RGB, each 0...255.
@inline(__always)
func rgb(_ hue: Channel, _ saturation: Channel, _ value: Channel) -> (red: Channel, green: Channel, blue: Channel) {
  let sixfold = float(hue) * 6
  let sector = truncated(sixfold / 255)
  let fraction = (sixfold - float(sector) * 255) / 255
  let purity = float(saturation) / 255
  let top = float(value)
  let p = rounded(top.addingProduct(-top, purity))
  let falling = purity * fraction
  let rising = purity * (1 - fraction)
  let isOdd = (sector & Channel(repeating: 1)) .== Channel(repeating: 1)
  let between = rounded(top.addingProduct(-top, rising.replacing(with: falling, where: isOdd)))
  // Hue 255 is sector 6, which is sector 0 again.
  let zero = sector .== Channel(repeating: 0) .| sector .== Channel(repeating: 6)
  let one = sector .== Channel(repeating: 1)
  let two = sector .== Channel(repeating: 2)
  let three = sector .== Channel(repeating: 3)
  let four = sector .== Channel(repeating: 4)
  let five = sector .== Channel(repeating: 5)
  let red = between.replacing(with: value, where: zero .| five).replacing(with: p, where: two .| three)
  let green = between.replacing(with: value, where: one .| two).replacing(with: p, where: four .| five)
  let blue = between.replacing(with: value, where: three .| four).replacing(with: p, where: zero .| one)
  return (red, green, blue)
}

/// To the nearest integer, halves up.
@inline(__always)
private func rounded(_ value: SIMD8<Float>) -> Channel { truncated(value + 0.5) }
