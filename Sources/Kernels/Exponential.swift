/// e^x in vectors, and the parts of a softmax over one row.
public enum Exponential {
  /// Replaces each number of a row by e^((number - largest) * factor).
  ///
  /// Relative error below 3e-7; below e^-87 it is 0. The numbers and their sum do not depend on the width of the
  /// processor's vectors.
  /// - Parameters:
  ///   - row: `count` numbers, none above `largest`; minus infinity becomes 0.
  ///   - factor: above 0.
  /// - Returns: the sum of what the row then holds.
  public static func replace(
    _ row: UnsafeMutablePointer<Float>, count: Int, largest: Float, factor: Float
  ) -> Double {
    let (top, times) = (SIMD8<Float>(repeating: largest), SIMD8<Float>(repeating: factor))
    var sums = SIMD8<Double>.zero
    var index = 0
    while index + 8 <= count {
      let power = ofNegative((load8(row + index) - top) * times)
      store8(power, row + index)
      sums += power.widened
      index += 8
    }
    if index < count {
      // The rest through the same arithmetic; what is not there counts as minus infinity.
      var rest = SIMD8<Float>(repeating: -.infinity)
      for lane in 0..<count - index { rest[lane] = row[index + lane] }
      let power = ofNegative((rest - top) * times)
      for lane in 0..<count - index { row[index + lane] = power[lane] }
      sums += power.widened
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
  }

  /// The largest of a row of at least one number.
  public static func largest(_ row: UnsafePointer<Float>, count: Int) -> Float {
    var best = row[0]
    var lanes = SIMD8<Float>(repeating: best)
    var index = 0
    while index + 8 <= count {
      let next = load8(row + index)
      lanes = next.lanes(next.isLarger(than: lanes), else: lanes)
      index += 8
    }
    for lane in 0..<8 { best = max(best, lanes[lane]) }
    while index < count {
      best = max(best, row[index])
      index += 1
    }
    return best
  }

  /// Multiplies a row by a factor.
  public static func scale(_ row: UnsafeMutablePointer<Float>, count: Int, by factor: Float) {
    let times = SIMD8<Float>(repeating: factor)
    var index = 0
    while index + 8 <= count {
      store8(load8(row + index) * times, row + index)
      index += 8
    }
    while index < count {
      row[index] *= factor
      index += 1
    }
  }

  /// The least x whose power is a normal number.
  private static let least: Float = -87.3

  /// e^x of x up to 0, no number where x is none: 2^n e^r with |r| <= ln 2 / 2, e^r by the minimax polynomial of Cephes' expf (Moshier 1992).
  @inline(__always)
  private static func ofNegative(_ x: SIMD8<Float>) -> SIMD8<Float> {
    // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low bits.
    let magic = SIMD8<Float>(repeating: 12_582_912)
    let bound = SIMD8<Float>(repeating: least)
    let vanishes = bound.isLarger(than: x)
    let bounded = bound.lanes(vanishes, else: x)
    let shifted = magic.addingProduct(bounded, SIMD8(repeating: 1.442_695_04))
    let whole = shifted - magic
    let rest = bounded.addingProduct(whole, SIMD8(repeating: -0.693_359_375))
      .addingProduct(whole, SIMD8(repeating: 2.121_944_4e-4))
    var power = SIMD8<Float>(repeating: 1.987_569_15e-4)
    for term: Float in [1.398_199_95e-3, 8.333_451_9e-3, 4.166_579_58e-2, 1.666_666_55e-1, 5.000_000_12e-1] {
      power = SIMD8(repeating: term).addingProduct(power, rest)
    }
    power = (rest + 1).addingProduct(power, rest * rest)
    let exponent = (unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- SIMD8(repeating: 0x4B40_0000 - 127)) &<< 23
    return SIMD8<Float>.zero.lanes(vanishes, else: power * unsafeBitCast(exponent, to: SIMD8<Float>.self))
  }
}
