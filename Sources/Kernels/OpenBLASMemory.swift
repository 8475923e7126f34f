import COpenBLAS

/// The buffer that OpenBLAS takes at its first product of a thread and keeps: where a process's limit refuses it, OpenBLAS
/// asks again for ever.
public enum OpenBLASMemory {
  /// Bytes of address space, of the builds for x86-64.
  public static let bufferBytes = 134_221_824.0

  /// Has OpenBLAS take the calling thread's buffer now, while it is known to be there.
  public static func take() {
    let n = 256
    let (a, c) = ([Double](repeating: 1, count: n * n), AlignedBuffer(count: 2 * n * n, for: "a product"))
    c.pointer.withMemoryRebound(to: Double.self, capacity: n * n) {
      cblas_dgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(n), Int32(n), Int32(n), 1, a, Int32(n), a, Int32(n), 0, $0,
        Int32(n))
    }
  }
}
