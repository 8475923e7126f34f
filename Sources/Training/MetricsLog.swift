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
  private let file: OpenFile
  private var length: Int

  /// Opens the log, makes it where it is missing, and cuts off what later steps wrote and a line that was torn.
  /// - Parameter step: finished steps of the checkpoint that training goes on from; 0 empties the log.
  /// - Throws: `FileError`, also for damage in the middle, which no interrupted run leaves.
  public init(path: String, resumeAt step: Int) throws {
    self.path = path
    file = try OpenFile(path, O_RDWR | O_CREAT | O_APPEND, action: "open")
    var bytes = [UInt8](repeating: 0, count: try file.size())
    try bytes.withUnsafeMutableBytes { [file] in try file.read(at: 0, into: $0) }
    (length, linesOfResumedStep) = try Self.keep(bytes, upTo: step, path: path)
    guard length < bytes.count else { return }
    guard ftruncate(file.descriptor, off_t(length)) == 0 else {
      throw FileError(path, cannot: "cut back to step \(step)", code: errno)
    }
  }

  /// The bytes to keep and the last step's lines.
  private static func keep(_ bytes: [UInt8], upTo step: Int, path: String) throws -> (Int, [JSON]) {
    var (end, place, number) = (0, 0, 0)
    var ofStep: [JSON] = []
    var fault: String?
    while place < bytes.count, let newline = bytes[place...].firstIndex(of: UInt8(ascii: "\n")) {
      number += 1
      let line = try? JSON.parse(Array(bytes[place..<newline]))
      place = newline + 1
      guard let line, let found = line["step"]?.int else {
        fault = fault ?? "line \(number) is damaged, and good lines follow"
        continue
      }
      if let fault { throw FileError(path, fault) }
      if found > step || step == 0 { break }
      end = place
      if found == step { ofStep.append(line) }
    }
    return (end, ofStep)
  }

  /// Appends the line `{"step":…,…}` with the values in their order; NaN and infinities are null.
  /// - Throws: `FileError`; the file then ends with the line before.
  public func append(step: Int, _ values: [(String, JSON)]) throws {
    let members = [JSON.Member("step", JSON(step))] + values.map { JSON.Member($0.0, $0.1) }
    let line = Array((JSON.object(members).description + "\n").utf8)
    do { try line.withUnsafeBytes { try file.write($0) } } catch {
      ftruncate(file.descriptor, off_t(length))
      throw error
    }
    length += line.count
  }

  /// Puts all lines on the disk; before a checkpoint, so that a resumed run does not miss lines after a power failure.
  public func sync() throws { try file.sync() }

  /// The whole lines of a log.
  /// - Throws: `FileError`.
  public static func read(_ path: String) throws -> [JSON] {
    let file = try OpenFile(reading: path)
    var bytes = [UInt8](repeating: 0, count: try file.size())
    try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return try bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().enumerated().map
    {
      do { return try JSON.parse(Array($1)) } catch { throw FileError(path, "line \($0 + 1) is \(error)") }
    }
  }
}
