/// Batch renormalisation (Ioffe 2017, arXiv 1702.03275): batch norm whose output is moved towards what the running
/// statistics mu and sigma would give,
///
///     xhat = (x - mu_B) / sigma_B r + d,   r = clip(sigma_B / sigma, 1 / r_max, r_max),
///                                          d = clip((mu_B - mu) / sigma, -d_max, d_max),
///
/// where r and d are constants to the gradient. sigma is the moving average of the deviation sqrt(variance + epsilon),
/// biased, as in the paper's algorithm 1; it is kept as `running_std`. Every batch norm corrects by the statistics
/// before its own update, so that views normalised apart follow one another as passes of one view each would.
///
/// This object holds the limits in force; the networks of a model share it and training sets it at every step.
public final class BatchRenormLimits {
  /// r_max, at least 1; at 1, with `offset` 0, batch renormalisation is batch norm.
  public var ratio: Double
  /// d_max, at least 0.
  public var offset: Double
  /// alpha, the share of a batch in the moving averages; the paper's is 0.01.
  public let momentum: Double

  /// The paper's final limits, 3 and 5, unless said.
  public init(ratio: Double = 3, offset: Double = 5, momentum: Double = 0.01) {
    self.ratio = ratio
    self.offset = offset
    self.momentum = momentum
  }

  /// r and d of one channel.
  func correction(
    mean: Double, deviation: Double, runningMean: Double, runningDeviation: Double
  ) -> (ratio: Double, offset: Double) {
    (
      min(max(deviation / runningDeviation, 1 / ratio), ratio),
      min(max((mean - runningMean) / runningDeviation, -offset), offset)
    )
  }
}
