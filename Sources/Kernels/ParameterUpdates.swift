/// The elementwise updates of a flat parameter buffer; each reads and writes every float once.
public enum ParameterUpdates {
  /// SGD with momentum as torch.optim.SGD (dampening 0): v = momentum v + (g + decay w) adaptation; w = w - rate v.
  /// - Parameter adaptation: a layer's factor of the gradient; 1 but for layer-wise rates.
  public static func sgd(
    weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, velocity: UnsafeMutablePointer<Float>,
    range: Range<Int>, rate: Float, momentum: Float, decay: Float, adaptation: Float = 1, team: ThreadTeam
  ) {
    team.split(range.count, grain: 1024) { part in
      for i in part {
        let at = range.lowerBound + i
        let v = momentum * velocity[at] + (gradients[at] + decay * weights[at]) * adaptation
        velocity[at] = v
        weights[at] -= rate * v
      }
    }
  }

  /// The exponential moving average: target = tau target + (1 - tau) online (Grill et al. 2020, equation 1).
  public static func movingAverage(
    target: UnsafeMutablePointer<Float>, online: UnsafePointer<Float>, count: Int, tau: Double, team: ThreadTeam
  ) {
    let keep = Float(tau)
    let take = Float(1 - tau)
    team.split(count, grain: 1024) { part in
      for i in part { target[i] = keep * target[i] + take * online[i] }
    }
  }
}
