import Evaluation
import XCTest

final class LinearProbeTests: XCTestCase {
  /// One feature a class in both halves: a probe that mixed up halves, rows or columns would miss some.
  func testWhatCanBeToldApartIs() throws {
    let labels = (0..<60).map { ($0 * 7) % 5 }
    let features = labels.flatMap { label in (0..<5).map { $0 == label ? Float(3) : 0 } }
    XCTAssertEqual(try LinearProbe.accuracy(features: features, labels: labels), 100)
  }

  /// A feature of 1 at the label's place, and noise on all of them.
  private func noisy(_ labels: [Int], dimensions: Int, noise: Float) -> [Float] {
    var features: [Float] = []
    for (index, label) in labels.enumerated() {
      for place in 0..<dimensions {
        let chance = Float((index * 37 + place * 101) % 97) / 97
        features.append((place == label ? 1 : 0) + noise * chance)
      }
    }
    return features
  }

  /// The order of a data set is no chance: by class, shuffled, or in turn, its images give the same figures.
  func testTheOrderOfTheImagesDoesNotMatter() throws {
    let classes = 10
    let count = 403
    let labels = (0..<count).map { ($0 * 7919) % 401 % classes }
    // Noise that hides the class from a good part of the images.
    let features = noisy(labels, dimensions: classes, noise: 1.6)
    let orders: [(String, [Int])] = [
      ("as they are", Array(0..<count)), ("by class", (0..<count).sorted { (labels[$0], $0) < (labels[$1], $1) }),
      ("by class, backwards", (0..<count).sorted { (-labels[$0], $0) < (-labels[$1], $1) }),
    ]
    var figures: [(Double, Double)] = []
    for (name, order) in orders {
      let ordered = order.flatMap { Array(features[$0 * classes..<($0 + 1) * classes]) }
      let probe = try LinearProbe.run(features: ordered, labels: order.map { labels[$0] })
      XCTAssertTrue(probe.converged, name)
      figures.append(
        (probe.accuracy, try NearestNeighbours.accuracy(features: ordered, labels: order.map { labels[$0] })))
      XCTAssertGreaterThan(figures[0].0, 40, "something is learnt")
      XCTAssertEqual(figures[figures.count - 1].0, figures[0].0, accuracy: 1, name)
      XCTAssertEqual(figures[figures.count - 1].1, figures[0].1, accuracy: 1, name)
    }
  }

  func testHalvesByClass() throws {
    let cases: [([Int], [Int], [Int])] = [
      ([0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 4, 5], [2, 3, 6, 7]), ([0, 1, 0, 1], [0, 1], [2, 3]),
      // Odd images in turn: to the judged, to the fitted.
      ([0, 0, 0, 1, 1, 1], [0, 3, 4], [1, 2, 5]), ([3, 2, 1, 0], [0, 2], [1, 3]),
      // Without a label an image takes no part.
      ([-1, 0, -1, 0], [1], [3]), ([5, 5], [0], [1]),
    ]
    for (labels, fit, judged) in cases {
      let split = try ProbeSplit(labels: labels)
      XCTAssertEqual(split.fit, fit, "\(labels)")
      XCTAssertEqual(split.judged, judged, "\(labels)")
    }
    for labels in [[], [0], [-1, -1, 3]] {
      XCTAssertThrowsError(try ProbeSplit(labels: labels)) {
        XCTAssertEqual($0 as? ProbeError, .tooFew(images: labels.count { $0 >= 0 }))
      }
    }
  }

  func testAFitThatDidNotConvergeSaysSo() throws {
    let labels = (0..<60).map { $0 % 3 }
    let features = noisy(labels, dimensions: 4, noise: 2)
    XCTAssertFalse(try LinearProbe.run(features: features, labels: labels, maxIterations: 2).converged)
    XCTAssertTrue(try LinearProbe.run(features: features, labels: labels).converged)
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
