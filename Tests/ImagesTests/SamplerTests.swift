import Images
import XCTest

final class SamplerTests: XCTestCase {
  private func epoch(
    count: Int, batch: Int, rank: Int = 0, ranks: Int = 1, shuffle: Bool = true, seed: UInt64 = 7, epoch: Int = 0
  ) throws -> [[Int]] {
    let sampler = try ShardedSampler(
      count: count, batch: batch, rank: rank, ranks: ranks, shuffle: shuffle, seed: seed)
    return (0..<sampler.stepsPerEpoch).map { step in
      var indices = [Int](repeating: -1, count: sampler.localBatch)
      indices.withUnsafeMutableBufferPointer { sampler.localIndices(epoch: epoch, step: step, into: $0) }
      return indices
    }
  }

  func testAnEpochVisitsEveryImageOnceWhateverTheSize() throws {
    for count in [1, 2, 3, 5, 16, 17, 64, 65, 1000, 4097] {
      XCTAssertEqual(try epoch(count: count, batch: 1).flatMap { $0 }.sorted(), Array(0..<count))
    }
  }

  func testTheLastShortBatchIsDropped() throws {
    let batches = try epoch(count: 103, batch: 20)
    XCTAssertEqual(batches.count, 5)
    XCTAssertEqual(Set(batches.flatMap { $0 }).count, 100)
  }

  func testFileOrderWithoutShuffling() throws {
    let batches = try epoch(count: 10, batch: 4, shuffle: false, epoch: 3)
    XCTAssertEqual(batches, [[0, 1, 2, 3], [4, 5, 6, 7]])
  }

  func testRanksHoldContiguousPartsOfTheSameBatches() throws {
    for shuffle in [true, false] {
      let whole = try epoch(count: 100, batch: 24, shuffle: shuffle, epoch: 5)
      for ranks in [2, 3, 4, 8] {
        let parts = try (0..<ranks).map {
          try epoch(count: 100, batch: 24, rank: $0, ranks: ranks, shuffle: shuffle, epoch: 5)
        }
        for step in whole.indices { XCTAssertEqual(parts.flatMap { $0[step] }, whole[step]) }
      }
    }
  }

  func testTheOrderDependsOnSeedAndEpochAlone() throws {
    let order = try epoch(count: 500, batch: 50).flatMap { $0 }
    XCTAssertEqual(order, try epoch(count: 500, batch: 10).flatMap { $0 })
    XCTAssertNotEqual(order, try epoch(count: 500, batch: 50, epoch: 1).flatMap { $0 })
    XCTAssertNotEqual(order, try epoch(count: 500, batch: 50, seed: 8).flatMap { $0 })
  }

  /// Each image is equally likely at each place, and neighbours in one epoch are not neighbours in the next.
  func testOrdersAreUniform() throws {
    let (count, epochs) = (24, 4800)
    var places = [Int](repeating: 0, count: count * count)
    var neighbours = 0
    for number in 0..<epochs {
      let order = try epoch(count: count, batch: count, epoch: number)[0]
      for (place, image) in order.enumerated() { places[image * count + place] += 1 }
      for (first, second) in zip(order, order.dropFirst()) where second == first + 1 { neighbours += 1 }
    }
    let expected = Double(epochs) / Double(count)
    let chiSquared = places.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    // (count - 1)^2 = 529 degrees of freedom: mean 529, deviation 32.5.
    XCTAssertEqual(chiSquared, 529, accuracy: 5 * 32.5)
    let expectedNeighbours = Double(epochs * (count - 1)) / Double(count)
    XCTAssertEqual(Double(neighbours), expectedNeighbours, accuracy: 6 * expectedNeighbours.squareRoot())
  }

  func testABatchThatCannotBeSharedIsRefusedWithWhatWouldBeRight() {
    XCTAssertThrowsError(try ShardedSampler(count: 100, batch: 30, rank: 0, ranks: 8, shuffle: true, seed: 1)) {
      XCTAssertEqual(
        "\($0)", "batch 30: 8 ranks cannot share it evenly; expected a multiple of 8, such as 24 or 32")
    }
    XCTAssertThrowsError(try ShardedSampler(count: 100, batch: 128, rank: 0, ranks: 8, shuffle: true, seed: 1)) {
      XCTAssertEqual("\($0)", "batch 128: is more than the data set's 100 images; expected at most that")
    }
    XCTAssertThrowsError(try ShardedSampler(count: 100, batch: 0, rank: 0, ranks: 2, shuffle: true, seed: 1))
  }
}
