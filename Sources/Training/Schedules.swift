import Foundation

/// Learning rate and EMA coefficient as pure functions of the step, which counts from 0.
public enum Schedules {
  /// lr(t) = lr (t+1)/W while t < W, then lr/2 (1 + cos(pi (t-W)/(T-W))) (Loshchilov & Hutter 2017, without restarts).
  /// - Parameters:
  ///   - peak: lr.
  ///   - warmup: W steps.
  ///   - total: T steps.
  public static func learningRate(step: Int, peak: Double, warmup: Int, total: Int) -> Double {
    if step < warmup { return peak * Double(step + 1) / Double(warmup) }
    guard total > warmup else { return peak }
    return peak / 2 * (1 + cos(Double.pi * Double(step - warmup) / Double(total - warmup)))
  }

  /// Batch renormalisation's r_max and d_max (Ioffe 2017, section 3): they rise linearly over the first steps from 1
  /// and 0, where it is batch norm, and stay. The paper's run holds them there for 5,000 steps and raises them until
  /// step 40,000 and 25,000.
  /// - Parameter warmup: steps of the rise; 0 gives the limits throughout.
  public static func renormLimits(
    step: Int, ratio: Double, offset: Double, warmup: Int
  ) -> (ratio: Double, offset: Double) {
    let share = step < warmup ? Double(step) / Double(warmup) : 1
    return (1 + (ratio - 1) * share, offset * share)
  }

  /// tau(t) = 1 - (1-tau)(1 + cos(pi t/T))/2: from tau to 1 (Grill et al. 2020, section 3.3), or tau throughout.
  public static func movingAverage(step: Int, start: Double, schedule: EMASchedule, total: Int) -> Double {
    switch schedule {
    case .constant: start
    case .cosine: 1 - (1 - start) * (1 + cos(Double.pi * Double(step) / Double(max(total, 1)))) / 2
    }
  }
}
