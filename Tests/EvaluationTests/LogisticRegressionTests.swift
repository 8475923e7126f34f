import Evaluation
import Files
import Foundation
import XCTest

/// Against scikit-learn's StandardScaler and LogisticRegression (Fixtures/make_logistic.py).
final class LogisticRegressionTests: XCTestCase {
  private struct Fixture {
    let features: [Float]
    let labels: [Int]
    let dimensions: Int
    let file: SafetensorsFile
    var half: Int { labels.count / 2 }
    var scaler: Standardizer { Standardizer(features[..<(half * dimensions)], dimensions: dimensions) }
    var train: [Double] { scaler.transform(features[..<(half * dimensions)]) }
    var test: [Double] { scaler.transform(features[(half * dimensions)...]) }

    init() throws {
      let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures/logistic.safetensors"
      file = try SafetensorsFile(path: path)
      features = try file.floats("features")
      labels = try file.integers("labels").map { Int($0) }
      dimensions = try file.shape("features")[1]
    }
  }

  func testStandardisedFeaturesAreScikitLearns() throws {
    let fixture = try Fixture()
    let (found, wanted) = (fixture.test, try fixture.file.doubles("standardised"))
    XCTAssertEqual(found.count, wanted.count)
    for (place, (a, b)) in zip(found, wanted).enumerated() {
      XCTAssertEqual(a, b, accuracy: 1e-5 * max(1, abs(b)), "row \(place / 12), feature \(place % 12)")
    }
  }

  /// The tolerance is finer than the rounding of the loss can show a decrease.
  func testTheOptimumIsScikitLearns() throws {
    let fixture = try Fixture()
    for c in ["1.0", "0.01"] {
      let model = LogisticRegression(
        features: fixture.train, labels: Array(fixture.labels[..<fixture.half]), dimensions: fixture.dimensions,
        classes: 10, c: try XCTUnwrap(Double(c)), tolerance: 1e-12)
      XCTAssertTrue(model.converged)
      let weights = try fixture.file.doubles("weights.\(c)")
      XCTAssertEqual(model.weights.count, weights.count + 10)
      for (place, wanted) in weights.enumerated() {
        XCTAssertEqual(model.weights[place], wanted, accuracy: 1e-5, "C \(c), weight \(place)")
      }
      // The likelihood does not know what is added to all of them; scikit-learn's sum to 0 too.
      for (k, wanted) in try fixture.file.doubles("intercepts.\(c)").enumerated() {
        XCTAssertEqual(model.weights[weights.count + k], wanted, accuracy: 1e-5, "C \(c), intercept \(k)")
      }
    }
  }

  func testTheProbesAccuracyIsScikitLearnsWithinHalfAPoint() throws {
    let fixture = try Fixture()
    for c in ["1.0", "0.01"] {
      let found = try LinearProbe.run(
        features: fixture.features, labels: fixture.labels, c: try XCTUnwrap(Double(c)))
      XCTAssertTrue(found.converged)
      XCTAssertEqual(found.accuracy, try fixture.file.doubles("halves.\(c)")[0], accuracy: 0.5, "C \(c)")
    }
  }

  func testADefaultFitConvergesWithinItsLimit() throws {
    let fixture = try Fixture()
    let model = LogisticRegression(
      features: fixture.train, labels: Array(fixture.labels[..<fixture.half]), dimensions: fixture.dimensions,
      classes: 10)
    XCTAssertTrue(model.converged)
    XCTAssertLessThan(model.iterations, 200)
  }
}
