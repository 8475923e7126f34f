import Evaluation
import XCTest

final class LinearProbeTests: XCTestCase {
  /// One feature a class in both halves: a probe that mixed up halves, rows or columns would miss some.
  func testWhatCanBeToldApartIs() throws {
    let labels = (0..<60).map { ($0 * 7) % 5 }
    let features = labels.flatMap { label in (0..<5).map { $0 == label ? Float(3) : 0 } }
    XCTAssertEqual(try LinearProbe.accuracy(features: features, labels: labels), 100)
  }

  func testTheSecondHalfIsWhatCounts() throws {
    // Fitted on 0 and 1 apart, judged where a quarter of the labels contradicts.
    let labels = (0..<80).map { $0 % 2 }
    let features = labels.enumerated().map { index, label in
      Float(index >= 40 && index % 4 == 1 ? 1 - label : label) * 2 - 1 + Float(index % 3) * 0.01
    }
    XCTAssertEqual(try LinearProbe.accuracy(features: features, labels: labels), 75)
    // An odd image more belongs to the half that is judged.
    XCTAssertEqual(try LinearProbe.accuracy(features: features + [5], labels: labels + [1]), 100 * 31.0 / 41)
  }

  func testAConstantFeatureIsShiftedAlone() {
    let rows: [Float] = [2, 1, 2, 3, 2, 5]
    let found = Standardizer(rows[...], dimensions: 2).transform(rows[...])
    let deviation = (8.0 / 3).squareRoot()
    let wanted = [0, -2 / deviation, 0, 0, 0, 2 / deviation]
    for (a, b) in zip(found, wanted) { XCTAssertEqual(a, b, accuracy: 1e-12) }
  }

  func testFeaturesThatAreNoNumbersAreAnError() {
    XCTAssertThrowsError(try LinearProbe.accuracy(features: [1, 2, 3, .nan, 5, 6, 7, 8], labels: [0, 1, 0, 1])) {
      XCTAssertEqual($0 as? ProbeError, .notFinite(image: 1))
    }
    XCTAssertThrowsError(try LinearProbe.accuracy(features: [1], labels: [0])) {
      XCTAssertEqual($0 as? ProbeError, .tooFew(images: 1))
    }
  }
}
