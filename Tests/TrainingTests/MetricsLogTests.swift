import Files
import Foundation
import Training
import XCTest

final class MetricsLogTests: XCTestCase {
  let runs = TemporaryRuns()

  private func open(at step: Int) throws -> MetricsLog { try MetricsLog(path: runs("metrics.jsonl"), resumeAt: step) }
  private func text() throws -> String { try runs.text("metrics.jsonl") }

  func testLinesKeepTheirOrderAndValues() throws {
    let log = try open(at: 0)
    try log.append(step: 1, [("loss", JSON(0.1)), ("epoch", 0), ("lr", JSON(Float(0.004))), ("tau", JSON(Double.nan))])
    XCTAssertEqual(try text(), "{\"step\":1,\"loss\":0.1,\"epoch\":0,\"lr\":0.004,\"tau\":null}\n", "at once")
    try log.append(step: 2, [("loss", JSON(1.0 / 3)), ("x", JSON(Double.infinity))])
    XCTAssertEqual(try MetricsLog.read(log.path).map { $0["loss"]?.double }, [0.1, 1.0 / 3])
  }

  private func fill(_ steps: ClosedRange<Int>, _ log: MetricsLog) throws {
    for step in steps {
      try log.append(step: step, [("loss", JSON(Double(step) / 7))])
      if step % 4 == 0 { try log.append(step: step, [("probe_accuracy", JSON(30.5))]) }
    }
  }

  func testEachStepOnceAfterAResume() throws {
    try fill(1...20, try open(at: 0))
    let whole = try text()
    for resume in [1, 7, 8, 19, 20] {
      let log = try open(at: resume)
      XCTAssertEqual(log.linesOfResumedStep.count, resume % 4 == 0 ? 2 : 1)
      XCTAssertEqual(try MetricsLog.read(log.path).compactMap { $0["step"]?.int }.max(), resume)
      if resume < 20 { try fill(resume + 1...20, log) }
      XCTAssertEqual(try text(), whole)
    }
    _ = try open(at: 0)
    XCTAssertEqual(try text(), "")
  }

  func testATornEndIsCutOff() throws {
    try fill(1...3, try open(at: 0))
    let whole = try text()
    for tail in ["{", "{\"step\":4,\"loss\":0.", "\0\0\0\0", "{\"st\n", "\0\0\n\0", "\r", "4"] {
      try runs.write(whole + tail, to: "metrics.jsonl")
      let log = try open(at: 9)
      XCTAssertEqual(try text(), whole, "cuts \(tail.debugDescription)")
      try log.append(step: 4, [("loss", 1)])
      XCTAssertEqual(try MetricsLog.read(log.path).count, 4)
    }
  }

  /// What follows the checkpoint goes, whatever it is; what is before it is never lost without a word.
  func testWhatIsKeptAndSaid() throws {
    func line(_ step: Int, _ loss: String = "0.5") -> String { "{\"step\":\(step),\"loss\":\(loss)}\n" }
    let (one, two, three, four) = (line(1), line(2), line(3), line(4))
    let probe = "{\"step\":3,\"probe_accuracy\":30.5}\n"
    let long = String(repeating: "x", count: LineReader.longest + 1) + "\n"
    // Contents, what is left of them at a checkpoint of step 3, and the note.
    let table: [(String, String, String?)] = [
      (one + two + three + four, one + two + three, nil),
      (one + two + three + probe + four, one + two + three + probe, nil),
      (one + two + three + "junk\n" + four, one + two + three, "line 4 is damaged; it is cut off with what follows"),
      (one + two + three + "\0\0\n" + line(9), one + two + three, "line 4 is damaged; it is cut off"),
      (one + two + three + long + four, one + two + three, "line 4 is longer than any line of metrics; it is cut off"),
      (one + two + three + four + "junk\n" + two, one + two + three, nil),
      (one + two + three + "{\"step\":4", one + two + three, nil),
      (one + two + three + "{\"loss\":4}\n" + four, one + two + three, "line 4 is damaged"),
      (one + three, one + three, "lacks the lines of steps 2"),
      (two + three, two + three, "lacks the lines of steps 1"),
      (one + two + four, one + two, "lacks the lines of steps 3"),
      (one + probe, one + probe, "lacks the lines of steps 2 to 3"),
      ("", "", "lacks the lines of steps 1 to 3"), ("\0\0\0", "", "lacks the lines of steps 1 to 3"),
      (one + two + "{\"step\":3,\"lo", one + two, "line 3 is damaged; it is cut off"),
      (one + two + "{\"step\":3,\"lo\n" + four, one + two, "line 3 is damaged; it is cut off"),
      (one + two + String(three.dropLast()), one + two + three, nil),
      (
        (one + two + three).replacingOccurrences(of: "\n", with: "\r\n"),
        "\(one)\(two)\(three)"
          .replacingOccurrences(of: "\n", with: "\r\n"), nil
      ),
      (one + "\n" + two + " \r\n" + three, one + "\n" + two + " \r\n" + three, nil),
      (one + two + line(3, "null") + four, one + two + line(3, "null"), nil),
    ]
    for (contents, kept, note) in table {
      try runs.write(contents, to: "metrics.jsonl")
      let log = try open(at: 3)
      let shown = String(contents.prefix(120).debugDescription)
      XCTAssertEqual(try text(), kept, shown)
      let notes = log.notes.joined(separator: " | ")
      XCTAssertTrue(note.map { notes.contains($0) } ?? notes.isEmpty, "\(shown): \(notes)")
      try log.append(step: 4, [("loss", 1)])
      let steps = try MetricsLog.read(log.path).compactMap { $0["loss"] == nil ? nil : $0["step"]?.int }
      XCTAssertEqual(steps.count, Set(steps).count, "each step once")
      XCTAssertEqual(steps.last, 4)
    }
  }

