import Collectives
import Kernels
import Layers
import NetworkTesting

/// Which ranks of the world share batch-norm statistics, as the scope's words say, apart from the product's own code.
func groups(_ scope: BatchNormScope, size: Int) -> [[Int]] {
  switch scope {
  case .sync, .node: [Array(0..<size)]
  case .group(let ranks): stride(from: 0, to: size, by: ranks).map { Array($0..<min($0 + ranks, size)) }
  case .local, .ghost: (0..<size).map { [$0] }
  }
}

/// The scopes worth trying on a world: `node` is `sync` where all ranks run on one host, as under the test's mpirun.
func scopes(_ communicator: Communicator) throws -> [BatchNormScope] {
  let hosts = try communicator.allGather(Array(Communicator.host.utf8))
  let sizes = Set([1, 2, 3, communicator.size]).filter { $0 <= communicator.size }.sorted()
  return [.sync, .local] + (Set(hosts).count == 1 ? [.node] : []) + sizes.map { .group($0) }
}

/// A global batch of two views, [2 * images x floats], and the parts of it.
struct GlobalBatch {
  static let images = 24
  let floats: Int
  let values: [Float]

  init(floats: Int, seed: UInt64) {
    self.floats = floats
    // Each image has a level and a spread of its own, so that ranks' statistics differ as much as they can.
    var values: [Float] = []
    for image in 0..<2 * Self.images {
      let (scale, shift) = (0.5 + 0.4 * Double(image % 5), 0.3 * Double(image % 7) - 1)
      values += noise(floats, seed &* 1000 &+ UInt64(image), scale: scale, shift: shift)
    }
    self.values = values
  }

  /// Both views of the images of `ranks`, each the r-th contiguous share, view 0's first.
  func part(_ ranks: [Int], of size: Int) -> [Float] {
    let share = Self.images / size * floats
    var part: [Float] = []
    for view in 0..<2 {
      for rank in ranks {
        let first = view * Self.images * floats + rank * share
        part += values[first..<first + share]
      }
    }
    return part
  }
}

/// A rank's share of both views out of what one process computed for the rank's group.
private func slices(_ values: [Float], _ floats: Int, group: [Int], rank: Int, of size: Int) -> [Float] {
  let share = GlobalBatch.images / size * floats
  let place = group.firstIndex(of: rank)!
  return (0..<2).flatMap { view in
    let first = (view * group.count + place) * share
    return values[first..<first + share]
  }
}

private func batchNorm(
  _ kind: NormKind = .bn, channels: Int, rows: Int, images: Int, scope: BatchNormScopes
) -> LayerRig<any Normalization> {
  let rig: LayerRig<any Normalization> = LayerRig(views: 2, imagesPerView: images, scope: scope) { plan, context in
    kind.layer(
      "norm", channels: channels, rowsPerImage: rows, group: context.scopes.heads, plan: plan, context: context)
  }
  rig.store.perturb(3)
  return rig
}

private func check(
  _ kind: NormKind, _ scope: BatchNormScope, _ views: ViewNormalization, channels: Int, rows: Int,
  _ communicator: Communicator
) throws {
  let (size, rank) = (communicator.size, communicator.rank)
  let floats = channels * rows
  let x = GlobalBatch(floats: floats, seed: 1)
  let dy = GlobalBatch(floats: floats, seed: 2)
  let what = "\(kind), \(scope), views \(views), \(channels) channels"
  let rig = batchNorm(
    kind, channels: channels, rows: rows, images: GlobalBatch.images / size,
    scope: try BatchNormScopes(scope, views: views, world: communicator))
  let own = try rig.pass(
    x.part([rank], of: size), outputGradient: dy.part([rank], of: size), relu: .recomputed)
  var gradients = rig.store.gradients.array
  try communicator.allReduce(&gradients, .sum)
  // A rank that differs alone must not leave the others waiting in the next scope's collectives.
  try communicator.together {
    var wantedGradients = [Double](repeating: 0, count: gradients.count)
    for group in groups(scope, size: size) {
      let alone = batchNorm(
        kind, channels: channels, rows: rows, images: GlobalBatch.images / size * group.count,
        scope: BatchNormScopes(local: views))
      let pass = try alone.pass(
        x.part(group, of: size), outputGradient: dy.part(group, of: size), relu: .recomputed)
      for i in 0..<gradients.count { wantedGradients[i] += Double(alone.store.gradients.pointer[i]) }
      guard group.contains(rank) else { continue }
      let output = slices(pass.output, floats, group: group, rank: rank, of: size)
      let inputGradient = slices(pass.inputGradient, floats, group: group, rank: rank, of: size)
      try expectNear(own.output, output, within: 1e-6, "\(what): output")
      try expectNear(own.inputGradient, inputGradient, within: 2e-6, "\(what): input gradient")
      try expectNear(rig.store.running.array, alone.store.running.array, within: 1e-6, "\(what): running statistics")
    }
    try expectNear(gradients, wantedGradients.map { Float($0) }, within: 2e-6, "\(what): parameters' gradients")
  }
}

/// Fails where the largest difference, relative to the largest wanted magnitude or `scale`, is past the tolerance.
func expectNear(
  _ found: [Float], _ wanted: [Float], within tolerance: Double, scale: Double = 0, _ what: @autoclosure () -> String,
  file: StaticString = #fileID, line: UInt = #line
) throws {
  let off = distance(found, wanted, scale: scale)
  try expect(off <= tolerance, "\(what()) is off by \(off)", file: file, line: line)
}

