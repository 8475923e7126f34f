import Evaluation
import XCTest

final class SampleStatisticsTests: XCTestCase {
  func testDeviationIsTheSamples() throws {
    let statistics = try XCTUnwrap(SampleStatistics([2, 4, 4, 4, 5, 5, 7, 9]))
    XCTAssertEqual(statistics.mean, 5)
    // 32 over 7 degrees of freedom, not over 8.
    XCTAssertEqual(try XCTUnwrap(statistics.deviation), (32.0 / 7).squareRoot(), accuracy: 1e-15)
    XCTAssertEqual(statistics.count, 8)
  }

  func testOneValueHasNoDeviationAndNoneNoMean() {
    XCTAssertEqual(SampleStatistics([3])?.mean, 3)
    XCTAssertNil(SampleStatistics([3])?.deviation)
    XCTAssertNil(SampleStatistics([]))
  }

  func testCloseValuesKeepTheirSpread() throws {
    let deviation = try XCTUnwrap(SampleStatistics([1e9, 1e9 + 1, 1e9 + 2])?.deviation)
    XCTAssertEqual(deviation, 1, accuracy: 1e-9)
  }

  func testMedian() {
    XCTAssertEqual(SampleStatistics.median([9, 1, 2]), 2)
    XCTAssertEqual(SampleStatistics.median([9, 1, 2, 4]), 3)
    XCTAssertNil(SampleStatistics.median([]))
  }
}
