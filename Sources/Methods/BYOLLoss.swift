/// BYOL's loss between predictions and target projections (Grill et al. 2020, equation 2):
/// ||p/|p| - z/|z|||² = 2 - 2 cos(p, z).
public enum BYOLLoss {
  /// As torch.nn.functional.normalize: a row shorter than this is divided by this.
  static let shortest = 1e-12

  /// One direction of the symmetric loss over this rank's rows, and its gradient.
  ///
  /// - Parameters:
  ///   - predictions: p, [rows x dimensions], of one view.
  ///   - projections: z', [rows x dimensions], the target's of the other view; no gradient flows there.
  ///   - globalRows: the rows of all ranks, which the loss is the mean over.
  ///   - gradient: dloss/dp, [rows x dimensions]; overwritten.
  /// - Returns: this rank's share of the mean: Σ (2 - 2 cos) / globalRows.
  public static func direction(
    predictions: UnsafePointer<Float>, projections: UnsafePointer<Float>, rows: Int, dimensions: Int,
    globalRows: Int, gradient: UnsafeMutablePointer<Float>
  ) -> Double {
    var loss = 0.0
    for row in 0..<rows {
      let p = predictions + row * dimensions
      let z = projections + row * dimensions
      var pp = 0.0
      var zz = 0.0
      var pz = 0.0
      for d in 0..<dimensions {
        let (a, b) = (Double(p[d]), Double(z[d]))
        pp += a * a
        zz += b * b
        pz += a * b
      }
      let pLength = max(pp.squareRoot(), shortest)
      let zLength = max(zz.squareRoot(), shortest)
      let cosine = pz / (pLength * zLength)
      loss += 2 - 2 * cosine
      // d(-2 cos)/dp = -2 (z/|z| - cos p/|p|) / |p|
      let scale = -2 / (pLength * Double(globalRows))
      let into = gradient + row * dimensions
      for d in 0..<dimensions {
        into[d] = Float(scale * (Double(z[d]) / zLength - cosine * Double(p[d]) / pLength))
      }
    }
    return loss / Double(globalRows)
  }
}
