/// An image inside view making: one `UInt32` a pixel, red in its low byte, then green, blue and an unused byte, so that
/// eight pixels are one vector register and every operation runs on whole registers.
///
/// The memory must reach to a multiple of eight pixels, since operations on all pixels work on the padding as well.
package struct Pixels {
  package let start: UnsafeMutablePointer<UInt32>
  package let height: Int
  package let width: Int

  package init(start: UnsafeMutablePointer<UInt32>, height: Int, width: Int) {
    self.start = start
    self.height = height
    self.width = width
  }

  package var count: Int { height * width }

  /// Pixels to allocate for so many that count.
  package static func padded(_ count: Int) -> Int { (count + 7) & ~7 }

  /// Takes a rectangle of a height x width x 3 byte image whose rows are `rowBytes` apart.
  package func load(rgb: UnsafePointer<UInt8>, rowBytes: Int) {
    for y in 0..<height {
      let row = rgb + y * rowBytes
      let into = start + y * width
      for x in 0..<width {
        into[x] = UInt32(row[3 * x]) | UInt32(row[3 * x + 1]) << 8 | UInt32(row[3 * x + 2]) << 16
      }
    }
  }

  /// Writes height x width x 3 bytes.
  package func store(rgb: UnsafeMutablePointer<UInt8>) {
    for pixel in 0..<count {
      rgb[3 * pixel] = UInt8(truncatingIfNeeded: start[pixel])
      rgb[3 * pixel + 1] = UInt8(truncatingIfNeeded: start[pixel] >> 8)
      rgb[3 * pixel + 2] = UInt8(truncatingIfNeeded: start[pixel] >> 16)
    }
  }

  /// Mirrors left and right in place.
  package func flip() {
    for y in 0..<height {
      var left = start + y * width
      var right = left + (width - 1)
      while left < right {
        (left.pointee, right.pointee) = (right.pointee, left.pointee)
        left += 1
        right -= 1
      }
    }
  }

  /// Replaces each pixel, eight at a time.
  @inline(__always)
  func map(_ body: (SIMD8<UInt32>) -> SIMD8<UInt32>) {
    let raw = UnsafeMutableRawPointer(start)
    for offset in stride(from: 0, to: 4 * count, by: 32) {
      let eight = raw.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt32>.self)
      raw.storeBytes(of: body(eight), toByteOffset: offset, as: SIMD8<UInt32>.self)
    }
  }
}

/// One channel of eight pixels.
typealias Channel = SIMD8<UInt32>

@inline(__always)
func unpack(_ pixels: Channel) -> (red: Channel, green: Channel, blue: Channel) {
  let byte = Channel(repeating: 255)
  return (pixels & byte, (pixels &>> 8) & byte, (pixels &>> 16) & byte)
}

@inline(__always)
func pack(_ red: Channel, _ green: Channel, _ blue: Channel) -> Channel { red | (green &<< 8) | (blue &<< 16) }

/// Conversions between 0 ..< 2^22 as integers and as floats through the bits of 2^23 + n: exact, and one or two
/// instructions where Swift's own conversions check every lane.
private let twoTo23: Float = 8_388_608

@inline(__always)
func float(_ channel: Channel) -> SIMD8<Float> {
  unsafeBitCast(channel | Channel(repeating: twoTo23.bitPattern), to: SIMD8<Float>.self) - twoTo23
}

/// The integer part of 0 ..< 2^22.
@inline(__always)
func truncated(_ value: SIMD8<Float>) -> Channel {
  let shifted = value + twoTo23
  let nearest = unsafeBitCast(shifted, to: Channel.self) & Channel(repeating: 0x3F_FFFF)
  // All ones, that is minus one, where the nearest integer lies above.
  return nearest &+ negative(value - (shifted - twoTo23))
}

// Masks are integers of all ones or none: Swift's own comparisons of float vectors and its mask operators become loops
// over lanes, a hundred times slower.

/// All ones where a float's sign is set.
@inline(__always)
func negative(_ value: SIMD8<Float>) -> Channel {
  unsafeBitCast(unsafeBitCast(value, to: SIMD8<Int32>.self) &>> 31, to: Channel.self)
}

/// All ones where two integers are the same.
@inline(__always)
func equal(_ a: Channel, _ b: Channel) -> Channel {
  Channel().replacing(with: Channel(repeating: .max), where: a .== b)
}

@inline(__always)
func select(_ mask: Channel, _ yes: Channel, _ no: Channel) -> Channel { no ^ ((no ^ yes) & mask) }

@inline(__always)
func select(_ mask: Channel, _ yes: SIMD8<Float>, _ no: SIMD8<Float>) -> SIMD8<Float> {
  unsafeBitCast(
    select(mask, unsafeBitCast(yes, to: Channel.self), unsafeBitCast(no, to: Channel.self)), to: SIMD8<Float>.self)
}
