import Evaluation
import Foundation
import Training

// The table as people and programs read it. Only the columns of speed depend on time.

extension StudyTable {
  private static let headings = [
    "variant", "runs", "probe %", "cosine of views", "of images", "collapsed", "diverged", "images/s", "ms a step",
    "published",
  ]

  /// The table of `table.md`, with what was asked above and what the figures mean below.
  public var markdown: String {
    let cells = cells
    let widths = Self.widths(cells)
    func line(_ row: [String]) -> String {
      "| " + zip(row, widths).map { Self.padded($0, to: $1) }.joined(separator: " | ") + " |"
    }
    let rule = "|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|"
    let table = ([line(cells[0]), rule] + cells.dropFirst().map(line)).joined(separator: "\n")
    let head = ["# " + study.title, study.description].filter { !$0.isEmpty }
    return (head + [circumstances, table] + legend).joined(separator: "\n\n") + "\n"
  }

  /// The table for a terminal.
  public var text: String {
    let cells = cells
    let widths = Self.widths(cells)
    let lines = cells.map { row in
      var line = zip(row, widths).map { Self.padded($0, to: $1) }.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }
    return ([study.title, circumstances, ""] + lines + [""] + legend).joined(separator: "\n")
  }

  /// `table.csv`: a line a row, full precision, empty where there is no value.
  public var csv: String {
    let head = [
      "variant", "runs", "finished", "collapsed", "diverged", "probe_accuracy_mean", "probe_accuracy_sd",
      "positive_cosine_mean", "positive_cosine_sd", "negative_cosine_mean", "negative_cosine_sd",
      "published_probe_accuracy", "published_positive_cosine", "published_negative_cosine", "images_per_second",
      "step_ms",
    ]
    let lines = rows.map { row -> [String] in
      func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
      func both(_ value: SampleStatistics?) -> [String] { [number(value?.mean), number(value?.deviation)] }
      let counts = [row.runs, row.finished, row.collapsed, row.diverged].map { row.isRandomEncoder ? "" : "\($0)" }
      return [row.name] + counts + both(row.probeAccuracy) + both(row.positiveCosine) + both(row.negativeCosine) + [
        number(row.published?.probeAccuracy), number(row.published?.positiveCosine),
        number(row.published?.negativeCosine), number(row.imagesPerSecond?.mean),
        number(row.stepSeconds.map { $0.mean * 1000 }),
      ]
    }
    return ([head] + lines).map { $0.joined(separator: ",") + "\n" }.joined()
  }

  // MARK: - Parts

  private var circumstances: String {
    let length = study.base.steps.map { "\($0) steps" } ?? "\(study.base.epochs ?? 0) epochs"
    return "\(study.name)\(study.size == .quick ? " --quick" : "") on \(study.base.data): \(length) of batch "
      + "\(study.base.batch), seeds \(study.seeds.map { "\($0)" }.joined(separator: " ")), "
      + "\(ranks) rank\(ranks == 1 ? "" : "s")"
  }

  private var legend: [String] {
    var lines = ["± is the sample standard deviation over seeds; cosines are of z and z' in the last step."]
    if rows.contains(where: { $0.published != nil }), !study.publishedFrom.isEmpty {
      lines.append("Published, probe % (cosine of views, of images): \(study.publishedFrom)")
    }
    let open = rows.reduce(0) { $0 + $1.runs - $1.finished }
    if open > 0 { lines.append("\(open) of \(rows.reduce(0) { $0 + $1.runs }) runs are not finished.") }
    for row in rows where !row.failures.isEmpty {
      lines.append("\(row.name): \(row.failures.count) failed: \(row.failures[0])")
    }
    return lines + notes
  }

  private var cells: [[String]] {
    [Self.headings]
      + rows.map { row in
        let isEmpty = row.isRandomEncoder
        return [
          row.name, isEmpty ? "" : row.finished == row.runs ? "\(row.runs)" : "\(row.finished) of \(row.runs)",
          Self.cell(row.probeAccuracy, "%.1f", isEmpty: false), Self.cell(row.positiveCosine, "%.4f", isEmpty: isEmpty),
          Self.cell(row.negativeCosine, "%.4f", isEmpty: isEmpty),
          isEmpty ? "" : "\(row.collapsed) of \(row.finished - row.diverged)", isEmpty ? "" : "\(row.diverged)",
          Self.cell(row.imagesPerSecond, "%.0f", isEmpty: isEmpty, spread: false),
          Self.cell(row.stepSeconds, "%.1f", scale: 1000, isEmpty: isEmpty, spread: false), Self.cell(row.published),
        ]
      }
  }

  private static func cell(
    _ value: SampleStatistics?, _ format: String, scale: Double = 1, isEmpty: Bool, spread: Bool = true
  ) -> String {
    guard let value else { return isEmpty ? "" : "-" }
    let mean = String(format: format, value.mean * scale)
    guard spread, let deviation = value.deviation else { return mean }
    return mean + " ± " + String(format: format, deviation * scale)
  }

  private static func cell(_ published: Published?) -> String {
    guard let published else { return "" }
    let accuracy = published.probeAccuracy.map { String(format: "%.1f", $0) }
    let cosines = [published.positiveCosine, published.negativeCosine]
    // As many digits as were published.
    let texts = cosines.map { $0.map { "\($0)" } ?? "-" }
    let pair = cosines.contains { $0 != nil } ? "(\(texts.joined(separator: ", ")))" : nil
    return [accuracy, pair].compactMap { $0 }.joined(separator: " ")
  }

  private static func widths(_ cells: [[String]]) -> [Int] {
    headings.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
  }

  private static func padded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
