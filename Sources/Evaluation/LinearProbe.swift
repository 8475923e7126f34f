/// The study's linear evaluation: logistic regression on standardised frozen features of the first half of a split,
/// accuracy on the second half (Fetterman & Albrecht 2020).
public enum LinearProbe {
  /// Accuracy in percent on the second half.
  ///
  /// - Parameters:
  ///   - features: [labels.count x dimensions], row-major, in the split's order.
  ///   - classes: nil takes one more than the largest label.
  /// - Throws: `ProbeError` where there are too few images, or a feature is no number.
  public static func accuracy(features: [Float], labels: [Int], classes: Int? = nil, c: Double = 1) throws -> Double {
    let half = labels.count / 2
    guard half >= 1, features.count.isMultiple(of: labels.count) else { throw ProbeError.tooFew(images: labels.count) }
    let dimensions = features.count / labels.count
    guard let bad = features.firstIndex(where: { !$0.isFinite }) else {
      let scaler = Standardizer(features[0..<(half * dimensions)], dimensions: dimensions)
      let model = LogisticRegression(
        features: scaler.transform(features[0..<(half * dimensions)]), labels: Array(labels[0..<half]),
        dimensions: dimensions, classes: classes ?? (labels.max() ?? 0) + 1, c: c)
      let predicted = model.predict(scaler.transform(features[(half * dimensions)...]))
      let right = zip(predicted, labels[half...]).count { $0 == $1 }
      return 100 * Double(right) / Double(labels.count - half)
    }
    throw ProbeError.notFinite(image: bad / max(dimensions, 1))
  }
}

/// Why a probe cannot be made.
public enum ProbeError: Error, CustomStringConvertible, Equatable {
  case tooFew(images: Int)
  case notFinite(image: Int)

  public var description: String {
    switch self {
    case .tooFew(let images): "the probe needs at least 2 test images, there are \(images)"
    case .notFinite(let image): "the features of test image \(image) are not finite: the weights have diverged"
    }
  }
}

/// Shifts and scales each feature to mean 0 and deviation 1 over the rows it was made from; a constant one is only
/// shifted, as scikit-learn's StandardScaler.
package struct Standardizer {
  private let means: [Double]
  private let scales: [Double]
  private let dimensions: Int

  package init(_ rows: ArraySlice<Float>, dimensions: Int) {
    self.dimensions = dimensions
    let count = Double(rows.count / max(dimensions, 1))
    var means = [Double](repeating: 0, count: dimensions)
    var squares = [Double](repeating: 0, count: dimensions)
    for (place, value) in rows.enumerated() { means[place % dimensions] += Double(value) / count }
    for (place, value) in rows.enumerated() {
      let centred = Double(value) - means[place % dimensions]
      squares[place % dimensions] += centred * centred / count
    }
    self.means = means
    scales = squares.enumerated().map { index, square in
      // A deviation within rounding of zero is that of a constant.
      square.squareRoot() > 1e-7 * max(abs(means[index]), 1e-30) ? 1 / square.squareRoot() : 1
    }
  }

  package func transform(_ rows: ArraySlice<Float>) -> [Double] {
    rows.enumerated().map { (Double($1) - means[$0 % dimensions]) * scales[$0 % dimensions] }
  }
}
