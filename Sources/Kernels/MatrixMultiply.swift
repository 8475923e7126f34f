import COpenBLAS

/// Products of row-major matrices of floats.
public enum MatrixMultiply {
  /// c[m x n] (+)= op(a)[m x k] op(b)[k x n].
  ///
  /// - Parameters:
  ///   - lda: floats from one stored row of `a` to the next; `a` is stored as k x m when transposed. Likewise `ldb`.
  ///   - accumulate: adds to `c` instead of overwriting it.
  public static func run(
    m: Int, n: Int, k: Int, a: UnsafePointer<Float>, lda: Int, aTransposed: Bool, b: UnsafePointer<Float>, ldb: Int,
    bTransposed: Bool, c: UnsafeMutablePointer<Float>, ldc: Int, accumulate: Bool, team: ThreadTeam, scratch: Scratch
  ) {
    cblas_sgemm(
      CblasRowMajor, aTransposed ? CblasTrans : CblasNoTrans, bTransposed ? CblasTrans : CblasNoTrans, Int32(m),
      Int32(n), Int32(k), 1, a, Int32(lda), b, Int32(ldb), accumulate ? 1 : 0, c, Int32(ldc))
  }
}
