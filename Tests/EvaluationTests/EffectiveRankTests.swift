import Evaluation
import Foundation
import XCTest

final class EffectiveRankTests: XCTestCase {
  private func rank(_ squares: [Double]) -> Double {
    var squares = squares
    return squares.withUnsafeMutableBufferPointer { EffectiveRank.of(squares: $0) }
  }

  func testTheExponentialOfTheEntropy() {
    XCTAssertEqual(rank([9, 0, 0]), 1, accuracy: 1e-12)
    XCTAssertEqual(rank([2, 2, 2, 2, 2]), 5, accuracy: 1e-12)
    // Singular values 3 and 1: shares 3/4 and 1/4.
    XCTAssertEqual(rank([9, 1, -1e-17]), exp(0.75 * log(4 / 3) + 0.25 * log(4)), accuracy: 1e-12)
    XCTAssertEqual(rank([0, 0]), 0)
    XCTAssertTrue(rank([1, .nan]).isNaN)
  }

  func testEigenvaluesOfAKnownMatrix() {
    // A diagonal turned in two planes; what is left of the diagonal must not be read.
    let solver = SymmetricEigenvalues(size: 3)
    let rows: [[Double]] = [[2, 1, 0], [.nan, 2, 0], [.nan, .nan, -5]]
    for (place, value) in rows.joined().enumerated() { solver.matrix[place] = value }
    XCTAssertTrue(solver.solve())
    for (a, b) in zip(solver.values, [-5.0, 1, 3]) { XCTAssertEqual(a, b, accuracy: 1e-14) }
    solver.matrix[4] = .infinity
    XCTAssertFalse(solver.solve())
    let one = SymmetricEigenvalues(size: 1)
    one.matrix[0] = 7
    XCTAssertTrue(one.solve())
    XCTAssertEqual(one.values[0], 7)
  }

  func testBothProductsHaveTheSameEigenvalues() {
    let (rows, dimensions) = (5, 150)
    var state: UInt64 = 3
    let values = (0..<rows * dimensions).map { _ -> Double in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 40) / Double(1 << 24) - 0.5
    }
    let (small, large) = (SymmetricEigenvalues(size: rows), SymmetricEigenvalues(size: dimensions))
    EffectiveRank.rowProducts(values, rows: rows, dimensions: dimensions, into: small.matrix)
    EffectiveRank.columnProducts(values, rows: rows, dimensions: dimensions, into: large.matrix)
    XCTAssertTrue(small.solve() && large.solve())
    for (a, b) in zip(small.values, large.values.suffix(rows)) { XCTAssertEqual(a, b, accuracy: 1e-12) }
    XCTAssertEqual(large.values[dimensions - rows - 1], 0, accuracy: 1e-12)
  }
}
