import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting
import XCTest

/// Every loss of a step against PyTorch's in float64 and against central differences.
final class LossTests: XCTestCase {
  private struct Case {
    let name: String
    let loss: MethodPlan.Loss
    /// Whether queries are compared with keys of their own, or with themselves as in the fixture.
    var hasKeys = true
  }

  private static func comparison(
    _ negatives: ComparisonPlan.Negatives, _ loss: ComparisonPlan.Loss = .crossEntropy(alpha: nil), _ t: Double = 0.2
  ) -> MethodPlan.Loss { .comparison(ComparisonPlan(negatives: negatives, loss: loss, temperature: t)) }

  private static let cases = [
    Case(name: "l2", loss: .l2),
    Case(name: "batch", loss: comparison(.batch)),
    Case(name: "batch_eqco", loss: comparison(.batch, .crossEntropy(alpha: 64))),
    Case(name: "batch_bce", loss: comparison(.batch, .binaryCrossEntropy)),
    Case(name: "queue", loss: comparison(.queue(16))),
    Case(name: "queue_eqco", loss: comparison(.queue(16), .crossEntropy(alpha: 64), 0.3)),
    Case(name: "queue_bce", loss: comparison(.queue(16), .binaryCrossEntropy)),
    Case(name: "ntxent", loss: comparison(.bothViews, .crossEntropy(alpha: nil), 0.5), hasKeys: false),
    Case(name: "barlow_twins", loss: .barlowTwins(lambda: 0.05), hasKeys: false),
    Case(name: "vicreg", loss: .vicreg(VICRegCoefficients()), hasKeys: false),
  ]

  private struct Outcome {
    var loss: Double
    var query: [Float]
    var key: [Float]
    var queueAfter: [Float]
  }

  private func evaluate(
    _ loss: MethodPlan.Loss, query: [Float], key: [Float], rows: Int, dimensions: Int, wantsKeyGradient: Bool = true,
    queue: [Float] = [], threads: Int = 1
  ) throws -> Outcome {
    let world = try Communicator.start()
    let layout = BatchLayout(views: 2, imagesPerView: rows)
    let context = NetworkContext(
      team: ThreadTeam(threads: threads, spins: 100), scratch: Scratch(), maps: SharedMaps(), layout: layout,
      scope: .local, keepsActivations: true)
    let made = MethodPlan(keys: .online(stopsGradient: false), loss: loss).makeLoss(
      rows: rows, dimensions: dimensions, keyGradient: wantsKeyGradient, world: world, context: context)
    let ring = (made as? KeyComparison)?.queue
    var gradients = [[Float](repeating: .nan, count: query.count), [Float](repeating: .nan, count: query.count)]
    var value = 0.0
    // Twice: nothing of the first call may be left in the second, but the queue.
    for _ in 0..<2 {
      ring?.keys.pointer.update(from: queue, count: queue.count)
      ring?.restore(next: 0)
      let (first, second) = (AlignedBuffer(count: query.count), AlignedBuffer(count: query.count))
      let (queries, keys) = (AlignedBuffer(query), AlignedBuffer(key))
      defer { withExtendedLifetime((queries, keys)) {} }
      value = try made.evaluate(
        LossRows(
          queries: queries.pointer, keys: keys.pointer, rows: rows, dimensions: dimensions,
          queryGradient: first.pointer,
          keyGradient: wantsKeyGradient ? second.pointer : nil), globalRows: rows)
      gradients = [first.array, second.array]
    }
    return Outcome(loss: value, query: gradients[0], key: gradients[1], queueAfter: ring?.keys.array ?? [])
  }

