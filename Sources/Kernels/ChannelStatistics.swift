/// What a channel is normalised by: xhat = (x - mean) * inverse. In double, so that what follows from it is rounded once.
public struct ChannelStatistics {
  public let mean: Double
  /// One over the standard deviation.
  public let inverse: Double

  public init(mean: Double, inverse: Double) {
    self.mean = mean
    self.inverse = inverse
  }

  /// Σ g xhat, from Σ g x and Σ g.
  public func normalize(product: Double, sum: Double) -> Double { (product - mean * sum) * inverse }
}

/// What a normalisation does to each channel: y = x * scale + shift. Pointers to `channels` floats each.
public struct ChannelAffine {
  public let scale, shift: UnsafeMutablePointer<Float>

  public init(scale: UnsafeMutablePointer<Float>, shift: UnsafeMutablePointer<Float>) {
    self.scale = scale
    self.shift = shift
  }

  /// Of a channel: y = xhat * gamma + beta.
  public func set(_ channel: Int, _ statistics: ChannelStatistics, gamma: Double, beta: Double) {
    scale[channel] = Float(statistics.inverse * gamma)
    // What the scale loses in rounding counts for x - mean, not for x.
    shift[channel] = Float(beta - statistics.mean * Double(scale[channel]))
  }
}

/// What a normalisation's backward pass does to each channel: dx = g * scale + (x - mean) * slope + offset, with the scale of
/// its `ChannelAffine`. x - mean and not x: where the mean is a hundred deviations, as in a collapse, an offset for x would be
/// rounded more coarsely than what is left of the sum. Pointers to `channels` floats each.
public struct ChannelGradient {
  public let mean, slope, offset: UnsafeMutablePointer<Float>

  public init(
    mean: UnsafeMutablePointer<Float>, slope: UnsafeMutablePointer<Float>, offset: UnsafeMutablePointer<Float>
  ) {
    self.mean = mean
    self.slope = slope
    self.offset = offset
  }

  /// Of a channel: dx = (g - meanGradient - xhat * meanProduct) * scale, where scale is gamma * inverse and the means are
  /// those of g and g xhat over all that share the statistics (Ioffe & Szegedy 2015, section 3).
  public func set(
    _ channel: Int, _ statistics: ChannelStatistics, scale: Double, meanGradient: Double, meanProduct: Double
  ) {
    mean[channel] = Float(statistics.mean)
    slope[channel] = Float(-meanProduct * statistics.inverse * scale)
    let lost = (Double(mean[channel]) - statistics.mean) * Double(slope[channel])
    offset[channel] = Float(lost - meanGradient * scale)
  }
}
