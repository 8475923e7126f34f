import COpenBLAS
import Foundation

/// Multinomial logistic regression with an L2 penalty, fitted by L-BFGS: the optimum of scikit-learn's
/// LogisticRegression, Σ -log softmax(x W + b)[y] + |W|² / (2 C), with intercepts b unpenalised.
public struct LogisticRegression {
  public let classes: Int
  public let dimensions: Int
  /// [dimensions x classes], row-major, then the `classes` intercepts.
  public private(set) var weights: [Double]
  /// Iterations that the fit took, and whether the gradient got small enough before their limit.
  public private(set) var iterations = 0
  public private(set) var converged = false

  /// Fits rows of features to their labels.
  ///
  /// - Parameters:
  ///   - features: [labels.count x dimensions], row-major.
  ///   - labels: each in 0..<classes.
  ///   - c: scikit-learn's C, one over the penalty's weight.
  ///   - tolerance: of the largest component of the gradient of the mean loss.
  public init(
    features: [Double], labels: [Int], dimensions: Int, classes: Int, c: Double = 1, tolerance: Double = 1e-4,
    maxIterations: Int = 1000
  ) {
    precondition(features.count == labels.count * dimensions, "features and labels have different numbers of rows")
    precondition(labels.allSatisfy { $0 >= 0 && $0 < classes }, "a label is out of range")
    self.classes = classes
    self.dimensions = dimensions
    weights = Array(repeating: 0, count: (dimensions + 1) * classes)
    guard !labels.isEmpty else { return }
    let objective = SoftmaxObjective(
      features: features, labels: labels, dimensions: dimensions, classes: classes,
      penalty: 1 / (c * Double(labels.count)))
    var solver = LBFGS(start: weights)
    let result = solver.minimize(tolerance: tolerance, maxIterations: maxIterations) { objective.evaluate($0, &$1) }
    weights = solver.point
    (iterations, converged) = (result.iterations, result.converged)
  }

  /// The likeliest class of each row of [rows x dimensions].
  public func predict(_ features: [Double]) -> [Int] {
    let rows = features.count / max(dimensions, 1)
    let scores = linearScores(features, rows: rows, dimensions: dimensions, classes: classes, weights: weights)
    return (0..<rows).map { row in
      (0..<classes).max { scores[row * classes + $0] < scores[row * classes + $1] } ?? 0
    }
  }
}

/// x W + b, [rows x classes].
private func linearScores(
  _ features: [Double], rows: Int, dimensions: Int, classes: Int, weights: [Double]
) -> [Double] {
  var scores = [Double](repeating: 0, count: rows * classes)
  let bias = dimensions * classes
  for row in 0..<rows {
    for k in 0..<classes { scores[row * classes + k] = weights[bias + k] }
  }
  guard rows > 0, dimensions > 0 else { return scores }
  cblas_dgemm(
    CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(rows), Int32(classes), Int32(dimensions), 1, features,
    Int32(dimensions), weights, Int32(classes), 1, &scores, Int32(classes))
  return scores
}

/// The mean softmax cross-entropy with its penalty, and its gradient.
private struct SoftmaxObjective {
  let features: [Double]
  let labels: [Int]
  let dimensions: Int
  let classes: Int
  /// Of |W|² / 2, beside the mean loss.
  let penalty: Double

  func evaluate(_ weights: [Double], _ gradient: inout [Double]) -> Double {
    let rows = labels.count
    var scores = linearScores(features, rows: rows, dimensions: dimensions, classes: classes, weights: weights)
    var loss = 0.0
    let share = 1 / Double(rows)
    let bias = dimensions * classes
    for k in 0..<classes { gradient[bias + k] = 0 }
    for row in 0..<rows {
      let base = row * classes
      var largest = -Double.infinity
      for k in 0..<classes { largest = max(largest, scores[base + k]) }
      var total = 0.0
      let right = scores[base + labels[row]]
      for k in 0..<classes {
        let e = exp(scores[base + k] - largest)
        scores[base + k] = e
        total += e
      }
      loss += log(total) + largest - right
      for k in 0..<classes {
        let residual = (scores[base + k] / total - (k == labels[row] ? 1 : 0)) * share
        scores[base + k] = residual
        gradient[bias + k] += residual
      }
    }
    for i in 0..<bias { gradient[i] = penalty * weights[i] }
    cblas_dgemm(
      CblasRowMajor, CblasTrans, CblasNoTrans, Int32(dimensions), Int32(classes), Int32(rows), 1, features,
      Int32(dimensions), scores, Int32(classes), 1, &gradient, Int32(classes))
    var squares = 0.0
    for i in 0..<bias { squares += weights[i] * weights[i] }
    return loss * share + penalty * squares / 2
  }
}
