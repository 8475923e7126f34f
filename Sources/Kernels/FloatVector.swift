internal import CVector

/// Channels that kernels compute with side by side. Lanes are rounded each for itself, so the width makes no difference to
/// the numbers.
protocol ChannelVector {
  associatedtype Wide: DoubleVector
  static var lanes: Int { get }
  /// The floats from any address on.
  static func load(_ p: UnsafePointer<Float>) -> Self
  func store(_ p: UnsafeMutablePointer<Float>)
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Self) -> Self
  /// self + a * b, rounded once.
  func addingProduct(_ a: Self, _ b: Self) -> Self
  /// The lanes where `sign` is above zero (or no number); +0 elsewhere.
  func wherePositive(_ sign: Self) -> Self
  /// The lanes that are not below zero; +0 elsewhere.
  var rectified: Self { get }
  var widened: Wide { get }
}

/// What Winograd's transforms need besides.
protocol FloatVector: ChannelVector {
  init(repeating: Float)
  subscript(lane: Int) -> Float { get }
  static func * (a: Self, b: Float) -> Self
  static prefix func - (a: Self) -> Self
}

/// A `ChannelVector` in double precision.
protocol DoubleVector {
  static var zero: Self { get }
  static func load(_ p: UnsafePointer<Double>) -> Self
  func store(_ p: UnsafeMutablePointer<Double>)
  static func + (a: Self, b: Self) -> Self
  func addingProduct(_ a: Self, _ b: Self) -> Self
}

extension ChannelVector {
  @inline(__always)
  static func load(_ p: UnsafePointer<Float>) -> Self { UnsafeRawPointer(p).loadUnaligned(as: Self.self) }

  @inline(__always)
  static func load(_ p: UnsafeMutablePointer<Float>) -> Self { load(UnsafePointer(p)) }

  @inline(__always)
  func store(_ p: UnsafeMutablePointer<Float>) { UnsafeMutableRawPointer(p).storeBytes(of: self, as: Self.self) }
}

extension DoubleVector {
  @inline(__always)
  static func load(_ p: UnsafePointer<Double>) -> Self { UnsafeRawPointer(p).loadUnaligned(as: Self.self) }

  @inline(__always)
  func store(_ p: UnsafeMutablePointer<Double>) { UnsafeMutableRawPointer(p).storeBytes(of: self, as: Self.self) }
}

extension SIMD8<Double>: DoubleVector {}

extension SIMD8<Float>: ChannelVector, FloatVector {
  @inline(__always)
  static var lanes: Int { 8 }
}

/// One register where the program is compiled for AVX-512, which `areWide` says.
extension SIMD16<Float>: ChannelVector, FloatVector {
  @inline(__always)
  static var lanes: Int { 16 }

  @inline(__always)
  static var areWide: Bool {
    #if AVX512
      true
    #else
      false
    #endif
  }

  @inline(__always)
  func addingProduct(_ a: SIMD16<Float>, _ b: SIMD16<Float>) -> SIMD16<Float> { cvector_fma16(a, b, self) }

  @inline(__always)
  func wherePositive(_ sign: SIMD16<Float>) -> SIMD16<Float> { cvector_positive16(self, sign) }

  @inline(__always)
  var rectified: SIMD16<Float> { cvector_rectified16(self) }

  @inline(__always)
  var widened: Two<SIMD8<Double>> { Two(cvector_widen_low8(self), cvector_widen_high8(self)) }
}

/// Calls for vectors of channels as far as they fit, the widest first: those wider than eight where the program is compiled
/// for AVX-512.
/// - Parameters: each is given the first channel of a vector of 64 (where it helps), 16 or 8 lanes.
/// - Returns: the first channel of the rest, fewer than eight.
@inline(__always)
func forVectors(
  of channels: Int, by64 many: ((Int) -> Void)? = nil, by16: (Int) -> Void, by8: (Int) -> Void
) -> Int {
  var c = 0
  if SIMD16<Float>.areWide {
    if let many {
      while c + 64 <= channels {
        many(c)
        c += 64
      }
    }
    while c + 16 <= channels {
      by16(c)
      c += 16
    }
  }
  while c + 8 <= channels {
    by8(c)
    c += 8
  }
  return c
}

/// Two vectors as one.
struct Two<Vector> {
  var low, high: Vector

  @inline(__always)
  init(_ low: Vector, _ high: Vector) { (self.low, self.high) = (low, high) }
}

extension Two: DoubleVector where Vector: DoubleVector {
  @inline(__always)
  static var zero: Self { Two(.zero, .zero) }

  @inline(__always)
  static func + (a: Self, b: Self) -> Self { Two(a.low + b.low, a.high + b.high) }

  @inline(__always)
  func addingProduct(_ a: Self, _ b: Self) -> Self {
    Two(low.addingProduct(a.low, b.low), high.addingProduct(a.high, b.high))
  }
}

extension Two: ChannelVector where Vector: ChannelVector {
  @inline(__always)
  static var lanes: Int { 2 * Vector.lanes }

  @inline(__always)
  static func + (a: Self, b: Self) -> Self { Two(a.low + b.low, a.high + b.high) }

  @inline(__always)
  static func - (a: Self, b: Self) -> Self { Two(a.low - b.low, a.high - b.high) }

  @inline(__always)
  static func * (a: Self, b: Self) -> Self { Two(a.low * b.low, a.high * b.high) }

  @inline(__always)
  func addingProduct(_ a: Self, _ b: Self) -> Self {
    Two(low.addingProduct(a.low, b.low), high.addingProduct(a.high, b.high))
  }

  @inline(__always)
  func wherePositive(_ sign: Self) -> Self { Two(low.wherePositive(sign.low), high.wherePositive(sign.high)) }

  @inline(__always)
  var rectified: Self { Two(low.rectified, high.rectified) }

  @inline(__always)
  var widened: Two<Vector.Wide> { Two<Vector.Wide>(low.widened, high.widened) }
}
