/// Sums of squares over a flat parameter buffer, for layer-wise rates.
public enum SquaredSums {
  /// Floats a partial sum covers: the sums do not depend on the number of threads, so that replicas on hosts with
  /// different ones stay the same to the bit.
  private static let chunk = 8192

  /// The doubles that `weightsAndGradients` needs for its partial sums.
  public static func partials(_ count: Int) -> Int { 2 * ((count + chunk - 1) / chunk) }

  /// Σ w² and Σ (g + decay w)² over a range, in double.
  /// - Parameter partials: room for `partials(range.count)` doubles.
  public static func weightsAndGradients(
    weights: UnsafePointer<Float>, gradients: UnsafePointer<Float>, range: Range<Int>, decay: Float,
    partials: UnsafeMutablePointer<Double>, team: ThreadTeam
  ) -> (weights: Double, gradients: Double) {
    let chunks = (range.count + chunk - 1) / chunk
    team.split(chunks) { part in
      for index in part {
        let low = range.lowerBound + index * chunk
        sums(weights, gradients, low..<min(low + chunk, range.upperBound), decay, partials + 2 * index)
      }
    }
    var total = (weights: 0.0, gradients: 0.0)
    for index in 0..<chunks {
      total.weights += partials[2 * index]
      total.gradients += partials[2 * index + 1]
    }
    return total
  }

  private static func sums(
    _ weights: UnsafePointer<Float>, _ gradients: UnsafePointer<Float>, _ range: Range<Int>, _ decay: Float,
    _ into: UnsafeMutablePointer<Double>
  ) {
    var ww = SIMD8<Double>.zero
    var gg = SIMD8<Double>.zero
    var at = range.lowerBound
    while at + 8 <= range.upperBound {
      let w = load8(weights + at)
      let g = (load8(gradients + at) + decay * w).widened
      let wide = w.widened
      ww = ww.addingProduct(wide, wide)
      gg = gg.addingProduct(g, g)
      at += 8
    }
    var (w, g) = (ww.sum(), gg.sum())
    while at < range.upperBound {
      let value = Double(weights[at])
      let slope = Double(gradients[at] + decay * weights[at])
      w += value * value
      g += slope * slope
      at += 1
    }
    (into[0], into[1]) = (w, g)
  }
}
