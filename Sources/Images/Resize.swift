import Foundation

/// The source pixels and weights of each output pixel along one axis: PIL's antialiased bilinear filter, a triangle as
/// wide as the scale, with weights in 22-bit fixed point.
package struct ResizeTaps {
  private static let precision = 22
  private static let oneHalf = Int32(1) << Int32(precision - 1)
  /// For each output pixel: first source pixel and number of source pixels.
  let bounds: UnsafeMutablePointer<SIMD2<Int32>>
  /// `stride` weights for each output pixel.
  let weights: UnsafeMutablePointer<Int32>
  private let weightCapacity: Int
  private let outputCapacity: Int
  private(set) var output = 0
  private(set) var stride = 0

  /// Room for filters from up to `input` pixels to exactly `output`.
  package init(maximumInput input: Int, output: Int) {
    outputCapacity = output
    weightCapacity = output * Self.width(input: input, output: output)
    bounds = .allocate(capacity: outputCapacity)
    weights = .allocate(capacity: weightCapacity)
  }

  package func deallocate() {
    bounds.deallocate()
    weights.deallocate()
  }

  private static func support(input: Int, output: Int) -> Double { max(1, Double(input) / Double(output)) }
  private static func width(input: Int, output: Int) -> Int {
    Int(support(input: input, output: output).rounded(.up)) * 2 + 1
  }

  /// Computes the filter that takes `input` pixels to `output`.
  package mutating func set(input: Int, output: Int) {
    let scale = Double(input) / Double(output)
    let support = Self.support(input: input, output: output)
    let inverse = 1 / support
    stride = Self.width(input: input, output: output)
    self.output = output
    precondition(output <= outputCapacity && output * stride <= weightCapacity, "no room for \(input) to \(output)")
    for index in 0..<output {
      let center = (Double(index) + 0.5) * scale
      let first = max(0, Int(center - support + 0.5))
      let last = min(input, Int(center + support + 0.5))
      let into = weights + index * stride
      var sum = 0.0
      for source in first..<last { sum += Self.triangle((Double(source) - center + 0.5) * inverse) }
      for source in first..<last {
        let weight = Self.triangle((Double(source) - center + 0.5) * inverse) / sum
        into[source - first] = Int32(weight * Double(1 << Self.precision) + 0.5)
      }
      bounds[index] = SIMD2(Int32(first), Int32(last - first))
    }
  }

  private static func triangle(_ x: Double) -> Double { max(0, 1 - abs(x)) }

  /// Resizes rows: `height` rows of source pixels to rows of `output` pixels.
  func alongRows(from source: UnsafePointer<UInt32>, width: Int, height: Int, into target: UnsafeMutablePointer<UInt32>)
  {
    for y in 0..<height {
      let row = UnsafeRawPointer(source + y * width)
      let into = UnsafeMutableRawPointer(target + y * output)
      for x in 0..<output {
        let bound = bounds[x]
        let taps = weights + x * stride
        var sum = SIMD4<Int32>(repeating: Self.oneHalf)
        for tap in 0..<Int(bound.y) {
          let pixel = row.load(fromByteOffset: 4 * (Int(bound.x) + tap), as: SIMD4<UInt8>.self)
          sum = sum &+ SIMD4<Int32>(truncatingIfNeeded: pixel) &* SIMD4(repeating: taps[tap])
        }
        let bytes = SIMD4<UInt8>(truncatingIfNeeded: sum &>> SIMD4(repeating: Int32(Self.precision)))
        into.storeBytes(of: bytes, toByteOffset: 4 * x, as: SIMD4<UInt8>.self)
      }
    }
  }

  /// Resizes columns: rows of `width` pixels to `output` rows.
  func alongColumns(from source: UnsafePointer<UInt32>, width: Int, into target: UnsafeMutablePointer<UInt32>) {
    let bytes = 4 * width
    for y in 0..<output {
      let rows = UnsafeRawPointer(source + Int(bounds[y].x) * width).assumingMemoryBound(to: UInt8.self)
      let into = UnsafeMutableRawPointer(target + y * width).assumingMemoryBound(to: UInt8.self)
      let taps = weights + y * stride
      let count = Int(bounds[y].y)
      if count == 2 {
        let second = rows + bytes
        let (upper, lower) = (taps[0], taps[1])
        for byte in 0..<bytes {
          let sum = Self.oneHalf &+ Int32(rows[byte]) &* upper &+ Int32(second[byte]) &* lower
          into[byte] = UInt8(truncatingIfNeeded: sum &>> Int32(Self.precision))
        }
        continue
      }
      for byte in 0..<bytes {
        var sum = Self.oneHalf
        for tap in 0..<count { sum = sum &+ Int32(rows[tap &* bytes &+ byte]) &* taps[tap] }
        into[byte] = UInt8(truncatingIfNeeded: sum &>> Int32(Self.precision))
      }
    }
  }
}

/// PIL's Image.resize with Resampling.BILINEAR: one axis, rounded to bytes, then the other.
///
/// Rows come first unless the height shrinks by more than twice what the width does: the order that Pillow has chosen
/// since version 13 (its pull request 9549), which shows in the last bit. Earlier versions always begin with rows.
///
/// - Parameters:
///   - between: room for source.height x target.width and for target.height x source.width pixels.
///   - horizontal, vertical: taps with room for these sizes; they are overwritten.
package func resize(
  _ source: Pixels, into target: Pixels, between: UnsafeMutablePointer<UInt32>, horizontal: inout ResizeTaps,
  vertical: inout ResizeTaps
) {
  if source.height == target.height && source.width == target.width {
    target.start.update(from: source.start, count: source.count)
    return
  }
  horizontal.set(input: source.width, output: target.width)
  vertical.set(input: source.height, output: target.height)
  let (lostRows, lostColumns) = (source.height - target.height, source.width - target.width)
  if lostRows > 0 && lostRows > 2 * lostColumns {
    vertical.alongColumns(from: source.start, width: source.width, into: between)
    horizontal.alongRows(from: between, width: source.width, height: target.height, into: target.start)
  } else {
    horizontal.alongRows(from: source.start, width: source.width, height: source.height, into: between)
    vertical.alongColumns(from: between, width: target.width, into: target.start)
  }
}
