import Files
import Training
import XCTest

final class CollapseWatchTests: XCTestCase {
  private let healthy = CollapseReading(positiveCosine: 0.995, negativeCosine: 0.3, stdShare: 0.9)
  private let same = CollapseReading(positiveCosine: 0.9999, negativeCosine: 0.9999, stdShare: 0.02)
  /// Constant networks that say different things.
  private let apart = CollapseReading(positiveCosine: 0.1, negativeCosine: 0.1, stdShare: 0.005)
  private let unknown = CollapseReading(positiveCosine: .nan, negativeCosine: .nan, stdShare: .nan)

  /// The events of phases of so many steps, and after which step each came.
  private func events(
    _ phases: [(CollapseReading, Int)], warmup: Int = 0, watch: inout CollapseWatch
  ) -> [(at: Int, event: CollapseWatch.Event)] {
    var found: [(Int, CollapseWatch.Event)] = []
    var step = 0
    for (reading, count) in phases {
      for _ in 0..<count {
        step += 1
        if let event = watch.note(reading, step: step, warmup: warmup) { found.append((step, event)) }
        // A checkpoint at any step changes nothing.
        watch = CollapseWatch(json: watch.json)
      }
    }
    return found
  }

  func testItIsSaidOnceAfterStepsOnEnd() {
    var watch = CollapseWatch()
    let found = events([(healthy, 7), (same, 400)], watch: &watch)
    XCTAssertEqual(found.map(\.event), [.collapsed(step: 8, by: .cosine)])
    XCTAssertEqual(found.map(\.at), [107])
    XCTAssertEqual(watch.firstStep, 8)
    XCTAssertEqual(watch.collapses, 1)
    XCTAssertTrue(watch.isCollapsed)
  }

  func testAnInterruptionBeginsItAnew() {
    var watch = CollapseWatch()
    XCTAssertEqual(events([(same, 99), (healthy, 1), (same, 99), (unknown, 1), (apart, 99)], watch: &watch).count, 0)
    XCTAssertFalse(watch.isCollapsed)
    XCTAssertEqual(watch.json["collapsed_at"], .null)
  }

  func testOneMeasureAloneHasToHoldThroughout() {
    var watch = CollapseWatch()
    XCTAssertEqual(events([(same, 60), (apart, 60)], watch: &watch).count, 0)
    var second = CollapseWatch()
    XCTAssertEqual(events([(apart, 100)], watch: &second).map(\.event), [.collapsed(step: 1, by: .std)])
  }

  func testWarmUpDoesNotCount() {
    var watch = CollapseWatch()
    let found = events([(same, 160)], warmup: 50, watch: &watch)
    XCTAssertEqual(found.map(\.event), [.collapsed(step: 51, by: .cosine)])
    XCTAssertEqual(found.map(\.at), [150])
  }

  func testLeavingItIsNotedAndTheFirstIsKept() {
    var watch = CollapseWatch()
    let found = events([(same, 150), (healthy, 120), (healthy, 30), (apart, 130)], watch: &watch)
    XCTAssertEqual(
      found.map(\.event),
      [.collapsed(step: 1, by: .cosine), .escaped(step: 151), .collapsed(step: 301, by: .std)])
    XCTAssertEqual(found.map(\.at), [100, 250, 400])
    XCTAssertEqual([watch.firstStep, watch.escapedAt, watch.collapses], [1, 151, 2])
    XCTAssertEqual(watch.firstMeasure, .cosine)
  }

  func testTheStepBeforeTheLastIsKnown() {
    var watch = CollapseWatch()
    for step in 1...99 {
      XCTAssertFalse(watch.isNearlySure, "before step \(step)")
      XCTAssertNil(watch.note(same, step: step, warmup: 0))
    }
    XCTAssertTrue(watch.isNearlySure)
    XCTAssertNotNil(watch.note(same, step: 100, warmup: 0))
    XCTAssertFalse(watch.isNearlySure)
  }

  func testTheWordsNameStepMeasureAndWhatHappens() {
    let text = CollapseWatch.Event.collapsed(step: 8, by: .cosine).text(.stop)
    XCTAssertEqual(
      text,
      "collapsed at step 8: cosines of z and z' above 0.99 within and between images, 100 steps on end; the run ends "
        + "(--on-collapse stop)")
    XCTAssertTrue(CollapseWatch.Event.collapsed(step: 8, by: .std).text(.warn).contains("goes on (--on-collapse warn)"))
  }
}
