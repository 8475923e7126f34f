import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting

/// Rows that go to other ranks, and shuffled batch norm, which is made of them.
var shuffleCases: [MultiRankCase] {
  [
    MultiRankCase(name: "collectives: exchange sends each rank its rows and back") { try checkExchange($0) },
    MultiRankCase(name: "collectives: exchange refuses lengths that are not the plan's") { communicator in
      let plan = ExchangePlan(ranks: communicator.size)
      plan.addRow(to: communicator.rank)
      plan.addRow(from: communicator.rank)
      for (sent, received) in [(2, 3), (3, 2), (3, 4)] {
        let rows = [Float](repeating: 1, count: sent)
        var result = [Float](repeating: 0, count: received)
        let error = try expectThrows(CollectiveError.self) {
          try rows.withUnsafeBufferPointer { rows in
            try result.withUnsafeMutableBufferPointer {
              try communicator.exchange(rows, elements: 3, into: $0, plan: plan)
            }
          }
        }
        try expect(error.description.contains("the plan has 3 elements"), error.description)
      }
    },
    MultiRankCase(name: "methods: shuffled images stand at their places and projections come back") { communicator in
      try checkPlaces(communicator)
    },
    MultiRankCase(name: "methods: shuffled local batch norm is one rank's with shuffled ghosts", ranks: .atLeast(2)) {
      communicator in
      let alone = try communicator.split(color: communicator.rank, key: 0)
      let ours = replica(
        moco(shuffles: true), images: share(communicator), scope: try BatchNormScopes(.local, world: communicator),
        predictor: .none, world: communicator)
      let whole = replica(
        moco(shuffles: true), images: GlobalBatch.images,
        scope: try BatchNormScopes(.ghost(share(communicator)), world: alone), predictor: .none, world: alone)
      var found = try run(ours, steps: 1, ranks: [communicator.rank], of: communicator.size, communicator)
      let wanted = try run(whole, steps: 1, ranks: [0], of: 1, nil)
      for place in found.tensors.indices where found.tensors[place].name.contains("running") {
        try communicator.allReduce(&found.tensors[place].values, .sum)
        found.tensors[place].values = found.tensors[place].values.map { $0 / Float(communicator.size) }
      }
      try communicator.together {
        try expectSame(found, wanted, within: 2e-4, "shuffled")
        try expectNear(ours.queue!.keys.array, whole.queue!.keys.array, within: 2e-4, "the queue")
      }
      try expectSameOnAllRanks(ours.queue!.keys.array, communicator, "the queue")
    },
    MultiRankCase(name: "methods: shuffling takes a key from its query's company, and changes nothing in sync") {
      try checkCompany($0)
    },
  ]
}

private func row(_ values: [Float], _ row: Int, _ count: Int) -> [Float] {
  Array(values[row * count..<(row + 1) * count])
}

private func moco(shuffles: Bool) -> MethodPlan {
  MethodPlan(
    keys: .target, loss: .comparison(ComparisonPlan(negatives: .queue(72), temperature: 0.2)), shufflesKeys: shuffles)
}

/// Rank r sends (r + 2 s) % 3 rows to rank s; each number says where it is from and where it goes.
private func checkExchange(_ communicator: Communicator) throws {
  let (rank, size) = (communicator.rank, communicator.size)
  func count(_ from: Int, _ to: Int) -> Int { (from + 2 * to) % 3 }
  func row(_ from: Int, _ to: Int, _ index: Int) -> [Double] {
    (0..<5).map { Double(((from * 100 + to) * 100 + index) * 10 + $0) }
  }
  let plan = ExchangePlan(ranks: size)
  // A plan that was used before begins anew.
  plan.addRow(to: 0)
  for turn in 0..<2 {
    plan.clear()
    var (sent, wanted): ([Double], [Double]) = ([], [])
    for other in 0..<size {
      for index in 0..<count(rank, other) {
        plan.addRow(to: other)
        sent += row(rank, other, index + turn)
      }
      for index in 0..<count(other, rank) {
        plan.addRow(from: other)
        wanted += row(other, rank, index + turn)
      }
    }
    func exchange(_ rows: [Double], _ room: Int, reversed: Bool) throws -> [Double] {
      var result = [Double](repeating: -1, count: room)
      try rows.withUnsafeBufferPointer { rows in
        try result.withUnsafeMutableBufferPointer {
          try communicator.exchange(rows, elements: 5, into: $0, plan: plan, reversed: reversed)
        }
      }
      return result
    }
    let received = try exchange(sent, wanted.count, reversed: false)
    let back = try exchange(received, sent.count, reversed: true)
    try communicator.together {
      try expectEqual(received, wanted, "what came")
      try expectEqual(back, sent, "what came back")
    }
  }
}

