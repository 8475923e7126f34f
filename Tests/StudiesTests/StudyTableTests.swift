import Foundation
import Studies
import XCTest

final class StudyTableTests: XCTestCase {
  private func finished(
    _ probe: Double, _ random: Double, _ positive: Double?, _ negative: Double?, collapsed: Bool = false
  )
    -> RunResult
  {
    var figures = RunFigures()
    (figures.probeAccuracy, figures.randomEncoderAccuracy) = (probe, random)
    (figures.positiveCosine, figures.negativeCosine) = (positive, negative)
    figures.collapsed = collapsed
    (figures.imagesPerSecond, figures.stepSeconds) = (2000 + probe, 0.05)
    return .finished(figures)
  }

  private func study() throws -> Study {
    let text = """
      {"title": "Norms, small", "description": "What it asks.", "published_from": "F. & A., STL-10",
       "random_encoder": {"published": 28.8}, "base": {"recipe": "quick"}, "seeds": [0, 5],
       "variants": [
         {"name": "byol", "published": {"probe_accuracy": 57.7, "positive_cosine": 0.88, "negative_cosine": 0.27}},
         {"name": "no-norm", "published": 28.3}, {"name": "fast"}, {"name": "open"}]}
      """
    return try StudyFile(name: "small", source: "small", bytes: Array(text.utf8)).study()
  }

  private func table() throws -> StudyTable {
    StudyTable(
      try study(),
      results: [
        [finished(50, 28, 0.9, 0.25), finished(53, 30, 0.8, 0.35)],
        [finished(29, 28, 0.99994, 0.9999, collapsed: true), finished(27.5, 30, 1, 0.99993, collapsed: true)],
        [.diverged(step: 3), finished(33.25, 30, nil, nil)],
        [.unfinished, .unfinished],
      ], ranks: 2, notes: ["a note"])
  }

  private func fixture(_ name: String) throws -> String {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
    return try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
  }

  func testTheFilesAreAsTheirReadersKnowThem() throws {
    let table = try table()
    XCTAssertEqual(table.markdown, try fixture("table.md"))
    XCTAssertEqual(table.csv, try fixture("table.csv"))
    XCTAssertEqual(table.text + "\n", try fixture("table.txt"))
  }

  func testRandomEncodersThatDifferHaveRowsOfTheirOwn() throws {
    let table = StudyTable(
      try study(),
      results: [
        [finished(50, 28, 1, 1), .unfinished], [finished(50, 28, 1, 1), finished(50, 30, 1, 1)],
        [.unfinished, finished(50, 31, 1, 1)], [.unfinished, .unfinished],
      ], ranks: 1)
    let random = table.rows.filter(\.isRandomEncoder)
    XCTAssertEqual(random.map(\.name), ["random encoder of byol no-norm", "random encoder of fast"])
    XCTAssertEqual(random.map { $0.probeAccuracy?.mean }, [29, 31])
    XCTAssertEqual(random[0].probeAccuracy?.deviation, 2.0.squareRoot())
  }

  func testATableOfNothingYet() throws {
    let study = try study()
    let nothing = StudyTable(study, results: study.variants.map { _ in [.unfinished, .unfinished] }, ranks: 1)
    XCTAssertEqual(nothing.rows.map(\.name), ["byol", "no-norm", "fast", "open", "random encoder"])
    XCTAssertTrue(nothing.text.contains("8 of 8 runs are not finished."), nothing.text)
    XCTAssertEqual(nothing.rows[4].published?.probeAccuracy, 28.8)
  }
}
