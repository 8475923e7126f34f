import Foundation

/// What a training step spends its time on.
public enum StepPhase: Int, CaseIterable, Sendable {
  case views, convolutionForward, convolutionBackward, norm, gemm, pooling, communication, optimizer, ema, other

  /// As tables and JSON call it.
  public var name: String {
    switch self {
    case .views: "views"
    case .convolutionForward: "convolution_forward"
    case .convolutionBackward: "convolution_backward"
    case .norm: "norm"
    case .gemm: "gemm"
    case .pooling: "pooling"
    case .communication: "communication"
    case .optimizer: "optimizer"
    case .ema: "ema"
    case .other: "other"
    }
  }
}

/// Tells where the time of one rank's main thread goes: each moment belongs to exactly one phase, the innermost, so
/// that the phases add up to the whole. Entering a phase costs one look at the clock.
public final class PhaseClock {
  private var nanoseconds = [UInt64](repeating: 0, count: StepPhase.allCases.count)
  private var current = StepPhase.other
  private var since = PhaseClock.now()

  public init() {}

  private static func now() -> UInt64 { monotonicNanoseconds() }

  /// Makes `phase` the present one.
  /// - Returns: the one until now, to be given back.
  @discardableResult
  public func enter(_ phase: StepPhase) -> StepPhase {
    let time = Self.now()
    nanoseconds[current.rawValue] += time - since
    since = time
    let previous = current
    current = phase
    return previous
  }

  /// Runs `body` as part of `phase`.
  @inline(__always)
  public func measure<R>(_ phase: StepPhase, _ body: () throws -> R) rethrows -> R {
    let previous = enter(phase)
    defer { enter(previous) }
    return try body()
  }

  /// The same on a thread of the team: the clock is thread 0's, others just run `body`.
  @inline(__always)
  public func measure(_ phase: StepPhase, on thread: Int, _ body: () -> Void) {
    if thread == 0 { measure(phase, body) } else { body() }
  }

  /// Seconds of each phase since the last call, which sets them back to zero.
  public func takeSeconds() -> [StepPhase: Double] {
    enter(current)
    var seconds: [StepPhase: Double] = [:]
    for phase in StepPhase.allCases { seconds[phase] = Double(nanoseconds[phase.rawValue]) * 1e-9 }
    for index in nanoseconds.indices { nanoseconds[index] = 0 }
    return seconds
  }
}

func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