private func checkPlaces(_ communicator: Communicator) throws {
  let (floats, dimensions, images) = (7, 11, share(communicator))
  let batch = GlobalBatch(floats: floats, seed: 1)
  func shuffle(seed: UInt64) -> KeyShuffle {
    let shuffle = KeyShuffle(
      images: images, imageFloats: floats, dimensions: dimensions, world: communicator, clock: PhaseClock())
    shuffle.seed = seed
    return shuffle
  }
  let ours = shuffle(seed: 4)
  let views = AlignedBuffer(batch.part([communicator.rank], of: communicator.size))
  var orders: [[Int32]] = []
  for step in [0, 1, 0] {
    let shown = array(try ours.scatter(views.pointer, step: step), views.count)
    orders.append(ours.order)
    try expectSameOnAllRanks(ours.order, communicator, "the order")
    try expectEqual(ours.order.sorted(), Array(0..<Int32(GlobalBatch.images)), "the order")
    let places = ours.order[communicator.rank * images..<(communicator.rank + 1) * images]
    var wanted: [Float] = []
    for view in 0..<2 {
      for image in places {
        wanted += row(batch.values, view * GlobalBatch.images + Int(image), floats)
      }
    }
    // What stands in for a projection: the first numbers of the image that it is of, and zeros.
    let stand = AlignedBuffer(count: 2 * images * dimensions)
    for row in 0..<2 * images {
      for f in 0..<floats { stand.pointer[row * dimensions + f] = shown[row * floats + f] }
    }
    let back = array(try ours.collect(stand.pointer), stand.count)
    withExtendedLifetime(stand) {}
    try communicator.together {
      try expectEqual(shown, wanted, "the images at step \(step)")
      for place in 0..<2 * images {
        try expectEqual(
          row(Array(back.enumerated().filter { $0.offset % dimensions < floats }.map(\.element)), place, floats),
          row(views.array, place, floats), "row \(place)")
      }
    }
  }
  try expect(orders[0] == orders[2] && orders[0] != orders[1], "the order is a function of the step")
  let other = shuffle(seed: 5)
  _ = try other.scatter(views.pointer, step: 0)
  try expect(other.order != orders[0], "the order is a function of the seed")
  withExtendedLifetime(views) {}
}

/// One image of rank 0 is changed. With local statistics and no shuffle the keys of rank 0 all feel it and nobody else's
/// does; shuffled, the keys that feel it are spread over the ranks, while the queries stay as they were.
private func checkCompany(_ communicator: Communicator) throws {
  let images = share(communicator)
  /// For each image of the batch whether its key, and its z, moved when image 0 was changed.
  func moved(_ scope: BatchNormScope, shuffles: Bool) throws -> (keys: [Bool], queries: [Bool], key: [Float]) {
    var results: [(key: [Float], query: [Float])] = []
    for change in [false, true] {
      let model = replica(
        moco(shuffles: shuffles), images: images, scope: try BatchNormScopes(scope, world: communicator),
        predictor: .none, world: communicator)
      let views = AlignedBuffer(
        GlobalBatch(floats: 12 * 12 * 3, seed: 3).part([communicator.rank], of: communicator.size))
      if change, communicator.rank == 0 { for i in 0..<12 * 12 * 3 { views.pointer[i] = 0.5 * views.pointer[i] + 1 } }
      _ = try model.step(views: views.pointer, globalBatch: GlobalBatch.images, index: 2)
      results.append((array(model.targetProjections!, images * 10), array(model.projections!, images * 10)))
      withExtendedLifetime((views, model)) {}
    }
    func rows(_ a: [Float], _ b: [Float]) throws -> [Bool] {
      let own = (0..<images).map { Int32(row(a, $0, 10) == row(b, $0, 10) ? 0 : 1) }
      return try communicator.allGather(own).flatMap { $0.map { $0 == 1 } }
    }
    return (
      try rows(results[0].key, results[1].key), try rows(results[0].query, results[1].query), results[0].key
    )
  }
  let company = Array(repeating: true, count: images)
  let apart = company + Array(repeating: false, count: GlobalBatch.images - images)
  let plain = try moved(.local, shuffles: false)
  let shuffled = try moved(.local, shuffles: true)
  try expectEqual(plain.keys, apart, "keys that feel it")
  try expectEqual(plain.queries, apart, "queries that feel it")
  try expectEqual(shuffled.queries, apart, "queries that feel it when keys are shuffled")
  try expectEqual(shuffled.keys.filter { $0 }.count, images, "as many keys feel it when shuffled")
  try expect(shuffled.keys[0], "the image's own key feels it")
  if communicator.size > 1 { try expect(shuffled.keys != apart, "the same keys feel it when shuffled") }
  let (sync, both) = (try moved(.sync, shuffles: false), try moved(.sync, shuffles: true))
  try expect(sync.key == both.key, "shuffling in sync scope changes keys")
}
