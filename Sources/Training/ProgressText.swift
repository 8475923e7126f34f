import Foundation

/// What a step tells the progress display.
public struct ProgressReading: Equatable, Sendable {
  /// Finished steps, from 1.
  public var step: Int
  /// Steps of the whole run.
  public var steps: Int
  public var loss: Double
  /// Mean cosine of two views of one image.
  public var positiveCosine: Double
  /// Mean cosine of views of different images.
  public var negativeCosine: Double
  public var imagesPerSecond: Double

  public init(
    step: Int, steps: Int, loss: Double, positiveCosine: Double, negativeCosine: Double, imagesPerSecond: Double
  ) {
    self.step = step
    self.steps = steps
    self.loss = loss
    self.positiveCosine = positiveCosine
    self.negativeCosine = negativeCosine
    self.imagesPerSecond = imagesPerSecond
  }
}

/// The texts of the progress display; pure functions.
public enum ProgressText {
  /// The redrawn line: as much as fits into `columns`, the last of which stays empty so that no terminal wraps.
  /// - Parameter secondsLeft: nil while nothing is known.
  public static func bar(_ reading: ProgressReading, secondsLeft: Double?, columns: Int) -> String {
    let room = max(columns - 1, 0)
    let count = "\(reading.step)/\(reading.steps)"
    let left = duration(secondsLeft) + " left"
    let (loss, rate) = (number(reading.loss), rate(reading.imagesPerSecond))
    let (positive, negative) = (number(reading.positiveCosine), number(reading.negativeCosine))
    let texts = [
      "step \(count)  loss \(loss)  cosine positive \(positive) negative \(negative)  \(rate) images/s  \(left)",
      "step \(count)  loss \(loss)  pos \(positive) neg \(negative)  \(rate) img/s  \(left)",
      "\(count)  loss \(loss)  pos \(positive) neg \(negative)  \(rate) img/s  \(left)",
      "\(count)  loss \(loss)  pos \(positive) neg \(negative)  \(left)",
      "\(count)  loss \(loss)  \(left)",
      "\(count)  \(left)",
    ]
    for text in texts where text.count + 10 <= room {
      let width = min(room - text.count - 4, 40)
      return "[" + filled(reading, width: width) + "]  " + text
    }
    return String((texts.last { $0.count <= room } ?? count).prefix(room))
  }

  private static func filled(_ reading: ProgressReading, width: Int) -> String {
    let share = Double(min(max(reading.step, 0), reading.steps)) / Double(max(reading.steps, 1))
    let full = Int(share * Double(width))
    let head =
      full < width && full > 0 ? String(repeating: "=", count: full - 1) + ">" : String(repeating: "=", count: full)
    return head + String(repeating: " ", count: width - full)
  }

  /// A line of a log.
  public static func line(_ reading: ProgressReading, secondsLeft: Double?) -> String {
    let percent = 100 * reading.step / max(reading.steps, 1)
    return "step \(reading.step)/\(reading.steps) (\(percent) %)  loss \(number(reading.loss))"
      + "  positive cosine \(number(reading.positiveCosine))  negative cosine \(number(reading.negativeCosine))"
      + "  \(rate(reading.imagesPerSecond)) images/s  \(duration(secondsLeft)) left"
  }

  /// `0:09`, `12:05`, `1:02:03`, `3d 04:05`; `-:--` for what is not known.
  public static func duration(_ seconds: Double?) -> String {
    guard let seconds, seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "-:--" }
    let whole = Int(seconds.rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let (minutes, hours, days) = (whole / 60 % 60, whole / 3600 % 24, whole / 86400)
    if days > 0 { return "\(days)d \(two(hours)):\(two(minutes))" }
    return hours > 0 ? "\(hours):\(two(minutes)):\(two(whole % 60))" : "\(minutes):\(two(whole % 60))"
  }

  /// Four decimals at most, as many as say something: `1.2345`, `12.35`, `nan`. Cosines near 1 keep their nines.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    return abs(value) < 10 ? String(format: "%.4f", value) : String(format: "%.5g", value)
  }

  static func rate(_ value: Double) -> String {
    guard value.isFinite, value >= 0 else { return "-" }
    return value < 10 ? String(format: "%.1f", value) : String(format: "%.0f", value)
  }
}
