import Files
import Foundation
import Studies
import Training
import XCTest
import byol_dist

final class StudyCommandTests: XCTestCase {
  private let files = [
    "my/grid.json": """
    {"base": {"lr": 0.4, "width": 8}, "seeds": 2, "variants": [{"name": "a"}, {"name": "b", "settings": {"lr": 0.3}}],
     "quick": {"base": {"steps": 5}}}
    """,
    "broken.json": "{",
  ]

  private func parse(_ arguments: String...) throws -> StudyRequest {
    let command = try Command(["study"] + arguments) { path in
      guard let text = self.files[path] else { throw FileError(path, cannot: "open", code: ENOENT) }
      return Array(text.utf8)
    }
    guard case .study(let request) = command else { throw UsageError("no study: \(command)") }
    return request
  }

  private func assertUsage(_ message: String, _ arguments: String..., line: UInt = #line) {
    XCTAssertThrowsError(
      try Command(["study"] + arguments) { path in
        guard let text = self.files[path] else { throw FileError(path, cannot: "open", code: ENOENT) }
        return Array(text.utf8)
      }, line: line
    ) {
      XCTAssertEqual("\($0)", message, line: line)
      XCTAssertTrue($0 is UsageError, line: line)
    }
  }

  func testAStudyOfAFile() throws {
    guard case .run(let study, let out) = try parse("my/grid.json") else { return XCTFail("no run") }
    XCTAssertEqual(study.name, "grid")
    XCTAssertEqual(study.seeds, [0, 1])
    XCTAssertEqual(study.size, .full)
    XCTAssertEqual(out, "runs/study-grid-shapes")
  }

  func testFlagsOverrideTheBaseAndNotTheVariants() throws {
    let request = try parse(
      "--quick", "my/grid.json", "--lr", "0.1", "--out=o", "--seeds", "4,9", "--data", "d", "--threads=2")
    guard case .run(let study, let out) = request else { return XCTFail("no run") }
    XCTAssertEqual(out, "o")
    XCTAssertEqual(study.size, .quick)
    XCTAssertEqual(study.seeds, [4, 9])
    XCTAssertEqual(study.base.steps, 5)
    XCTAssertEqual(study.base.data, "d")
    XCTAssertNil(study.base.out, "the runs have places of their own")
    XCTAssertEqual(try study.runs(ranks: 1).map(\.configuration.lr), [0.1, 0.1, 0.3, 0.3])
    guard
      case .plan(study, "o") = try parse(
        "--quick", "my/grid.json", "--lr", "0.1", "--out=o", "--seeds", "4,9", "--data", "d", "--threads=2", "--dry-run"
      )
    else { return XCTFail("no plan") }
  }

  func testAPlanListsRunsAndTheirDifferences() throws {
    guard case .plan(let study, let out) = try parse("my/grid.json", "--dry-run", "--seeds", "5,") else {
      return XCTFail("no plan")
    }
    let lines = try study.plan(ranks: 2, path: out).split(separator: "\n")
    XCTAssertEqual(lines.suffix(3), ["2 runs in runs/study-grid-shapes:", "a/seed-5", "b/seed-5  --lr 0.3"])
    XCTAssertTrue(lines[0].contains("on 2 ranks: recipe study"), "\(lines[0])")
  }

  func testShippedStudies() throws {
    XCTAssertEqual(try parse("--list"), .list)
    for shipped in ShippedStudy.allCases {
      XCTAssertEqual(try parse(shipped.rawValue, "--print"), .print(shipped.text))
      XCTAssertTrue(HelpText.text(on: .study).contains(shipped.rawValue))
    }
    XCTAssertEqual(try parse("my/grid.json", "--print"), .print(files["my/grid.json"]!))
  }

  func testMistakes() {
    assertUsage("study: lacks what to run; should be study NAME|FILE, one of norms, scope, escapes or a JSON file")
    assertUsage(
      "study nroms: no such study or file; the nearest known one is norms", "nroms", "--quick")
    assertUsage("study --list: takes nothing else; should be study --list", "norms", "--list")
    assertUsage("--seed: is no flag of study; a study's seeds are its --seeds", "my/grid.json", "--seed", "3")
    assertUsage("--resume: is no flag of study; a study always goes on where it was", "my/grid.json", "--resume=auto")
    assertUsage("unknown flag --seds; the nearest known one is --seeds", "my/grid.json", "--seds", "3")
    assertUsage("--seeds x: should be \(Seeds.expectation), 5,7", "my/grid.json", "--seeds", "x")
    assertUsage("--out \"\": should be a directory's path", "my/grid.json", "--out=")
    assertUsage("--lr -1: should be a number above 0, up to 1000", "my/grid.json", "--lr", "-1")
    assertUsage("unexpected argument other; should be --FLAG VALUE, see --help", "my/grid.json", "other")
    assertUsage("broken.json: not valid JSON at byte 1: a name in quotes should be here", "broken.json")
  }

  func testReport() throws {
    XCTAssertEqual(try Command(["report", "runs/x"]) { _ in [] }, .report("runs/x"))
    for arguments in [["report"], ["report", "a", "b"], ["report", "--out"]] {
      XCTAssertThrowsError(try Command(arguments) { _ in [] }) {
        XCTAssertEqual("\($0)", "report: should be report DIR, the directory of a study or a run")
      }
    }
    XCTAssertEqual(try Command(["report", "--help"]) { _ in [] }, .help(.report))
  }
}
