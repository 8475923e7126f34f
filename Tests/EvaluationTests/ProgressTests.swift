import Evaluation
import Machine
import XCTest

/// Rank 0 fits while the other ranks wait: each piece of the work shows that it gets on.
final class ProgressTests: XCTestCase {
  private func advances(_ work: () throws -> Void) rethrows -> UInt64 {
    let before = ProgressCount.value
    try work()
    return ProgressCount.value - before
  }

  func testEveryIterationOfAFitIsProgress() {
    let features = (0..<120).map { Double(($0 * 7919) % 113) / 113 }
    var iterations = 0
    let count = advances {
      let model = LogisticRegression(
        features: features, labels: (0..<40).map { $0 % 3 }, dimensions: 3, classes: 3, tolerance: 1e-8)
      iterations = model.iterations
    }
    XCTAssertGreaterThan(iterations, 2)
    XCTAssertGreaterThanOrEqual(count, UInt64(iterations))
  }

  func testEveryBlockOfNeighboursIsProgress() throws {
    let features = (0..<2400).map { Float(($0 * 7919) % 113) / 113 }
    let count = try advances {
      _ = try NearestNeighbours.accuracy(features: features, labels: (0..<1200).map { $0 % 3 })
    }
    // 600 images in blocks of at most 128.
    XCTAssertGreaterThanOrEqual(count, 5)
  }
}
