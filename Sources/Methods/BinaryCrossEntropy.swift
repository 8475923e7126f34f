import Foundation
import Kernels

/// Binary cross entropy of one prediction's logits cos/T: its own key is to be 1, every negative 0. The mean over the
/// logits, as torch.nn.functional.binary_cross_entropy_with_logits has it (Fetterman & Albrecht 2020, the `bce` of their
/// code).
public enum BinaryCrossEntropy {
  /// One row's loss; its cosines are replaced by the loss's gradient with respect to them, times `scale`.
  ///
  /// - Parameters:
  ///   - row: `count` cosines; one of minus infinity takes no part.
  ///   - positive: the place of the prediction's own key.
  ///   - logits: the cosines that take part, which the mean is over.
  public static func row(
    _ row: UnsafeMutablePointer<Float>, count: Int, positive: Int, temperature: Double, logits: Int, scale: Double
  ) -> Double {
    let inverse = Float(1 / temperature)
    let share = Float(scale / (Double(logits) * temperature))
    var loss = 0.0
    for j in 0..<count {
      // softplus(x) and its slope, of -l for the own key.
      let x = j == positive ? -row[j] * inverse : row[j] * inverse
      let small = exp(-abs(x))
      loss += Double(max(x, 0) + log1p(small))
      let slope = (x >= 0 ? 1 : small) / (1 + small)
      row[j] = (j == positive ? -slope : slope) * share
    }
    return loss / Double(logits)
  }
}
