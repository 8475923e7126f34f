import Collectives

/// Limited-memory BFGS with a backtracking line search that also asks for curvature (Nocedal & Wright 2006, algorithms
/// 7.4 and 7.5; weak Wolfe conditions by bisection). Near the optimum the decrease drowns in the value's own rounding, and the
/// slope tells it (the approximate Wolfe conditions of Hager & Zhang 2005, eq. 4.1).
struct LBFGS {
  private(set) var point: [Double]
  private let memory: Int
  private var steps: [[Double]] = []
  private var changes: [[Double]] = []

  init(start: [Double], memory: Int = 10) {
    point = start
    self.memory = memory
  }

  /// - Parameters:
  ///   - tolerance: of the gradient's largest component.
  ///   - evaluate: the value at a point; writes the gradient.
  mutating func minimize(
    tolerance: Double, maxIterations: Int, _ evaluate: ([Double], inout [Double]) -> Double
  ) -> (iterations: Int, converged: Bool) {
    var gradient = [Double](repeating: 0, count: point.count)
    var value = evaluate(point, &gradient)
    for iteration in 0..<maxIterations {
      if gradient.allSatisfy({ abs($0) <= tolerance }) { return (iteration, true) }
      var direction = descentDirection(gradient)
      var slope = dot(direction, gradient)
      if slope >= 0 {
        // Rounding has spoilt the memory: start it again from the steepest descent.
        (steps, changes) = ([], [])
        direction = gradient.map { -$0 }
        slope = -dot(gradient, gradient)
      }
      let first = steps.isEmpty ? min(1, 1 / dot(gradient, gradient).squareRoot()) : 1
      guard let next = search(from: value, slope: slope, direction: direction, first: first, evaluate) else {
        return (iteration, false)
      }
      remember(step: zip(next.point, point).map { $0 - $1 }, change: zip(next.gradient, gradient).map { $0 - $1 })
      (point, value, gradient) = (next.point, next.value, next.gradient)
    }
    return (maxIterations, false)
  }

  private func search(
    from value: Double, slope: Double, direction: [Double], first: Double,
    _ evaluate: ([Double], inout [Double]) -> Double
  ) -> (point: [Double], value: Double, gradient: [Double])? {
    var (low, high) = (0.0, Double.infinity)
    var length = first
    var gradient = [Double](repeating: 0, count: point.count)
    var best: (point: [Double], value: Double, gradient: [Double])?
    for _ in 0..<40 {
      CollectiveWatchdog.progress()
      let trial = zip(point, direction).map { $0 + length * $1 }
      let there = evaluate(trial, &gradient)
      let slopeThere = dot(gradient, direction)
      let isLower =
        there <= value + 1e-4 * length * slope
        || there <= value + 1e-12 * abs(value) && slopeThere <= (2 * 1e-4 - 1) * slope
      if !isLower {
        high = length
      } else {
        best = (trial, there, gradient)
        if slopeThere >= 0.9 * slope { return best }
        low = length
      }
      length = high.isFinite ? (low + high) / 2 : 2 * length
    }
    return best
  }

  private mutating func remember(step: [Double], change: [Double]) {
    guard dot(step, change) > 1e-300 else { return }
    steps.append(step)
    changes.append(change)
    if steps.count > memory {
      steps.removeFirst()
      changes.removeFirst()
    }
  }

  /// The two-loop recursion.
  private func descentDirection(_ gradient: [Double]) -> [Double] {
    var q = gradient
    var alphas: [Double] = []
    for index in steps.indices.reversed() {
      let alpha = dot(steps[index], q) / dot(changes[index], steps[index])
      alphas.append(alpha)
      for i in q.indices { q[i] -= alpha * changes[index][i] }
    }
    if let step = steps.last, let change = changes.last {
      let scale = dot(step, change) / dot(change, change)
      for i in q.indices { q[i] *= scale }
    }
    for index in steps.indices {
      let beta = dot(changes[index], q) / dot(changes[index], steps[index])
      let alpha = alphas[steps.count - 1 - index]
      for i in q.indices { q[i] += (alpha - beta) * steps[index][i] }
    }
    return q.map { -$0 }
  }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double {
  var sum = 0.0
  for i in a.indices { sum += a[i] * b[i] }
  return sum
}
