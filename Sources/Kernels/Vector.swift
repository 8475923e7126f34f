internal import CVector

/// Eight floats of one AVX2 register, from any address.
@inline(__always)
package func load8(_ p: UnsafePointer<Float>) -> SIMD8<Float> {
  UnsafeRawPointer(p).loadUnaligned(as: SIMD8<Float>.self)
}

@inline(__always)
package func load8(_ p: UnsafeMutablePointer<Float>) -> SIMD8<Float> {
  UnsafeRawPointer(p).loadUnaligned(as: SIMD8<Float>.self)
}

@inline(__always)
package func store8(_ value: SIMD8<Float>, _ p: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(p).storeBytes(of: value, as: SIMD8<Float>.self)
}

/// Starts to load the cache line of an address that will be wanted soon. Kernels say so where they jump about in maps
/// that lie in memory, which the processor does not foresee; any address is harmless.
@inline(__always)
func prefetch(_ p: UnsafePointer<Float>) { cvector_prefetch(p) }

@inline(__always)
func prefetch(_ p: UnsafeMutablePointer<Float>) { cvector_prefetch(p) }

/// As `prefetch` for a cache line that will be written.
@inline(__always)
func prefetchForWriting(_ p: UnsafeMutablePointer<Float>) { cvector_prefetch_write(p) }

/// Floats that kernels compute with side by side, of eight or sixteen lanes.
protocol FloatVector {
  static var lanes: Int { get }
  init(repeating: Float)
  /// The floats from any address on.
  static func load(_ p: UnsafePointer<Float>) -> Self
  func store(_ p: UnsafeMutablePointer<Float>)
  subscript(lane: Int) -> Float { get set }
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Float) -> Self
  static prefix func - (a: Self) -> Self
  /// self + a * b, rounded once.
  func addingProduct(_ a: Self, _ b: Self) -> Self
}

extension FloatVector {
  @inline(__always)
  static func load(_ p: UnsafePointer<Float>) -> Self { UnsafeRawPointer(p).loadUnaligned(as: Self.self) }

  @inline(__always)
  static func load(_ p: UnsafeMutablePointer<Float>) -> Self { load(UnsafePointer(p)) }

  @inline(__always)
  func store(_ p: UnsafeMutablePointer<Float>) { UnsafeMutableRawPointer(p).storeBytes(of: self, as: Self.self) }
}

extension SIMD8<Float>: FloatVector {
  @inline(__always)
  static var lanes: Int { 8 }
}

/// One register where the program is compiled for AVX-512, which `areWide` says. Lanes are rounded each for itself, so the
/// width makes no difference to the numbers.
extension SIMD16<Float>: FloatVector {
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
}

// The standard library's own of these work lane by lane; the optimiser makes vectors of them again, but now and then two of
// half the size, whose store then holds up the load of the whole.
extension SIMD8<Float> {
  /// self + a * b, rounded once.
  @inline(__always)
  func addingProduct(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> { cvector_fma8(a, b, self) }

  /// The lanes where `sign` is above zero (or no number); +0 elsewhere.
  @inline(__always)
  func wherePositive(_ sign: SIMD8<Float>) -> SIMD8<Float> { cvector_positive8(self, sign) }

  /// All bits set in the lanes that are larger than the other's.
  @inline(__always)
  func isLarger(than other: SIMD8<Float>) -> SIMD8<Int32> { cvector_larger8(self, other) }

  /// This vector where all bits of the mask are set, the other one elsewhere.
  @inline(__always)
  func lanes(_ mask: SIMD8<Int32>, else other: SIMD8<Float>) -> SIMD8<Float> { cvector_select8(mask, self, other) }

  @inline(__always)
  var widened: SIMD8<Double> { SIMD8<Double>(lowHalf: cvector_widen_low(self), highHalf: cvector_widen_high(self)) }
}

extension SIMD8<Int32> {
  /// These lanes, but the number where all bits of the mask are set.
  @inline(__always)
  func with(_ number: Int32, where mask: SIMD8<Int32>) -> SIMD8<Int32> { cvector_select8_number(mask, number, self) }
}

extension SIMD8<Double> {
  /// self + a * b, rounded once.
  @inline(__always)
  func addingProduct(_ a: SIMD8<Double>, _ b: SIMD8<Double>) -> SIMD8<Double> {
    SIMD8<Double>(
      lowHalf: cvector_fma4(a.lowHalf, b.lowHalf, lowHalf), highHalf: cvector_fma4(a.highHalf, b.highHalf, highHalf))
  }
}
