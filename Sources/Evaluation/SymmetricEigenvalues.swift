import COpenBLAS

/// Eigenvalues of symmetric matrices of one size, in memory of its own: LAPACK's dsyevd without vectors.
public final class SymmetricEigenvalues {
  public let size: Int
  /// [size x size], row-major; the elements at and right of the diagonal are read. A solution overwrites it.
  public let matrix: UnsafeMutableBufferPointer<Double>
  /// Ascending, after a solution.
  public let values: UnsafeMutableBufferPointer<Double>
  private let work: UnsafeMutableBufferPointer<Double>
  private let integers: UnsafeMutableBufferPointer<Int32>

  /// - Parameter size: at least 1.
  public init(size: Int) {
    precondition(size >= 1, "a matrix of size \(size)")
    self.size = size
    matrix = .allocate(capacity: size * size)
    matrix.initialize(repeating: 0)
    values = .allocate(capacity: size)
    values.initialize(repeating: 0)
    // Blocks of 64 columns for the reduction to three diagonals; LAPACK needs 2 size + 1 at least.
    work = .allocate(capacity: 66 * size + 1)
    integers = .allocate(capacity: 1)
  }

  deinit {
    matrix.deallocate()
    values.deallocate()
    work.deallocate()
    integers.deallocate()
  }

  /// Computes `values` from `matrix`.
  /// - Returns: false for a matrix of which LAPACK finds none, such as one that is not finite.
  public func solve() -> Bool {
    // LAPACK may not come back from what is not finite. It shows in the diagonal of a product of a matrix with itself.
    for index in 0..<size where !matrix[index * size + index].isFinite { return false }
    var (count, leading) = (Int32(size), Int32(size))
    var (workCount, integerCount, status) = (Int32(work.count), Int32(1), Int32(0))
    // Right of the diagonal in rows is below it in LAPACK's columns.
    dsyevd_(
      "N", "L", &count, matrix.baseAddress, &leading, values.baseAddress, work.baseAddress, &workCount,
      integers.baseAddress, &integerCount, &status, 1, 1)
    return status == 0
  }
}
