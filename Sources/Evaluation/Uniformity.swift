import COpenBLAS
import Foundation

/// The pairs behind uniformity (Wang & Isola 2020, equation 2): log of the mean of exp(-2 |a - b|²) over pairs of
/// different images, 0 where all projections are the same, about -4 where they are spread over a sphere of many
/// dimensions.
public enum Uniformity {
  /// Rows that are multiplied at a time.
  private static let tile = 128
  /// Doubles of working memory for `pairSum`.
  public static let scratch = tile * tile

  /// Σ exp(-2 |a_i - b_j|²) over all rows i of `a` and j of `b`, both [rows x dimensions] of length 1.
  /// - Parameters:
  ///   - same: whether `a` is `b`, whose rows are then not paired with themselves.
  ///   - products: `scratch` doubles.
  public static func pairSum(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, rows: Int, dimensions: Int, same: Bool,
    products: UnsafeMutablePointer<Double>
  ) -> Double {
    var sum = 0.0
    for i in stride(from: 0, to: rows, by: tile) {
      let height = min(tile, rows - i)
      for j in stride(from: 0, to: rows, by: tile) {
        let width = min(tile, rows - j)
        cblas_dgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, Int32(height), Int32(width), Int32(dimensions), 1,
          a + i * dimensions, Int32(dimensions), b + j * dimensions, Int32(dimensions), 0, products, Int32(width))
        for y in 0..<height {
          for x in 0..<width where !(same && i + y == j + x) {
            // |a - b|² of unit rows; rounding may take it below 0, and what is no number stays none.
            let square = 2 - 2 * products[y * width + x]
            sum += square < 0 ? 1 : exp(-2 * square)
          }
        }
      }
    }
    return sum
  }
}
