import Glibc

/// What a core's second-level cache holds, by which work is cut.
enum CacheSize {
  /// Floats of half of it, which is what a block of work may have: a quarter to half a megabyte, since larger blocks gain
  /// nothing; half a megabyte where the system does not tell.
  static let halfSecondLevel: Int = {
    let bytes = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
    return bytes > 0 ? min(max(bytes / 2, 1 << 18), 1 << 19) / MemoryLayout<Float>.size : 131_072
  }()
}
