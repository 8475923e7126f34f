import Evaluation
import Files
import Training

/// How far a run of a study has come, as its directory says.
public enum RunResult: Equatable, Sendable {
  /// Not begun, or not at its end.
  case unfinished
  /// Numbers were not finite after this step; there is nothing more to expect.
  case diverged(step: Int)
  /// Something else ended it, and may be mended: the study's next start tries again.
  case failed(reason: String)
  case finished(RunFigures)
}

/// A finished run's figures; nil where its summary has none, as for the cosine of weights that are no numbers.
public struct RunFigures: Equatable, Sendable {
  /// Percent.
  public var probeAccuracy: Double?
  public var randomEncoderAccuracy: Double?
  public var positiveCosine: Double?
  public var negativeCosine: Double?
  public var collapsed = false
  public var imagesPerSecond: Double?
  /// The median training step, seconds.
  public var stepSeconds: Double?

  public init() {}
}

extension RunResult {
  /// What a study leaves in a diverged run's directory.
  private static let divergedName = "diverged.json"
  /// What a study leaves in the directory of a run that something else ended.
  private static let failedName = "failed.json"

  /// Whether a study's next start leaves it alone.
  var isOver: Bool {
    switch self {
    case .diverged, .finished: true
    case .unfinished, .failed: false
    }
  }

  /// Reads a run directory.
  /// - Throws: `FileError`.
  public static func read(_ directory: String) throws -> RunResult {
    let diverged = directory + "/" + divergedName
    if AtomicDirectory.exists(diverged) {
      guard let step = try RunDirectory.readObject(diverged)["step"]?.int else {
        throw FileError(diverged, "lacks the step")
      }
      return .diverged(step: step)
    }
    guard AtomicDirectory.exists(directory + "/summary.json") else {
      let failed = directory + "/" + failedName
      guard AtomicDirectory.exists(failed) else { return .unfinished }
      return .failed(reason: try RunDirectory.readObject(failed)["reason"]?.string ?? "unknown")
    }
    let summary = try RunDirectory.readObject(directory + "/summary.json")
    var figures = RunFigures()
    figures.probeAccuracy = summary["probe_accuracy"]?.double
    figures.randomEncoderAccuracy = summary["random_encoder_accuracy"]?.double
    figures.positiveCosine = summary["positive_cosine"]?.double
    figures.negativeCosine = summary["negative_cosine"]?.double
    figures.collapsed = summary["collapsed"]?.bool ?? false
    figures.imagesPerSecond = summary["images_per_second"]?.double
    figures.stepSeconds = try stepSeconds(directory)
    return .finished(figures)
  }

  private static func stepSeconds(_ directory: String) throws -> Double? {
    guard let batch = try RunDirectory.readObject(directory + "/config.json")["batch"]?.double else { return nil }
    var seconds: [Double] = []
    try MetricsLog.forEach(directory + "/metrics.jsonl") { line in
      if let rate = line["images_per_second"]?.double, rate > 0 { seconds.append(batch / rate) }
    }
    return SampleStatistics.median(seconds)
  }

  /// Notes that a run diverged.
  /// - Throws: `FileError`.
  static func write(_ error: DivergedError, to directory: String) throws {
    let json: JSON = ["step": JSON(error.step), "reason": JSON("\(error)")]
    try AtomicFile.write(json.pretty, to: directory + "/" + divergedName)
  }

  /// Notes what ended a run.
  /// - Throws: `FileError`.
  static func write(failure reason: String, to directory: String) throws {
    try AtomicFile.write((["reason": JSON(reason)] as JSON).pretty, to: directory + "/" + failedName)
  }
}
