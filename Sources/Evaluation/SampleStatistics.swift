/// Mean and spread of a few values, a value a seed.
public struct SampleStatistics: Equatable, Sendable {
  public let count: Int
  public let mean: Double
  /// The sample standard deviation, of n - 1 degrees of freedom; nil of a single value.
  public let deviation: Double?

  /// - Returns: nil where there are no values.
  public init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    count = values.count
    let mean = values.reduce(0, +) / Double(values.count)
    self.mean = mean
    // Sums of squared distances: nothing is lost where values are large and close together.
    deviation =
      count > 1
      ? (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)).squareRoot() : nil
  }

  /// The middle value; of an even number the mean of both. Nil of none.
  public static func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }
}
