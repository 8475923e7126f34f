internal import CPrefetch

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
func prefetch(_ p: UnsafePointer<Float>) { cprefetch_line(p) }

@inline(__always)
func prefetch(_ p: UnsafeMutablePointer<Float>) { cprefetch_line(p) }