  func testDamageBeforeTheCheckpointIsNotCutSilently() throws {
    func line(_ step: Int) -> String { "{\"step\":\(step),\"loss\":0.5}\n" }
    let long = String(repeating: "x", count: LineReader.longest + 1) + "\n"
    let table = [
      (line(1) + "{\"step\":2;}\n" + line(3), "line 2 is damaged"), ("\0" + line(1) + line(2), "line 1 is damaged"),
      (line(1) + long + line(3), "line 2 is longer than any line of metrics"),
      (line(1) + "{}\n[]\n" + line(3), "line 2 is damaged"),
      (line(1) + line(2) + line(2) + line(3), "line 3 is of step 2 again"),
      (line(1) + line(3) + line(2), "line 3 is of step 2 and follows step 3"),
      (line(0) + line(1), "line 1 is of step 0, which is none"),
    ]
    for (contents, reason) in table {
      try runs.write(contents, to: "metrics.jsonl")
      let error = errorText { try self.open(at: 3) }
      XCTAssertEqual(
        error,
        "\(runs("metrics.jsonl")): \(reason), before the end of the "
          + "checkpoint of step 3; should be mended or deleted, and the run goes on")
      XCTAssertEqual(try text(), contents, "it stays as it is")
    }
    try runs.write(line(1) + "junk\n", to: "metrics.jsonl")
    XCTAssertTrue(errorText { try MetricsLog.read(self.runs("metrics.jsonl")) }.contains("line 2 is not valid JSON"))
  }

  func testManyGapsAreToldShortly() throws {
    try runs.write((1...40).map { "{\"step\":\($0 * 3),\"loss\":1}\n" }.joined(), to: "metrics.jsonl")
    XCTAssertEqual(
      try open(at: 121).notes,
      [
        "\(runs("metrics.jsonl")): lacks the lines of steps 1 to 2, 4 to 5, 7 to 8, 10 to 11, 13 to 14 and 71 more"
      ])
  }

  func testAPathOfAnotherKindIsRefused() throws {
    try AtomicDirectory.create(runs("metrics.jsonl"))
    XCTAssertTrue(errorText { try self.open(at: 1) }.hasSuffix("is a directory; should be a regular file"))
    rmdir(runs("metrics.jsonl"))
    XCTAssertEqual(mkfifo(runs("metrics.jsonl"), 0o644), 0)
    XCTAssertTrue(errorText { try self.open(at: 1) }.hasSuffix("is a FIFO; should be a regular file"))
    XCTAssertTrue(errorText { try MetricsLog.read(self.runs("metrics.jsonl")) }.hasSuffix("should be a regular file"))
    unlink(runs("metrics.jsonl"))
    // A log on another disk is fine.
    symlink(runs("elsewhere"), runs("metrics.jsonl"))
    try fill(1...3, try open(at: 0))
    XCTAssertEqual(try open(at: 2).notes, [])
    XCTAssertEqual(try MetricsLog.read(runs("elsewhere")).count, 2)
  }

  func testAFullDiskLeavesWholeLines() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    let old = limit
    signal(SIGXFSZ, SIG_IGN)
    limit.rlim_cur = 100
    let log = try open(at: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    var refused = 0
    for step in 1...5 { do { try log.append(step: step, [("loss", JSON(1.0 / 3))]) } catch { refused += 1 } }
    var back = old
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &back)
    XCTAssertEqual(refused, 3)
    XCTAssertEqual(try MetricsLog.read(log.path).count, 2)
    XCTAssertTrue(try text().hasSuffix("}\n"))
  }
}
