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

/// As `prefetch`, into the second-level cache only.
@inline(__always)
func prefetchSecondLevel(_ p: UnsafePointer<Float>) { cvector_prefetch_second(p) }

/// As `prefetch` for a cache line that will be written.
@inline(__always)
func prefetchForWriting(_ p: UnsafeMutablePointer<Float>) { cvector_prefetch_write(p) }

// The standard library's own of these work lane by lane; the optimiser makes vectors of them again, but now and then two of
// half the size, whose store then holds up the load of the whole.
extension SIMD8<Float> {
  /// self + a * b, rounded once.
  @inline(__always)
  func addingProduct(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> { cvector_fma8(a, b, self) }

  /// The lanes where `sign` is above zero (or no number); +0 elsewhere.
  @inline(__always)
  func wherePositive(_ sign: SIMD8<Float>) -> SIMD8<Float> { cvector_positive8(self, sign) }

  /// The lanes that are not below zero; +0 elsewhere.
  @inline(__always)
  var rectified: SIMD8<Float> { cvector_rectified8(self) }

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
    #if AVX512
      cvector_fma8_double(a, b, self)
    #else
      SIMD8<Double>(
        lowHalf: cvector_fma4(a.lowHalf, b.lowHalf, lowHalf), highHalf: cvector_fma4(a.highHalf, b.highHalf, highHalf))
    #endif
  }
}
