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

  /// tau(t) = 1 - (1-tau)(1 + cos(pi t/T))/2: from tau to 1 (Grill et al. 2020, section 3.3), or tau throughout.
  public static func movingAverage(step: Int, start: Double, schedule: EMASchedule, total: Int) -> Double {
    switch schedule {
    case .constant: start
    case .cosine: 1 - (1 - start) * (1 + cos(Double.pi * Double(step) / Double(max(total, 1)))) / 2
    }
  }
}
