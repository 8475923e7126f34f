import Files
import Training
import XCTest

/// A run's end is judged once, by all measures and the watch, and everything that says it says the same.
final class CollapseVerdictTests: XCTestCase {
  private let healthy = CollapseReading(positiveCosine: 0.995, negativeCosine: 0.3, stdShare: 0.9)
  private let same = CollapseReading(positiveCosine: 0.9999, negativeCosine: 0.9999, stdShare: 0.02)
  private let flat = CollapseReading(positiveCosine: 0.1, negativeCosine: 0.1, stdShare: 0.005)

  private func verdict(_ phases: [(CollapseReading, Int)]) -> CollapseVerdict {
    var (watch, step) = (CollapseWatch(), 0)
    for (reading, count) in phases {
      for _ in 0..<count {
        step += 1
        _ = watch.note(reading, step: step, warmup: 0)
      }
    }
    return CollapseVerdict(watch, last: phases[phases.count - 1].0)
  }

  func testTheVerdictOfEveryCourse() {
    let good = "not collapsed: images can be told apart"
    let bad = "collapsed: projections of different images are the same"
    let courses: [([(CollapseReading, Int)], Bool, String)] = [
      ([(healthy, 300)], false, good),
      ([(healthy, 84), (flat, 216)], true, bad + " (collapsed at step 85 by projection_std)"),
      ([(healthy, 84), (same, 216)], true, bad + " (collapsed at step 85 by cosine)"),
      // Too short for the watch: the last step says it.
      ([(same, 20)], true, bad + " (by cosine in the last step)"),
      ([(healthy, 200), (flat, 5)], true, bad + " (by projection_std in the last step)"),
      // A step or two in between do not end a collapse.
      ([(flat, 150), (healthy, 30)], true, bad + " (collapsed at step 1 by projection_std)"),
      ([(flat, 150), (healthy, 150)], false, good + " (collapsed at step 1 by projection_std, left at step 151)"),
      (
        [(flat, 150), (healthy, 150), (same, 120)], true,
        bad + " (collapsed at step 1 by projection_std, left at step 151, and collapsed again)"
      ),
    ]
    for (phases, isCollapsed, text) in courses {
      let found = verdict(phases)
      XCTAssertEqual(found.isCollapsed, isCollapsed, text)
      XCTAssertEqual(found.text, text)
    }
  }

  /// The trainer hands the watch its warm-up: a network without norms begins with nearly equal projections.
  func testWarmUpDoesNotCountInARun() throws {
    let runs = TemporaryRuns()
    try runs.run("run") {
      ($0.projectorNorm, $0.predictorNorm) = (.none, .none)
      ($0.lr, $0.steps, $0.warmupSteps, $0.checkpointEvery) = (100, 400, 70, 0)
    }
    let flat = try runs.metrics("run").first {
      ($0["projection_std"]?.double ?? 1) * 8.0.squareRoot() < 0.01 && $0["loss"] != nil
    }
    XCTAssertLessThan(try XCTUnwrap(flat?["step"]?.int), 70, "the course that this is about")
    XCTAssertEqual(try runs.json("run/summary.json")["collapsed_at"], 71)
  }

  /// Without any norm a high rate makes every projection the same long before the target's: cosines do not show it.
  func testARunsEndIsJudgedByAllMeasures() throws {
    let runs = TemporaryRuns()
    let shown = Lines()
    try runs.run("run", shown: shown) {
      ($0.projectorNorm, $0.predictorNorm) = (.none, .none)
      ($0.lr, $0.steps, $0.warmupSteps, $0.checkpointEvery) = (100, 140, 0, 0)
    }
    let summary = try runs.json("run/summary.json")
    let deviation = try XCTUnwrap(summary["projection_std"]?.double)
    XCTAssertLessThan(deviation * 8.0.squareRoot(), 0.01, "the course that this is about")
    XCTAssertLessThan(try XCTUnwrap(summary["negative_cosine"]?.double), 0.99, "the course that this is about")
    XCTAssertEqual(summary["collapsed"], true)
    XCTAssertEqual(summary["collapse_measure"], "projection_std")
    let last = try XCTUnwrap(shown.all.last)
    XCTAssertTrue(last.hasPrefix("collapsed: "), "\(last)")
    let again = Lines()
    try runs.run("run", shown: again) {
      ($0.projectorNorm, $0.predictorNorm) = (.none, .none)
      ($0.lr, $0.steps, $0.warmupSteps, $0.checkpointEvery) = (100, 140, 0, 0)
    }
    XCTAssertEqual(again.all.last, last, "shown again")
  }
}
