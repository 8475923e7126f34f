internal import CVector
import Foundation

/// What the processor multiplies and adds with.
enum MultiplyAddUnits {
  /// Whether it has as many units for registers of 512 bits as for those of 256. Others take such a register in two halves, or have
  /// one unit less for it: their multiply-adds of 512 bits take twice as long. Measured, as no system tells: a tenth of a millisecond
  /// at the first use. Only the choice between kernels of the same bits depends on it.
  static let areWide: Bool = {
    guard SIMD16<Float>.areWide else { return false }
    // The best of many in turn: neighbours slow down some of them, and a unit may have to wake up.
    var (narrow, wide) = (UInt64.max, UInt64.max)
    var check: Float = 0
    for _ in 0..<16 {
      narrow = min(narrow, nanoseconds { check += cvector_turns8(turns, 0.5) })
      wide = min(wide, nanoseconds { check += cvector_turns16(turns, 0.5) })
    }
    // The sums are finite; the compiler does not know, and has to compute them.
    return wide * 2 < narrow * 3 && check.isFinite
  }()

  private static let turns: Int32 = 1000

  private static func nanoseconds(_ body: () -> Void) -> UInt64 {
    var (start, end) = (timespec(), timespec())
    clock_gettime(CLOCK_MONOTONIC, &start)
    body()
    clock_gettime(CLOCK_MONOTONIC, &end)
    return UInt64((end.tv_sec - start.tv_sec) * 1_000_000_000 + (end.tv_nsec - start.tv_nsec))
  }
}
