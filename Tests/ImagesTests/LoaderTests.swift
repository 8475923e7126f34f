import Images
import XCTest

final class LoaderTests: XCTestCase {
  private let dataset = Shapes(seed: 3, split: .train, count: 50)
  private let recipe = ViewRecipe(policy: .moco, imageSize: 32, seed: 9)

  private func sampler(rank: Int = 0, ranks: Int = 1) throws -> ShardedSampler {
    try ShardedSampler(count: dataset.count, batch: 12, rank: rank, ranks: ranks, shuffle: true, seed: 9)
  }

  private func batches(
    from start: Int = 0, to end: Int = 9, workers: Int, ahead: Int = 2, rank: Int = 0, ranks: Int = 1
  ) throws -> [[Float]] {
    let loader = try ViewLoader(
      dataset: dataset, sampler: sampler(rank: rank, ranks: ranks), recipe: recipe, startStep: start, endStep: end,
      workers: workers, ahead: ahead)
    defer { loader.stop() }
    return try (start..<end).map { _ in
      Array(UnsafeBufferPointer(start: try loader.next(), count: 2 * loader.localBatch * loader.viewCount))
    }
  }

  /// The same views made one by one, without a loader.
  private func reference(step: Int) throws -> [Float] {
    let sampler = try sampler()
    var indices = [Int](repeating: 0, count: 12)
    let epoch = step / sampler.stepsPerEpoch
    indices.withUnsafeMutableBufferPointer {
      sampler.localIndices(epoch: epoch, step: step % sampler.stepsPerEpoch, into: $0)
    }
    let scratch = ViewScratch(height: 32, width: 32, imageSize: 32)
    var out: [Float] = []
    for view in 0..<2 {
      for sample in indices {
        var floats = [Float](repeating: 0, count: recipe.viewCount)
        dataset.copyImage(sample, into: scratch.source)
        recipe.makeView(
          source: scratch.source, height: 32, width: 32, epoch: epoch, sample: sample, view: view, into: &floats,
          scratch: scratch)
        out += floats
      }
    }
    return out
  }

  func testBatchesAreThoseOfTheSamplerAndTheRecipeForAnyNumberOfWorkers() throws {
    let expected = try (0..<9).map { try reference(step: $0) }
    for (workers, ahead) in [(0, 1), (1, 1), (1, 3), (3, 1), (4, 8)] {
      XCTAssertEqual(try batches(workers: workers, ahead: ahead), expected, "\(workers) workers, \(ahead) ahead")
    }
  }

  func testALoaderThatStartsLaterGoesOnTheSame() throws {
    let whole = try batches(workers: 1)
    XCTAssertEqual(try batches(from: 5, workers: 2), Array(whole[5...]))
  }

  func testRanksTogetherHaveTheBatchOfOne() throws {
    let whole = try batches(to: 3, workers: 1)
    for ranks in [2, 3, 4] {
      let parts = try (0..<ranks).map { try batches(to: 3, workers: 1, rank: $0, ranks: ranks) }
      for step in 0..<3 {
        let half = parts[0][step].count / 2
        let joined = parts.flatMap { $0[step][..<half] } + parts.flatMap { $0[step][half...] }
        XCTAssertEqual(joined, whole[step], "\(ranks) ranks")
      }
    }
  }

  func testABatchStaysUntilTheNextCallThoughWorkersRunAhead() throws {
    let loader = try ViewLoader(
      dataset: dataset, sampler: sampler(), recipe: recipe, startStep: 0, endStep: 40, workers: 2, ahead: 1)
    defer { loader.stop() }
    for step in 0..<40 {
      let views = try loader.next()
      let count = 2 * loader.localBatch * loader.viewCount
      let before = Array(UnsafeBufferPointer(start: views, count: count))
      if step % 10 == 0 { usleep(20_000) }
      XCTAssert(UnsafeBufferPointer(start: views, count: count).elementsEqual(before), "step \(step)")
    }
  }

  func testAfterTheLastStepAndAfterStoppingThereIsNoBatch() throws {
    let loader = try ViewLoader(
      dataset: dataset, sampler: sampler(), recipe: recipe, startStep: 0, endStep: 1, workers: 1, ahead: 1)
    _ = try loader.next()
    XCTAssertThrowsError(try loader.next())
    loader.stop()
    let stopped = try ViewLoader(
      dataset: dataset, sampler: sampler(), recipe: recipe, startStep: 0, endStep: 9, workers: 2, ahead: 2)
    stopped.stop()
    XCTAssertThrowsError(try stopped.next())
  }
}