var layersCases: [MultiRankCase] {
  [
    MultiRankCase(name: "layers: batch norm of every scope is one process's over the scope's images") { communicator in
      for scope in try scopes(communicator) {
        for (channels, rows) in [(10, 4), (16, 1), (3, 5)] {
          for views in ViewNormalization.allCases {
            try check(.bn, scope, views, channels: channels, rows: rows, communicator)
          }
        }
      }
    },
    MultiRankCase(name: "layers: batch renormalisation of every scope is one process's over the scope's images") {
      communicator in
      for scope in try scopes(communicator) {
        for views in ViewNormalization.allCases {
          try check(.brn, scope, views, channels: 10, rows: 4, communicator)
        }
      }
    },
    MultiRankCase(name: "layers: joint views in local scope are one rank's joint ghosts") { communicator in
      let share = GlobalBatch.images / communicator.size
      func joint(_ scope: BatchNormScope, _ images: Int, _ world: Communicator) throws -> LayerRig<any Normalization> {
        batchNorm(
          channels: 9, rows: 2, images: images, scope: try BatchNormScopes(scope, views: .joint, world: world))
      }
      let (x, dy) = (GlobalBatch(floats: 18, seed: 1), GlobalBatch(floats: 18, seed: 2))
      func part(_ batch: GlobalBatch) -> [Float] { batch.part([communicator.rank], of: communicator.size) }
      let own = try joint(.local, share, communicator).pass(part(x), outputGradient: part(dy), relu: .recomputed)
      let alone = try joint(.ghost(share), GlobalBatch.images, .start())
      let whole = try alone.pass(x.values, outputGradient: dy.values, relu: .recomputed)
      let all = Array(0..<communicator.size)
      func slice(_ values: [Float]) -> [Float] {
        slices(values, 18, group: all, rank: communicator.rank, of: communicator.size)
      }
      try communicator.together {
        try expectNear(own.output, slice(whole.output), within: 1e-6, "output")
        try expectNear(own.inputGradient, slice(whole.inputGradient), within: 2e-6, "input gradient")
      }
    },
    MultiRankCase(name: "layers: replicas of sync batch norm keep the same running bits") { communicator in
      let rig = batchNorm(
        channels: 12, rows: 3, images: GlobalBatch.images / communicator.size,
        scope: try BatchNormScopes(.sync, world: communicator))
      for step in 0..<3 {
        let x = GlobalBatch(floats: 36, seed: UInt64(step)).part([communicator.rank], of: communicator.size)
        _ = try rig.forward(x, images: rig.context.layout.images)
      }
      try expectSameOnAllRanks(rig.store.running.array, communicator, "running statistics")
      try expect(rig.store.running.array[0] != 0, "the running mean did not move")
    },
    MultiRankCase(name: "layers: sync batch norm's backward against central differences over all ranks") {
      communicator in
      for views in ViewNormalization.allCases { try checkDifferences(views, communicator) }
    },
    MultiRankCase(name: "layers: whether a scope is narrower than the world") { communicator in
      let size = communicator.size
      func narrow(_ scope: BatchNormScope) throws -> Bool {
        try BatchNormGroup(scope, world: communicator).isNarrowerThanWorld
      }
      try expectEqual(try narrow(.sync), false, "sync")
      try expectEqual(try narrow(.local), size > 1, "local")
      try expectEqual(try narrow(.ghost(2)), size > 1, "ghost")
      try expectEqual(try narrow(.group(size)), false, "a group of all")
      if size > 1 { try expectEqual(try narrow(.group(1)), true, "groups of one") }
      if size > 2 { try expectEqual(try narrow(.group(2)), true, "groups of two") }
      let group = try BatchNormGroup(.group(3), world: communicator)
      try expectEqual(group.ranks, min(3, size - communicator.rank / 3 * 3), "ranks of a group of three")
    },
  ]
}

/// The loss is a sum over all ranks; a move of one rank's input changes the others' outputs through the statistics.
private func checkDifferences(_ views: ViewNormalization, _ communicator: Communicator) throws {
  let (size, rank) = (communicator.size, communicator.rank)
  let rig = batchNorm(
    channels: 10, rows: 3, images: GlobalBatch.images / size,
    scope: try BatchNormScopes(.sync, views: views, world: communicator))
  let x = GlobalBatch(floats: 30, seed: 1).part([rank], of: size)
  let dy = GlobalBatch(floats: 30, seed: 2).part([rank], of: size)
  func total(_ a: [Float], _ b: [Float]) throws -> Double {
    try communicator.allReduce(zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }, .sum)
  }
  func loss(_ x: [Float]) throws -> Double { try total(try rig.pass(x, outputGradient: dy).output, dy) }
  let gradient = try rig.pass(x, outputGradient: dy).inputGradient
  let length = try total(gradient, gradient).squareRoot()
  let last = rank == size - 1
  let directions = [
    gradient.map { $0 / Float(length) * 30 }, noise(x.count, UInt64(rank) + 7),
    x.indices.map { last ? noise(1, UInt64($0))[0] : 0 },
  ]
  for (place, direction) in directions.enumerated() {
    let up = try loss(zip(x, direction).map { $0 + 1e-3 * $1 })
    let down = try loss(zip(x, direction).map { $0 - 1e-3 * $1 })
    let slope = (up - down) / 2e-3
    let wanted = try total(gradient, direction)
    try expect(
      abs(slope - wanted) <= 0.01 * max(length, abs(wanted)),
      "views \(views), direction \(place): \(slope), not \(wanted)")
  }
}
