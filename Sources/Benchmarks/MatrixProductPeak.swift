import COpenBLAS
import Kernels
import Training

/// OpenBLAS's single-precision matrix product at a size where it is at its best: the yardstick of this machine.
enum MatrixProductPeak {
  /// GFLOP/s of this process with `threads` threads; the best of some runs.
  static func measure(threads: Int, side: Int = 768) -> Double {
    setOpenBLASThreads(threads)
    let (a, b, c) = (
      AlignedBuffer(count: side * side), AlignedBuffer(count: side * side), AlignedBuffer(count: side * side)
    )
    for index in 0..<(side * side) {
      a.pointer[index] = Float(index % 7) - 3
      b.pointer[index] = Float(index % 5) - 2
    }
    var best = Double.infinity
    for _ in 0..<12 {
      let began = monotonicSeconds()
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(side), Int32(side), Int32(side), 1, a.pointer, Int32(side),
        b.pointer, Int32(side), 0, c.pointer, Int32(side))
      best = min(best, monotonicSeconds() - began)
    }
    return 2 * Double(side * side * side) / best * 1e-9
  }
}
