/// torchvision's colour operations on PIL images, bit for bit: eight-bit pixels in and out of every one of them, since
/// the rounding in between is part of what networks have been trained on.
extension Pixels {
  /// torchvision's `adjust_brightness`: PIL's blend from black.
  /// - Parameter factor: at least 0; 1 changes nothing.
  package func adjustBrightness(_ factor: Float) {
    map { pixels in
      let (red, green, blue) = unpack(pixels)
      let none = SIMD8<Float>()
      return pack(blend(none, float(red), factor), blend(none, float(green), factor), blend(none, float(blue), factor))
    }
  }

  /// torchvision's `adjust_contrast`: PIL's blend from the image's mean luma, rounded.
  /// - Parameter factor: at least 0; 1 changes nothing.
  package func adjustContrast(_ factor: Float) {
    let mean = SIMD8<Float>(repeating: Float(meanLuma()))
    map { pixels in
      let (red, green, blue) = unpack(pixels)
      return pack(blend(mean, float(red), factor), blend(mean, float(green), factor), blend(mean, float(blue), factor))
    }
  }

  /// torchvision's `adjust_saturation`: PIL's blend from the grey image.
  /// - Parameter factor: at least 0; 1 changes nothing.
  package func adjustSaturation(_ factor: Float) {
    map { pixels in
      let (red, green, blue) = unpack(pixels)
      let grey = float(luma(red, green, blue))
      return pack(blend(grey, float(red), factor), blend(grey, float(green), factor), blend(grey, float(blue), factor))
    }
  }

  /// PIL's conversion to L, in all three channels: ITU-R 601 with 16-bit weights.
  package func makeGrey() {
    map { pixels in
      let (red, green, blue) = unpack(pixels)
      let grey = luma(red, green, blue)
      return pack(grey, grey, grey)
    }
  }

  /// The mean of L over the image, rounded as PIL's ImageEnhance.Contrast rounds it.
  private func meanLuma() -> Int {
    var sums = SIMD8<UInt32>()
    let whole = count & ~7
    let raw = UnsafeRawPointer(start)
    for offset in stride(from: 0, to: 4 * whole, by: 32) {
      let (red, green, blue) = unpack(raw.loadUnaligned(fromByteOffset: offset, as: Channel.self))
      sums = sums &+ luma(red, green, blue)
    }
    var sum = 0
    for lane in 0..<8 { sum += Int(sums[lane]) }
    for pixel in whole..<count {
      let (red, green, blue) = unpack(Channel(repeating: start[pixel]))
      sum += Int(luma(red, green, blue)[0])
    }
    return Int(Double(sum) / Double(count) + 0.5)
  }
}

@inline(__always)
func luma(_ red: Channel, _ green: Channel, _ blue: Channel) -> Channel {
  let weighted =
    red &* Channel(repeating: 19595) &+ green &* Channel(repeating: 38470) &+ blue &* Channel(repeating: 7471)
  return (weighted &+ Channel(repeating: 0x8000)) &>> 16
}

/// PIL's Image.blend: from + factor (to - from), clipped, the fraction dropped.
@inline(__always)
private func blend(_ from: SIMD8<Float>, _ to: SIMD8<Float>, _ factor: Float) -> Channel {
  let mixed = from + factor * (to - from)
  let clipped = unsafeBitCast(mixed, to: Channel.self) & ~negative(mixed)
  return pointwiseMin(truncated(unsafeBitCast(clipped, to: SIMD8<Float>.self)), Channel(repeating: 255))
}
