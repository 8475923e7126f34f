import Kernels

/// Inputs and comparisons for kernel tests.
enum Noise {
  /// Standard normal floats, a pure function of the seed.
  static func floats(_ count: Int, seed: UInt64) -> [Float] {
    var random = CounterRandom(seed)
    return (0..<count).map { _ in Float(random.normal()) }
  }

  /// The largest difference over the largest wanted magnitude; infinite where a result is no number.
  static func relativeError(_ got: AlignedBuffer, _ wanted: [Double]) -> Double {
    guard got.count == wanted.count else { return .infinity }
    var largest = 0.0
    var worst = 0.0
    for index in 0..<wanted.count {
      let difference = abs(Double(got.pointer[index]) - wanted[index])
      guard difference.isFinite else { return .infinity }
      largest = max(largest, abs(wanted[index]))
      worst = max(worst, difference)
    }
    return largest == 0 ? worst : worst / largest
  }
}
