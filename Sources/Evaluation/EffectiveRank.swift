import COpenBLAS
import Foundation

/// How many directions a batch of projections fills: RankMe (Garrido et al. 2023, equation 1), the exponential of the
/// entropy of the singular values over their sum. 1 where all rows are the same, at most the smaller side of the matrix.
///
/// The singular values are square roots of the eigenvalues of a matrix's product with itself, in double precision: those
/// below about 1e-8 of the largest drown in rounding, and add less than 1e-4 to the rank.
public enum EffectiveRank {
  /// - Parameter squares: of the singular values; those that rounding made negative count as 0.
  /// - Returns: 0 where all are 0, NaN where one is no number.
  public static func of(squares: UnsafeMutableBufferPointer<Double>) -> Double {
    var total = 0.0
    for square in squares {
      guard !square.isNaN else { return .nan }
      total += max(0, square).squareRoot()
    }
    guard total > 0 else { return 0 }
    var entropy = 0.0
    for square in squares where square > 0 {
      let share = square.squareRoot() / total
      entropy -= share * log(share)
    }
    return exp(entropy)
  }

  /// Writes aᵀ a, [dimensions x dimensions], of rows [rows x dimensions]: its diagonal and what is right of it.
  public static func columnProducts(
    _ a: UnsafePointer<Double>, rows: Int, dimensions: Int, into product: UnsafeMutableBufferPointer<Double>
  ) {
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, CblasTrans, Int32(dimensions), Int32(rows), 1, a, Int32(dimensions), 0,
      product.baseAddress, Int32(dimensions))
  }

  /// Writes a aᵀ, [rows x rows], likewise: its eigenvalues are the same, and fewer where there are fewer rows.
  public static func rowProducts(
    _ a: UnsafePointer<Double>, rows: Int, dimensions: Int, into product: UnsafeMutableBufferPointer<Double>
  ) {
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, CblasNoTrans, Int32(rows), Int32(dimensions), 1, a, Int32(dimensions), 0,
      product.baseAddress, Int32(rows))
  }
}