  func testLossesAndGradientsArePyTorchs() throws {
    let fixture = try Fixture("losses", #filePath)
    let query = try fixture.tensor("query")
    let (rows, dimensions) = (query.shape[1], query.shape[2])
    let queue = try fixture.tensor("queue").values
    for item in Self.cases {
      for threads in 1...3 {
        let key = item.hasKeys ? try fixture.tensor("key").values : query.values
        let found = try evaluate(
          item.loss, query: query.values, key: key, rows: rows, dimensions: dimensions,
          queue: item.name.hasPrefix("queue") ? queue : [], threads: threads)
        let wanted = Double(try fixture.tensor("\(item.name).loss").values[0])
        XCTAssertEqual(found.loss, wanted, accuracy: 2e-7 * wanted, item.name)
        let gradient = try fixture.tensor("\(item.name).query_gradient").values
        if item.hasKeys {
          XCTAssertLessThan(distance(found.query, gradient), 1e-6, item.name)
          let wanted = try fixture.tensor("\(item.name).key_gradient").values
          XCTAssertLessThan(distance(found.key, wanted), 1e-6, "\(item.name): keys")
        } else {
          // Queries that are their own keys: both ways in add up.
          let sum = zip(found.query, found.key).map { $0 + $1 }
          XCTAssertLessThan(distance(sum, gradient), 1e-6, item.name)
        }
      }
    }
  }

  /// Where the gradient stops at the keys, nothing else changes.
  func testStopGradientLeavesTheQueriesAsTheyAre() throws {
    let (rows, dimensions) = (8, 5)
    let (query, key) = (noise(80, 1), noise(80, 2))
    for item in Self.cases where item.hasKeys || item.name == "ntxent" {
      let flowing = try evaluate(item.loss, query: query, key: key, rows: rows, dimensions: dimensions)
      let stopped = try evaluate(
        item.loss, query: query, key: key, rows: rows, dimensions: dimensions, wantsKeyGradient: false)
      XCTAssertEqual(stopped.loss, flowing.loss, item.name)
      XCTAssertEqual(stopped.query, flowing.query, item.name)
      XCTAssert(stopped.key.allSatisfy { $0 == 0 }, item.name)
      XCTAssertGreaterThan(magnitude(flowing.key), 1e-4, item.name)
    }
  }

  func testGradientsAgainstCentralDifferences() throws {
    let (rows, dimensions) = (4, 5)
    let (query, key) = (noise(40, 3), noise(40, 4))
    let queue = try unit(noise(12 * dimensions, 5), dimensions)
    for item in Self.cases {
      let loss: MethodPlan.Loss
      switch item.loss {
      case .comparison(var plan):
        if case .queue = plan.negatives { plan.negatives = .queue(12) }
        plan.temperature = 0.7
        loss = .comparison(plan)
      default: loss = item.loss
      }
      func at(_ query: [Float], _ key: [Float]) throws -> Outcome {
        try evaluate(
          loss, query: query, key: key, rows: rows, dimensions: dimensions,
          queue: item.name.hasPrefix("queue") ? queue : [])
      }
      let here = try at(query, key)
      let takesKeys = item.hasKeys || item.name == "ntxent"
      let scale = max(1, magnitude(here.query))
      for isKey in takesKeys ? [false, true] : [false] {
        for i in 0..<query.count {
          let (up, down) = (
            try at(shifted(query, i, isKey ? 0 : 1), shifted(key, i, isKey ? 1 : 0)),
            try at(shifted(query, i, isKey ? 0 : -1), shifted(key, i, isKey ? -1 : 0))
          )
          let slope = (up.loss - down.loss) / Double(2 * Self.nudge)
          let found = isKey ? here.key[i] : here.query[i]
          XCTAssertEqual(slope, Double(found), accuracy: 1e-3 * scale, "\(item.name) \(isKey ? "key" : "query") \(i)")
        }
      }
    }
  }

  private static let nudge: Float = 1 / 128

  private func shifted(_ values: [Float], _ place: Int, _ sign: Float) -> [Float] {
    var values = values
    values[place] += sign * Self.nudge
    return values
  }

  private func unit(_ values: [Float], _ dimensions: Int) throws -> [Float] {
    values.enumerated().map { index, value in
      let first = index / dimensions * dimensions
      let square = values[first..<first + dimensions].reduce(0) { $0 + $1 * $1 }
      return value / square.squareRoot()
    }
  }

  /// With alpha of as many as there are negatives the margin is none; with more, negatives weigh more.
  func testEqCoIsAWeightOfTheNegatives() throws {
    let (query, key) = (noise(60, 1), noise(60, 2))
    func loss(_ alpha: Double?) throws -> Double {
      try evaluate(
        Self.comparison(.batch, .crossEntropy(alpha: alpha)), query: query, key: key, rows: 6, dimensions: 5
      ).loss
    }
    XCTAssertEqual(try loss(5), try loss(nil), accuracy: 1e-12)
    XCTAssertGreaterThan(try loss(50), try loss(5) + 2)
  }

  /// The loss stays a number where powers leave a float's range and rows have no length.
  func testTheEndsOfTheRange() throws {
    var query = noise(60, 1)
    for i in 0..<5 { query[i] = 0 }
    for negatives in [ComparisonPlan.Negatives.batch, .bothViews, .queue(6)] {
      for loss in [ComparisonPlan.Loss.crossEntropy(alpha: 1e6), .binaryCrossEntropy] {
        let found = try evaluate(
          Self.comparison(negatives, loss, 0.002), query: query, key: query, rows: 6, dimensions: 5)
        XCTAssert(found.loss.isFinite && found.loss >= 0, "\(negatives)")
        XCTAssert((found.query + found.key).allSatisfy(\.isFinite), "\(negatives)")
      }
    }
  }

  /// Views go in one behind the other, the oldest go, and a queue as small as the batch keeps the last view.
  func testTheQueueIsARing() throws {
    let (rows, dimensions) = (4, 3)
    let key = try unit(noise(2 * rows * dimensions, 1), dimensions)
    for count in [4, 8, 12] {
      let start = try unit(noise(count * dimensions, 2), dimensions)
      let after = try evaluate(
        Self.comparison(.queue(count)), query: noise(key.count, 3), key: key, rows: rows, dimensions: dimensions,
        queue: start
      ).queueAfter
      let view = rows * dimensions
      let wanted = count == 4 ? Array(key[view...]) : key + start[(2 * view)...]
      XCTAssertLessThan(distance(after, wanted), 1e-6, "\(count)")
    }
    let queue = KeyQueue(count: 8, dimensions: 3)
    queue.initialize(seed: 1)
    let first = queue.keys.array
    XCTAssertEqual(try unit(first, 3).count, 24)
    XCTAssertLessThan(distance(first, try unit(first, 3)), 1e-6)
    queue.initialize(seed: 2)
    XCTAssertNotEqual(queue.keys.array, first)
    for turn in 1...3 {
      queue.push(key, count: 4)
      XCTAssertEqual(queue.next, turn % 2 * 4)
    }
  }
}
