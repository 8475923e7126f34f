import Evaluation
import Files
import Foundation
import XCTest

final class NearestNeighboursTests: XCTestCase {
  /// Against scikit-learn in float64 (Fixtures/make_neighbours.py): few and many neighbours, sharp and flat weights.
  func testTheAccuracyIsScikitLearns() throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures/neighbours.safetensors"
    let file = try SafetensorsFile(path: path)
    let features = try file.floats("features")
    let labels = try file.integers("labels").map { Int($0) }
    for (k, temperature) in [(1, 0.1), (5, 0.1), (25, 0.1), (200, 0.1), (200, 0.02), (200, 100.0)] {
      let found = try NearestNeighbours.accuracy(features: features, labels: labels, k: k, temperature: temperature)
      let wanted = try file.doubles("accuracy.\(k).\(temperature)")[0]
      XCTAssertEqual(found, wanted, accuracy: 1e-9, "k \(k), T \(temperature)")
    }
    XCTAssertEqual(
      try NearestNeighbours.accuracy(features: features, labels: labels),
      try file.doubles("accuracy.25.0.1")[0], "350 images of 7 classes in the bank")
  }

  func testNeighboursAreFewInASmallBank() {
    XCTAssertEqual(NearestNeighbours.neighbours(bank: 4000, classes: 10), 200)
    XCTAssertEqual(NearestNeighbours.neighbours(bank: 50_000, classes: 10), 200)
    XCTAssertEqual(NearestNeighbours.neighbours(bank: 2000, classes: 10), 100)
    XCTAssertEqual(NearestNeighbours.neighbours(bank: 3, classes: 10), 1)
  }

  func testABankSmallerThanKAndAnOddImage() throws {
    // The bank has one image of each class; the odd image more is judged.
    let features: [Float] = [1, 0, 0, 1, 2, 0.1, 0.1, 3, 5, 1]
    XCTAssertEqual(try NearestNeighbours.accuracy(features: features, labels: [0, 1, 0, 1, 1], k: 200), 200 / 3.0)
  }

  func testFeaturesThatAreNoNumbersAreAnError() {
    XCTAssertThrowsError(try NearestNeighbours.accuracy(features: [1, 2, 3, .nan], labels: [0, 1])) {
      XCTAssertEqual($0 as? ProbeError, .notFinite(image: 1))
    }
    XCTAssertThrowsError(try NearestNeighbours.accuracy(features: [1], labels: [0])) {
      XCTAssertEqual($0 as? ProbeError, .tooFew(images: 1))
    }
  }
}
