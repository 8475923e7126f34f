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
    /// Of one rank or of several, whose sum in this order is meant.
    public var gradients: UnsafeBufferPointer<UnsafePointer<Float>>

    public init(
      weights: UnsafeMutablePointer<Float>, velocity: UnsafeMutablePointer<Float>,
      gradients: UnsafeBufferPointer<UnsafePointer<Float>>
    ) {
      (self.weights, self.velocity, self.gradients) = (weights, velocity, gradients)
    }
  }

  /// SGD with momentum as torch.optim.SGD (dampening 0): v = momentum v + (g + decay w) adaptation; w = w - rate v.
  public static func sgd(
    weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, velocity: UnsafeMutablePointer<Float>,
    range: Range<Int>, rate: Float, momentum: Float, decay: Float, adaptation: Float = 1, team: ThreadTeam
  ) {
    let factors = Factors(rate: rate, momentum: momentum, decay: decay, adaptation: adaptation)
    withUnsafePointer(to: gradients) { gradients in
      let buffers = Buffers(
        weights: weights, velocity: velocity, gradients: UnsafeBufferPointer(start: gradients, count: 1))
      team.split(range.count, grain: 1024) { part in
        sgd(buffers, range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound, factors)
      }
    }
  }

  /// The same on the calling thread.
  public static func sgd(_ buffers: Buffers, _ range: Range<Int>, _ factors: Factors) {
    let (weights, velocity) = (buffers.weights, buffers.velocity)
    let (first, others) = (buffers.gradients[0], buffers.gradients.dropFirst())
    switch others.count {
    case 0:
      sgd(weights, velocity, range, factors, gradient: { first[$0] }, gradients: { .load(first + $0) })
    case 1:
      let second = buffers.gradients[1]
      sgd(
        weights, velocity, range, factors, gradient: { first[$0] + second[$0] },
        gradients: { .load(first + $0) + .load(second + $0) })
    default:
      sgd(
        weights, velocity, range, factors, gradient: { at in others.reduce(first[at]) { $0 + $1[at] } },
        gradients: { at in others.reduce(.load(first + at)) { $0 + .load($1 + at) } })
    }
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

  /// Adds other ranks' gradients to the first's, on the calling thread.
  public static func add(
    _ others: UnsafeBufferPointer<UnsafePointer<Float>>, to gradients: UnsafeMutablePointer<Float>, _ range: Range<Int>
  ) {
    for other in others { for i in range { gradients[i] += other[i] } }
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
