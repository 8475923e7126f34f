/// The elementwise updates of a flat parameter buffer; each reads and writes every float once.
public enum ParameterUpdates {
  /// The factors of SGD in one step.
  public struct Factors {
    public var rate: Float
    public var momentum: Float
    public var decay: Float
    /// A layer's factor of the gradient; 1 but for layer-wise rates.
    public var adaptation: Float

    public init(rate: Float, momentum: Float, decay: Float, adaptation: Float = 1) {
      (self.rate, self.momentum, self.decay, self.adaptation) = (rate, momentum, decay, adaptation)
    }
  }

  /// The flat buffers of a network, which lie alike.
  public struct Buffers {
    public var weights: UnsafeMutablePointer<Float>
    public var velocity: UnsafeMutablePointer<Float>
    public var gradients: UnsafePointer<Float>
    /// Another rank's gradients, which are added to this one's.
    public var otherGradients: UnsafePointer<Float>?

    public init(
      weights: UnsafeMutablePointer<Float>, velocity: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>,
      otherGradients: UnsafePointer<Float>? = nil
    ) {
      (self.weights, self.velocity) = (weights, velocity)
      (self.gradients, self.otherGradients) = (gradients, otherGradients)
    }
  }

  /// SGD with momentum as torch.optim.SGD (dampening 0): v = momentum v + (g + decay w) adaptation; w = w - rate v.
  public static func sgd(
    weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, velocity: UnsafeMutablePointer<Float>,
    range: Range<Int>, rate: Float, momentum: Float, decay: Float, adaptation: Float = 1, team: ThreadTeam
  ) {
    let buffers = Buffers(weights: weights, velocity: velocity, gradients: gradients)
    let factors = Factors(rate: rate, momentum: momentum, decay: decay, adaptation: adaptation)
    team.split(range.count, grain: 1024) { part in
      sgd(buffers, range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound, factors)
    }
  }

  /// The same on the calling thread.
  public static func sgd(_ buffers: Buffers, _ range: Range<Int>, _ factors: Factors) {
    let (gradients, weights, velocity) = (buffers.gradients, buffers.weights, buffers.velocity)
    guard let others = buffers.otherGradients else {
      return sgd(weights, velocity, range, factors, gradient: { gradients[$0] }, gradients: { .load(gradients + $0) })
    }
    sgd(
      weights, velocity, range, factors, gradient: { gradients[$0] + others[$0] },
      gradients: { .load(gradients + $0) + .load(others + $0) })
  }

  @inline(__always)
  private static func sgd(
    _ weights: UnsafeMutablePointer<Float>, _ velocity: UnsafeMutablePointer<Float>, _ range: Range<Int>,
    _ factors: Factors, gradient: (Int) -> Float, gradients: (Int) -> SIMD16<Float>
  ) {
    var at = range.lowerBound
    while at + 16 <= range.upperBound {
      let w = SIMD16<Float>.load(weights + at)
      let slope = (gradients(at) + w * factors.decay) * factors.adaptation
      let v = SIMD16<Float>.load(velocity + at) * factors.momentum + slope
      v.store(velocity + at)
      (w - v * factors.rate).store(weights + at)
      at += 16
    }
    while at < range.upperBound {
      let v = factors.momentum * velocity[at] + (gradient(at) + factors.decay * weights[at]) * factors.adaptation
      velocity[at] = v
      weights[at] -= factors.rate * v
      at += 1
    }
  }

  /// Adds another rank's gradients, on the calling thread.
  public static func add(
    _ others: UnsafePointer<Float>, to gradients: UnsafeMutablePointer<Float>, _ range: Range<Int>
  ) {
    for i in range { gradients[i] += others[i] }
  }

  /// The exponential moving average: target = tau target + (1 - tau) online (Grill et al. 2020, equation 1).
  public static func movingAverage(
    target: UnsafeMutablePointer<Float>, online: UnsafePointer<Float>, count: Int, tau: Double, team: ThreadTeam
  ) {
    team.split(count, grain: 1024) { movingAverage(target: target, online: online, $0, tau: tau) }
  }

  /// The same on the calling thread.
  public static func movingAverage(
    target: UnsafeMutablePointer<Float>, online: UnsafePointer<Float>, _ range: Range<Int>, tau: Double
  ) {
    let keep = Float(tau)
    let take = Float(1 - tau)
    for i in range { target[i] = keep * target[i] + take * online[i] }
  }
}
