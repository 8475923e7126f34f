import Evaluation
import Images
import XCTest

/// The embedded data set must need learning: a linear probe on its pixels stays far below what a trained encoder gives.
final class ShapesDifficultyTests: XCTestCase {
  func testRawPixelsDoNotTellTheClass() throws {
    let test = try DatasetSource.open("shapes", seed: 0).test
    var bytes = [UInt8](repeating: 0, count: test.height * test.width * 3)
    var pixels: [Float] = []
    for index in 0..<test.count {
      try bytes.withUnsafeMutableBufferPointer { try test.copyImage(index, into: $0.baseAddress!) }
      pixels += bytes.map { Float($0) / 255 }
    }
    let accuracy = try LinearProbe.accuracy(features: pixels, labels: (0..<test.count).map(test.label))
    print("shapes: linear probe on raw pixels \(accuracy) %")
    XCTAssertLessThan(accuracy, 45)
  }
}
