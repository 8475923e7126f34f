/// The study's linear evaluation: logistic regression on standardised frozen features of half of a split, accuracy on the
/// other half (Fetterman & Albrecht 2020). `ProbeSplit` cuts the halves.
public enum LinearProbe {
  public struct Result: Equatable, Sendable {
    /// Percent of the judged half.
    public let accuracy: Double
    /// Whether the fit came to its optimum within its iterations.
    public let converged: Bool
    public let iterations: Int
  }

  /// Fits and judges.
  ///
  /// - Parameters:
  ///   - features: [labels.count x dimensions], row-major, in the split's order.
  ///   - labels: below 0 for an image without one.
  ///   - classes: nil takes one more than the largest label.
  ///   - maxIterations: of the fit.
  /// - Throws: `ProbeError` where there are too few images, or a feature is not finite.
  public static func run(
    features: [Float], labels: [Int], classes: Int? = nil, c: Double = 1, maxIterations: Int = 1000
  ) throws -> Result {
    let split = try ProbeSplit(labels: labels)
    let dimensions = try ProbeError.checkedDimensions(features, images: labels.count)
    let fitted = ProbeSplit.rows(split.fit, of: features, dimensions: dimensions)
    let scaler = Standardizer(fitted[...], dimensions: dimensions)
    let model = LogisticRegression(
      features: scaler.transform(fitted[...]), labels: split.fit.map { labels[$0] }, dimensions: dimensions,
      classes: classes ?? (labels.max() ?? 0) + 1, c: c, maxIterations: maxIterations)
    let judged = ProbeSplit.rows(split.judged, of: features, dimensions: dimensions)
    let right = zip(model.predict(scaler.transform(judged[...])), split.judged).count { $0 == labels[$1] }
    return Result(
      accuracy: 100 * Double(right) / Double(split.judged.count), converged: model.converged,
      iterations: model.iterations)
  }

  /// `run`'s accuracy in percent.
  /// - Throws: `ProbeError`.
  public static func accuracy(features: [Float], labels: [Int], classes: Int? = nil, c: Double = 1) throws -> Double {
    try run(features: features, labels: labels, classes: classes, c: c).accuracy
  }
}

/// Why a probe cannot be made.
public enum ProbeError: Error, CustomStringConvertible, Equatable {
  case tooFew(images: Int)
  case notFinite(image: Int)

  public var description: String {
    switch self {
    case .tooFew(let images): "the probes need at least 2 labelled test images, there are \(images)"
    case .notFinite(let image): "the features of test image \(image) are not finite: the weights have diverged"
    }
  }
}

extension ProbeError {
  /// The dimensions of features, all of which are finite.
  /// - Throws: `ProbeError.notFinite`.
  static func checkedDimensions(_ features: [Float], images: Int) throws -> Int {
    precondition(features.count.isMultiple(of: images), "\(features.count) features of \(images) images")
    let dimensions = features.count / images
    if let bad = features.firstIndex(where: { !$0.isFinite }) {
      throw ProbeError.notFinite(image: bad / max(dimensions, 1))
    }
    return dimensions
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
