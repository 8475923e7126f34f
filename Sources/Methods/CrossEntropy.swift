import Foundation
import Kernels

/// Cross entropy of a softmax over one prediction's logits, InfoNCE (van den Oord et al. 2018, equation 4; He et al. 2020,
/// equation 1): -log(e^l+ / (e^l+ + w Σ e^l-)) with l = cos/T.
///
/// w is 1, or EqCo's alpha/K (Zhu et al. 2020, arXiv 2010.01929), with which K negatives act like alpha.
public enum CrossEntropy {
  /// One row's loss; its cosines are replaced by the loss's gradient with respect to them, times `scale`.
  ///
  /// - Parameters:
  ///   - row: `count` cosines; one of minus infinity takes no part.
  ///   - positive: the place of the prediction's own key.
  ///   - negativeWeight: w.
  public static func row(
    _ row: UnsafeMutablePointer<Float>, count: Int, positive: Int, temperature: Double, negativeWeight: Double,
    scale: Double
  ) -> Double {
    let inverse = Float(1 / temperature)
    let largest = Exponential.largest(row, count: count)
    let own = row[positive]
    row[positive] = -.infinity
    let negatives =
      negativeWeight * Exponential.replace(row, count: count, largest: largest, factor: inverse)
    let ownLogit = Double(own - largest) / temperature
    let total = exp(ownLogit) + negatives
    let share = Float(scale * negativeWeight / (total * temperature))
    Exponential.scale(row, count: count, by: share)
    row[positive] = Float(-scale * negatives / (total * temperature))
    return log(total) - ownLogit
  }
}
