import Foundation
import Kernels
import XCTest

final class ExponentialTests: XCTestCase {
  func testPowersAndTheirSumAreThoseOfTheLibrary() {
    for count in [1, 2, 7, 8, 9, 31, 1000] {
      for factor in [Float(1), 5, 0.25] {
        var row = Noise.floats(count, seed: 3).map { 20 * $0 }
        let largest = Exponential.largest(row, count: count)
        XCTAssertEqual(largest, row.max())
        let wanted = row.map { exp(Double(($0 - largest) * factor)) }
        let sum = Exponential.replace(&row, count: count, largest: largest, factor: factor)
        for (found, wanted) in zip(row, wanted) {
          XCTAssertEqual(Double(found), wanted, accuracy: 3e-7 * wanted + 1.3e-38, "\(count) \(factor)")
        }
        XCTAssertEqual(sum, row.reduce(0) { $0 + Double($1) }, accuracy: 1e-12 * Double(count))
      }
    }
  }

  func testEveryMagnitude() {
    // From a power that is normal to one that vanishes, and both neighbours of each rounding to a whole exponent.
    var row = stride(from: Float(0), through: -120, by: -0.001).map { $0 }
    let wanted = row.map { $0 < -87.3 ? 0 : exp(Double($0)) }
    _ = Exponential.replace(&row, count: row.count, largest: 0, factor: 1)
    for (index, (found, wanted)) in zip(row, wanted).enumerated() {
      XCTAssertEqual(Double(found), wanted, accuracy: 3e-7 * wanted, "of \(-0.001 * Double(index))")
    }
  }

  func testWhatIsNoNumberStaysNoneAndMinusInfinityIsNothing() {
    for place in [0, 5, 8, 10] {
      var row = [Float](repeating: 0.5, count: 11)
      row[place] = .nan
      XCTAssertTrue(Exponential.replace(&row, count: 11, largest: 0.5, factor: 2).isNaN, "\(place)")
      XCTAssertTrue(row[place].isNaN)
      row = [Float](repeating: 0.5, count: 11)
      row[place] = -.infinity
      XCTAssertEqual(Exponential.replace(&row, count: 11, largest: 0.5, factor: 2), 10)
      XCTAssertEqual(row[place], 0)
    }
  }

  func testScale() {
    for count in [1, 8, 13] {
      var row = Noise.floats(count, seed: 4)
      let wanted = row.map { $0 * 0.3 }
      Exponential.scale(&row, count: count, by: 0.3)
      XCTAssertEqual(row, wanted)
    }
  }

  func testAMaskOfActivations() {
    for (start, end) in [(0, 1), (3, 40), (5, 13), (0, 64)] {
      let activation = Noise.floats(64, seed: 5).enumerated().map { $0 % 5 == 0 ? 0 : $0 % 7 == 0 ? .nan : $1 }
      var gradient = Noise.floats(64, seed: 6)
      let wanted = gradient.enumerated().map { index, value in
        (start..<end).contains(index) && activation[index] <= 0 ? 0 : value
      }
      PassThrough.mask(&gradient, where: activation, start..<end)
      XCTAssertEqual(gradient, wanted)
    }
  }
}
