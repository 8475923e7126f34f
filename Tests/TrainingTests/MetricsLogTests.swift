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
    for tail in ["{", "{\"step\":4,\"loss\":0.", "{\"step\":4,\"loss\":0.5}", "\0\0\0\0", "{\"st\n", "\0\0\n\0"] {
      try runs.write(whole + tail, to: "metrics.jsonl")
      let log = try open(at: 9)
      XCTAssertEqual(try text(), whole, "cuts \(tail.debugDescription)")
      try log.append(step: 4, [("loss", 1)])
      XCTAssertEqual(try MetricsLog.read(log.path).count, 4)
    }
  }

  func testDamageInTheMiddleIsNotCutSilently() throws {
    try fill(1...3, try open(at: 0))
    let damaged = try text().replacingOccurrences(of: "\"step\":2,", with: "\"step\":2;")
    try runs.write(damaged, to: "metrics.jsonl")
    XCTAssertEqual(
      errorText { try self.open(at: 3) }, "\(runs("metrics.jsonl")): line 2 is damaged, and good lines follow")
    XCTAssertEqual(try text(), damaged)
    XCTAssertTrue(errorText { try MetricsLog.read(self.runs("metrics.jsonl")) }.contains("line 2 is not valid JSON"))
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
