import Foundation
import Kernels
import NetworkTesting
import XCTest

/// The flat updates against their closed forms.
final class UpdateTests: XCTestCase {
  /// With a constant gradient g, no decay and momentum m, v after n steps is g (1 - m^n) / (1 - m).
  func testSGDWithMomentumInClosedForm() {
    for threads in 1...3 {
      let team = ThreadTeam(threads: threads, spins: 100)
      let count = 5000
      let gradients = AlignedBuffer(noise(count, 1))
      let weights = AlignedBuffer(noise(count, 2))
      let velocity = AlignedBuffer(count: count)
      let start = weights.array
      let (rate, momentum) = (0.05, 0.9)
      var moved = 0.0
      for n in 1...4 {
        ParameterUpdates.sgd(
          weights: weights.pointer, gradients: gradients.pointer, velocity: velocity.pointer, range: 0..<count,
          rate: Float(rate), momentum: Float(momentum), decay: 0, team: team)
        let speed = (1 - pow(momentum, Double(n))) / (1 - momentum)
        moved += rate * speed
        XCTAssertLessThan(distance(velocity.array, gradients.array.map { Float(Double($0) * speed) }), 1e-6)
      }
      let wanted = zip(start, gradients.array).map { Float(Double($0) - moved * Double($1)) }
      XCTAssertLessThan(distance(weights.array, wanted), 1e-6)
    }
  }

  /// Decay joins the gradient before the momentum: w = w - lr (g + decay w) at the first step; the rest stays.
  func testSGDDecaysWithinItsRangeAlone() {
    let count = 4000
    let gradients = AlignedBuffer(noise(count, 1))
    let weights = AlignedBuffer(noise(count, 2))
    let velocity = AlignedBuffer(noise(count, 3))
    let (start, speed) = (weights.array, velocity.array)
    let range = 1024..<3008
    ParameterUpdates.sgd(
      weights: weights.pointer, gradients: gradients.pointer, velocity: velocity.pointer, range: range, rate: 0.1,
      momentum: 0.5, decay: 0.2, team: ThreadTeam(threads: 2, spins: 100))
    for i in 0..<count {
      let v = range.contains(i) ? 0.5 * speed[i] + gradients.pointer[i] + 0.2 * start[i] : speed[i]
      XCTAssertEqual(velocity.pointer[i], v, accuracy: 1e-5)
      XCTAssertEqual(weights.pointer[i], range.contains(i) ? start[i] - 0.1 * v : start[i], accuracy: 1e-5)
    }
  }

  /// Ranks' gradients added up as they are used have the bits of their sum in that order, whatever the length.
  func testSGDAddsRanksGradients() {
    for (count, ranks) in [(5, 2), (16, 3), (4003, 1), (4003, 2), (4003, 5)] {
      let all = (0..<ranks).map { AlignedBuffer(noise(count, UInt64($0))) }
      var sum = all[0].array
      for other in all[1...] { for i in 0..<count { sum[i] += other.array[i] } }
      var pointers = all.map { UnsafePointer($0.pointer) }
      var results: [[Float]] = []
      for addsFirst in [true, false] {
        let (weights, velocity) = (AlignedBuffer(noise(count, 30)), AlignedBuffer(noise(count, 40)))
        let first = AlignedBuffer(all[0].array)
        if addsFirst {
          pointers.withUnsafeBufferPointer {
            ParameterUpdates.add(UnsafeBufferPointer(rebasing: $0[1...]), to: first.pointer, 0..<count)
          }
          XCTAssertEqual(first.array, sum)
          pointers = [UnsafePointer(first.pointer)]
        } else {
          pointers = all.map { UnsafePointer($0.pointer) }
        }
        pointers.withUnsafeBufferPointer {
          ParameterUpdates.sgd(
            .init(weights: weights.pointer, velocity: velocity.pointer, gradients: $0), 1..<count,
            .init(rate: 0.1, momentum: 0.9, decay: 0.01, adaptation: 0.5))
        }
        let index = count - 1
        let v = 0.9 * noise(count, 40)[index] + (sum[index] + 0.01 * noise(count, 30)[index]) * 0.5
        XCTAssertEqual(velocity.pointer[index], v, accuracy: 1e-5)
        XCTAssertEqual(velocity.pointer[0], noise(count, 40)[0], "outside the range")
        results.append(weights.array + velocity.array)
      }
      XCTAssertEqual(results[0], results[1], "\(count) floats of \(ranks) ranks")
    }
  }

  /// With a constant online network, xi after n updates is theta + tau^n (xi0 - theta).
  func testMovingAverageInClosedForm() {
    let count = 3001
    let online = AlignedBuffer(noise(count, 1))
    var results: [[Float]] = []
    for threads in 1...3 {
      let target = AlignedBuffer(noise(count, 2))
      let start = target.array
      for _ in 0..<5 {
        ParameterUpdates.movingAverage(
          target: target.pointer, online: online.pointer, count: count, tau: 0.9,
          team: ThreadTeam(threads: threads, spins: 100))
      }
      let wanted = zip(start, online.array).map { Float(Double($1) + pow(0.9, 5) * Double($0 - $1)) }
      XCTAssertLessThan(distance(target.array, wanted), 1e-6)
      results.append(target.array)
      ParameterUpdates.movingAverage(
        target: target.pointer, online: online.pointer, count: count, tau: 1, team: ThreadTeam(threads: 1))
      XCTAssertEqual(target.array, results[0], "tau 1 moves nothing")
      ParameterUpdates.movingAverage(
        target: target.pointer, online: online.pointer, count: count, tau: 0, team: ThreadTeam(threads: 1))
      XCTAssertEqual(target.array, online.array, "tau 0 copies")
    }
    XCTAssertEqual(results[0], results[1])
    XCTAssertEqual(results[0], results[2])
  }
}
