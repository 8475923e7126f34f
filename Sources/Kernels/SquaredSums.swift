/// Sums of squares over a flat parameter buffer, for layer-wise rates.
public enum SquaredSums {
  /// Floats a partial sum covers: the sums do not depend on who computes them, so that replicas on hosts with
  /// different numbers of threads stay the same to the bit.
  public static let chunk = 8192

  /// The doubles of the partial sums of `count` floats.
  public static func partials(_ count: Int) -> Int { 2 * ((count + chunk - 1) / chunk) }

  /// The partial sums of Σ w² and Σ (g + decay w)² over a range, in double, on the calling thread.
  /// - Parameter partials: room for `partials(range.count)` doubles.
  public static func weightsAndGradients(
    weights: UnsafePointer<Float>, gradients: UnsafePointer<Float>, range: Range<Int>, decay: Float,
    into partials: UnsafeMutablePointer<Double>
  ) {
    for (index, low) in stride(from: range.lowerBound, to: range.upperBound, by: chunk).enumerated() {
      sums(weights, gradients, low..<min(low + chunk, range.upperBound), decay, partials + 2 * index)
    }
  }

  /// Σ w² and Σ (g + decay w)² from the partial sums of `count` floats.
  public static func total(
    _ partials: UnsafePointer<Double>, count: Int
  ) -> (weights: Double, gradients: Double) {
    var total = (weights: 0.0, gradients: 0.0)
    for place in stride(from: 0, to: Self.partials(count), by: 2) {
      total.weights += partials[place]
      total.gradients += partials[place + 1]
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
