import Glibc

/// What a core's second-level cache holds, by which work is cut.
enum CacheSize {
  /// Its floats, two megabytes at most, as larger ones are often several cores'; one megabyte where the system does not tell.
  static let secondLevel: Int = {
    let bytes = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
    return (bytes > 0 ? min(bytes, 2 << 20) : 1 << 20) / MemoryLayout<Float>.size
  }()
  /// Floats of half of it, by which blocks of work are cut: a quarter to half a megabyte, since larger ones gain nothing.
  static let halfSecondLevel = min(max(secondLevel / 2, 1 << 16), 1 << 17)
  /// Whether it is so large that the third level behind it is slow: a fifth of the bandwidth and less, as on processors whose
  /// cores share that over a mesh.
  static let isBeforeSlowThirdLevel = secondLevel > 1 << 18
}
