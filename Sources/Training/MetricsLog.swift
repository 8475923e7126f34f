import Files
import Foundation

/// `metrics.jsonl`: one object a line, each step once, also after a resume.
///
/// A line goes out by one `write`, so that who reads the file while the run goes on sees whole lines, and nothing is
/// left in a buffer when the process is killed.
public final class MetricsLog {
  public let path: String
  /// The lines of the step at which the log was opened: tells whether its probe is already there.
  public let linesOfResumedStep: [JSON]
  /// Lines that the user should see: steps whose lines are missing.
  public let notes: [String]
  private let file: OpenFile
  private var length: Int

  /// Opens the log, makes it where it is missing, and cuts off what follows the checkpoint: lines of later steps,
  /// damaged ones among them, and a line that was torn. Reads in chunks.
  /// - Parameter step: finished steps of the checkpoint that training goes on from; 0 empties the log.
  /// - Throws: `FileError`, also for a damaged line, or a step that is there twice, before the checkpoint's end.
  public init(path: String, resumeAt step: Int) throws {
    self.path = path
    file = try OpenFile(regular: path, O_RDWR | O_CREAT | O_APPEND, action: "open")
    var scan = MetricsScan(path: path, step: step)
    if step > 0 {
      var reader = try LineReader(file)
      while let line = try reader.next(), try scan.take(line) {}
    }
    (length, linesOfResumedStep, notes) = (scan.end, scan.linesOfStep, scan.notes)
    guard try length < file.size() || scan.lacksNewline else { return }
    guard ftruncate(file.descriptor, off_t(length)) == 0 else {
      throw FileError(path, cannot: "cut back to step \(step)", code: errno)
    }
    if scan.lacksNewline { try write(Array("\n".utf8)) }
  }

  /// Appends the line `{"step":…,…}` with the values in their order; NaN and infinities are null.
  /// - Throws: `FileError`; the file then ends with the line before.
  public func append(step: Int, _ values: [(String, JSON)]) throws {
    let members = [JSON.Member("step", JSON(step))] + values.map { JSON.Member($0.0, $0.1) }
    try write(Array((JSON.object(members).description + "\n").utf8))
  }

  private func write(_ bytes: [UInt8]) throws {
    do { try bytes.withUnsafeBytes { try file.write($0) } } catch {
      ftruncate(file.descriptor, off_t(length))
      throw error
    }
    length += bytes.count
  }

  /// Puts all lines on the disk; before a checkpoint, so that a resumed run does not miss lines after a power failure.
  public func sync() throws { try file.sync() }

  /// What has become of the file's path since it was opened, as the end of a message; nil while it is there.
  /// - Throws: `FileError` where the system does not say.
  func loss() throws -> String? {
    switch try file.presence() {
    case .there: nil
    case .removed: "its metrics.jsonl was removed"
    case .replaced: "its metrics.jsonl was replaced"
    }
  }

  /// Reads the whole lines of a log one by one, in chunks; one that is still being written is left out.
  /// - Throws: `FileError`, what `body` throws.
  public static func forEach(_ path: String, _ body: (JSON) throws -> Void) throws {
    var reader = try LineReader(try OpenFile(reading: path))
    while let line = try reader.next(), line.isEnded {
      guard let text = line.text else {
        throw FileError(path, "line \(line.number) has more than \(LineReader.longest) bytes")
      }
      if MetricsScan.isBlank(text) { continue }
      let json: JSON
      do { json = try JSON.parse(text) } catch { throw FileError(path, "line \(line.number) is \(error)") }
      try body(json)
    }
  }

  /// The whole lines of a small log.
  /// - Throws: `FileError`.
  public static func read(_ path: String) throws -> [JSON] {
    var lines: [JSON] = []
    try forEach(path) { lines.append($0) }
    return lines
  }
}

/// Finds out which lines of a log belong to a checkpoint, line by line.
struct MetricsScan {
  let path: String
  /// Finished steps of the checkpoint.
  let step: Int
  /// Bytes to keep.
  private(set) var end = 0
  private(set) var linesOfStep: [JSON] = []
  /// Whether the last line to keep lacks only its newline.
  private(set) var lacksNewline = false
  /// The last step whose own line, the one with the loss, was found.
  private var last = 0
  /// The first damaged line since the last good one.
  private var damage: (line: Int, reason: String, isEnded: Bool)?
  private var gaps: [ClosedRange<Int>] = []
  private var missing = 0

  private static let shownGaps = 5

  init(path: String, step: Int) { (self.path, self.step) = (path, step) }

  static func isBlank(_ text: [UInt8]) -> Bool { text.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D } }

  /// - Returns: whether the next line can matter.
  /// - Throws: `FileError` for damage before the checkpoint's end.
  mutating func take(_ line: LineReader.Line) throws -> Bool {
    let json = line.text.flatMap { Self.isBlank($0) ? nil : try? JSON.parse($0) }
    guard let json, let found = json["step"]?.int else {
      if line.text.map(Self.isBlank) != true, damage == nil {
        damage = (line.number, line.text == nil ? "is longer than any line of metrics" : "is damaged", line.isEnded)
      }
      return true
    }
    guard found <= step else { return false }
    if let damage { throw fault(damage.line, damage.reason) }
    try note(found, isOwnLine: json["loss"] != nil, line: line.number)
    end = line.range.upperBound
    lacksNewline = !line.isEnded
    if found == step { linesOfStep.append(json) }
    return true
  }

  private mutating func note(_ found: Int, isOwnLine: Bool, line: Int) throws {
    if found < 1 { throw fault(line, "is of step \(found), which is none") }
    if isOwnLine, found == last { throw fault(line, "is of step \(found) again") }
    if found < last { throw fault(line, "is of step \(found) and follows step \(last)") }
    guard isOwnLine else { return }
    if found > last + 1 { noteGap(last + 1...found - 1) }
    last = found
  }

  private mutating func noteGap(_ range: ClosedRange<Int>) {
    missing += range.count
    if gaps.count < Self.shownGaps { gaps.append(range) }
  }

  private func fault(_ line: Int, _ reason: String) -> FileError {
    FileError(
      path,
      "line \(line) \(reason), before the end of the checkpoint of step \(step); should be mended or deleted, and the "
        + "run goes on")
  }

  var notes: [String] {
    var scan = self
    if step > last { scan.noteGap(last + 1...step) }
    var notes: [String] = []
    if scan.missing > 0 {
      let list = scan.gaps.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)" }
      let shown = scan.gaps.reduce(0) { $0 + $1.count }
      let more = scan.missing > shown ? " and \(scan.missing - shown) more" : ""
      notes.append("\(path): lacks the lines of steps \(list.joined(separator: ", "))\(more)")
    }
    // A line without its newline is what any killed run leaves; it counts where it may be of a step that is missing.
    if let damage, damage.isEnded || step > last {
      notes.append("\(path): line \(damage.line) \(damage.reason); it is cut off with what follows the checkpoint")
    }
    return notes
  }
}
