import Foundation

/// Random numbers as a pure function of a key and a counter: no generator state to save, to share between ranks or to
/// get out of step (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The mixing function is
/// SplitMix64's finaliser (Steele et al. 2014) applied twice.
///
/// A key is made of the words that name the number wanted, for example (seed, purpose, epoch, sample, view); `next`
/// then counts through the numbers that belong to that key.
public struct CounterRandom: RandomNumberGenerator, Sendable {
  private let key: UInt64
  private var counter: UInt64 = 0

  /// Streams made with different words are independent; the order of the words matters.
  public init(_ words: UInt64...) {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for word in words { state = Self.mix(state ^ Self.mix(word &+ 0x9E37_79B9_7F4A_7C15)) &+ 0xD1B5_4A32_D192_ED03 }
    key = state
  }

  @inline(__always)
  private static func mix(_ word: UInt64) -> UInt64 {
    var z = word
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// The next 64 random bits of this key.
  public mutating func next() -> UInt64 {
    counter &+= 1
    return Self.mix(key &+ Self.mix(counter &* 0x9E37_79B9_7F4A_7C15))
  }

  /// Uniform in [0, 1), 53 bits.
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform in [low, high).
  public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * uniform() }

  /// Standard normal by Box and Muller's transform; one of the pair is dropped so that each call takes two numbers.
  public mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }
}
