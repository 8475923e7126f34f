import Kernels
import Layers
import NetworkTesting
import XCTest

/// Normalisations against PyTorch's results.
final class NormTests: XCTestCase {
  /// Two training passes and one in evaluation phase: statistics, outputs, all gradients and the running statistics.
  func testBatchNormOneAndTwoDimensions() throws {
    for (name, relu) in [
      ("batch_norm_1d", false), ("batch_norm_1d_relu", true), ("batch_norm_2d", false), ("batch_norm_2d_relu", true),
    ] {
      for source in [LayerRig<any Normalization>.MaskSource.output, .recomputed] {
        try checkBatchNorm(try fixture(name), name, relu: relu ? source : nil)
      }
    }
  }

  private func checkBatchNorm(
    _ fixture: Fixture, _ name: String, relu: LayerRig<any Normalization>.MaskSource?
  ) throws {
    try checkTwoPasses(fixture, name, relu: relu) { shape in
      normRig(.bn, channels: shape[1], rowsPerImage: shape.dropFirst(2).reduce(1, *), imagesPerView: shape[0])
    }
  }

  private func checkTwoPasses(
    _ fixture: Fixture, _ name: String, relu: LayerRig<any Normalization>.MaskSource?,
    _ make: ([Int]) throws -> LayerRig<any Normalization>
  ) throws {
    let shape = try fixture.tensor("eval.input").shape
    let rig = try make(shape)
    try fixture.load(rig.store) { $0.tail }
    for step in 0..<2 {
      func tensor(_ key: String) throws -> [Float] { try fixture.tensor("step\(step).\(key)").channelsLast }
      let pass = try rig.pass(try tensor("input"), outputGradient: try tensor("output_gradient"), relu: relu)
      assertClose(pass.output, try tensor("output"), within: 1e-6, "\(name) output")
      assertClose(pass.inputGradient, try tensor("input_gradient"), within: 2e-6, "\(name) input gradient")
      try assertGradients(rig.store, fixture, within: 1e-6, name) { "step\(step).\($0.tail)_gradient" }
      try assertBuffers(rig.store, fixture, within: 1e-6, name) { "step\(step).\($0.tail)" }
    }
    rig.context.phase = .evaluation
    let output = try rig.forward(
      try fixture.tensor("eval.input").channelsLast, images: shape[0], relu: false)
    assertClose(output, try fixture.tensor("eval.output").channelsLast, within: 1e-6, "\(name) in evaluation phase")
    try assertBuffers(rig.store, fixture, within: 1e-6, "\(name) after evaluation") { "step1.\($0.tail)" }
  }

  /// Fewer images than planned may pass in evaluation phase, each by itself.
  func testEvaluationTakesAnyNumberOfImages() throws {
    let rig = normRig(.bn, channels: 10, rowsPerImage: 3, views: 2, imagesPerView: 4)
    rig.store.perturb(1)
    _ = try rig.forward(noise(8 * 30, 2), images: 8)
    rig.context.phase = .evaluation
    let x = noise(8 * 30, 3)
    let all = try rig.forward(x, images: 8)
    let some = try rig.forward(Array(x[..<90]), images: 3)
    XCTAssertEqual(Array(all[..<90]), some)
  }

  func testGhostBatchNorm() throws {
    let fixture = try fixture("batch_norm_ghost")
    let rig = normRig(.bn, channels: 5, rowsPerImage: 6, imagesPerView: 12, scope: try ghosts(4))
    try fixture.load(rig.store) { $0.contains("running") ? "absent" : $0.tail }
    let pass = try rig.pass(
      try fixture.tensor("input").channelsLast, outputGradient: try fixture.tensor("output_gradient").channelsLast)
    assertClose(pass.output, try fixture.tensor("output").channelsLast, within: 1e-6, "output")
    assertClose(pass.inputGradient, try fixture.tensor("input_gradient").channelsLast, within: 2e-6, "input gradient")
    try assertGradients(rig.store, fixture, within: 1e-6, "ghosts") { "\($0.tail)_gradient" }
    try assertBuffers(rig.store, fixture, within: 1e-6, "ghosts") { $0.tail }
  }

  /// Each view is normalised by itself: two views in one pass are two passes, running statistics included.
  func testViewsAreNormalisedByThemselves() throws {
    let (images, channels, rows) = (6, 12, 5)
    let half = images * channels * rows
    let x = noise(half, 4) + noise(half, 5, scale: 3, shift: -2)
    let dy = noise(2 * half, 6)
    let both = normRig(.bn, channels: channels, rowsPerImage: rows, views: 2, imagesPerView: images)
    let alone = normRig(.bn, channels: channels, rowsPerImage: rows, imagesPerView: images)
    both.store.perturb(7)
    alone.store.perturb(7)
    let pass = try both.pass(x, outputGradient: dy, relu: .recomputed)
    var gradients = [Float](repeating: 0, count: 32)
    for view in 0..<2 {
      let range = view * half..<(view + 1) * half
      let own = try alone.pass(Array(x[range]), outputGradient: Array(dy[range]), relu: .recomputed)
      assertClose(Array(pass.output[range]), own.output, within: 1e-6, "view \(view)")
      assertClose(Array(pass.inputGradient[range]), own.inputGradient, within: 1e-6, "gradient of view \(view)")
      for i in 0..<32 { gradients[i] += alone.store.gradients.pointer[i] }
    }
    assertClose(both.store.gradients.array, gradients, within: 1e-6, "parameters' gradients")
    XCTAssertEqual(both.store.running.array, alone.store.running.array)
  }

  /// Joint views are one batch of twice the images: PyTorch's over all of them.
  func testJointViewsAreOneBatch() throws {
    for name in ["batch_norm_1d", "batch_norm_2d_relu"] {
      let fixture = try fixture(name)
      try checkTwoPasses(fixture, name, relu: name.hasSuffix("relu") ? .recomputed : nil) { shape in
        normRig(
          .bn, channels: shape[1], rowsPerImage: shape.dropFirst(2).reduce(1, *), views: 2, imagesPerView: shape[0] / 2,
          scope: BatchNormScopes(local: .joint))
      }
    }
  }

  /// A ghost of joint views is N images with all their views, which lie apart in the pass.
  func testJointGhostsHoldBothViewsOfTheirImages() throws {
    for kind in [NormKind.bn, .brn] {
      let floats = 3 * 5
      let (x, dy) = (noise(12 * floats, 1, scale: 2, shift: 1), noise(12 * floats, 2))
      let both = normRig(
        kind, channels: 5, rowsPerImage: 3, views: 2, imagesPerView: 6, scope: try ghosts(2, views: .joint))
      both.store.perturb(3)
      let pass = try both.pass(x, outputGradient: dy, relu: .recomputed)
      var gradients = [Float](repeating: 0, count: 32)
      for ghost in 0..<3 {
        func part(_ values: [Float]) -> [Float] {
          var part: [Float] = []
          for view in 0..<2 {
            let first = (6 * view + 2 * ghost) * floats
            part += values[first..<first + 2 * floats]
          }
          return part
        }
        let alone = normRig(kind, channels: 5, rowsPerImage: 3, imagesPerView: 4)
        alone.store.perturb(3)
        let own = try alone.pass(part(x), outputGradient: part(dy), relu: .recomputed)
        assertClose(part(pass.output), own.output, within: 1e-6, "\(kind), ghost \(ghost)")
        assertClose(part(pass.inputGradient), own.inputGradient, within: 2e-6, "\(kind), gradient of ghost \(ghost)")
        for i in 0..<32 { gradients[i] += alone.store.gradients.pointer[i] }
      }
      assertClose(both.store.gradients.array, gradients, within: 1e-6, "\(kind), parameters' gradients")
    }
  }

  /// Ioffe (2017), with limits that clip some of r and d and not others, from running statistics that have moved.
  func testBatchRenorm() throws {
    for (name, relu) in [("batch_renorm_1d", false), ("batch_renorm_2d_relu", true)] {
      let fixture = try fixture(name)
      for source in [LayerRig<any Normalization>.MaskSource.output, .recomputed] {
        try checkTwoPasses(fixture, name, relu: relu ? source : nil) { shape in
          let rig = normRig(
            .brn, channels: shape[1], rowsPerImage: shape.dropFirst(2).reduce(1, *), imagesPerView: shape[0],
            scope: try BatchNormScopes(
              encoder: .local, heads: .local, renorm: BatchRenormLimits(ratio: 1.2, offset: 0.3, momentum: 0.25),
              world: .start()))
          for buffer in rig.store.buffers {
            let start = try fixture.tensor("start." + buffer.name.tail).values
            (rig.store.running.pointer + buffer.offset).update(from: start, count: buffer.count)
          }
          return rig
        }
      }
    }
  }

  /// With r_max 1 and d_max 0 it is batch norm, but for its running statistics.
  func testBatchRenormWithoutCorrectionIsBatchNorm() throws {
    let limits = BatchRenormLimits(ratio: 1, offset: 0)
    let scopes = try BatchNormScopes(encoder: .ghost(3), heads: .ghost(3), renorm: limits, world: .start())
    var passes: [Pass] = []
    for kind in [NormKind.bn, .brn] {
      let rig = normRig(kind, channels: 10, rowsPerImage: 4, views: 2, imagesPerView: 6, scope: scopes)
      rig.store.perturb(1)
      passes.append(try rig.pass(noise(480, 1, scale: 3, shift: 2), outputGradient: noise(480, 2), relu: .recomputed))
    }
    assertClose(passes[1].output, passes[0].output, within: 1e-6, "output")
    assertClose(passes[1].inputGradient, passes[0].inputGradient, within: 1e-6, "input gradient")
    limits.ratio = 3
    limits.offset = 5
    let rig = normRig(.brn, channels: 10, rowsPerImage: 4, views: 2, imagesPerView: 6, scope: scopes)
    let corrected = try rig.forward(noise(480, 1, scale: 3, shift: 2), images: 12)
    XCTAssertGreaterThan(distance(corrected, passes[0].output), 0.5, "limits that are raised later have no effect")
  }

  func testLayerNorm() throws {
    try checkPlain(try fixture("layer_norm"), "layer_norm") { _ in
      normRig(.ln, channels: 13, rowsPerImage: 1, imagesPerView: 7)
    }
  }

  func testGroupNorm() throws {
    for (channels, groups) in [(8, 4), (6, 3), (8, 1)] {
      let name = "group_norm_\(channels)_\(groups)"
      for threads in [1, 2] {
        try checkPlain(try fixture(name), name) { shape in
          LayerRig(imagesPerView: shape[0], threads: threads) { plan, context in
            GroupNorm(
              "norm", groups: groups, channels: channels, rowsPerImage: 15, plan: plan, context: context)
          }
        }
      }
    }
  }

  private func checkPlain(
    _ fixture: Fixture, _ name: String, make: ([Int]) -> LayerRig<any Normalization>
  ) throws {
    let input = try fixture.tensor("input")
    let rig = make(input.shape)
    try fixture.load(rig.store) { $0.tail }
    let pass = try rig.pass(
      input.channelsLast, outputGradient: try fixture.tensor("output_gradient").channelsLast)
    assertClose(pass.output, try fixture.tensor("output").channelsLast, within: 1e-6, "\(name) output")
    assertClose(
      pass.inputGradient, try fixture.tensor("input_gradient").channelsLast, within: 2e-6, "\(name) input gradient")
    try assertGradients(rig.store, fixture, within: 1e-6, name) { "\($0.tail)_gradient" }
  }

  /// A group of one number would be normalised to zero, whatever it was.
  func testGroupsHoldSeveralChannels() {
    for channels in [2, 4, 8, 16, 24, 32, 48, 64, 128, 512] {
      let groups = GroupNorm.groups(channels)
      XCTAssertEqual(channels % groups, 0)
      XCTAssertGreaterThanOrEqual(channels / groups, 2, "\(channels) channels")
      XCTAssertLessThanOrEqual(groups, 32)
    }
    XCTAssertEqual(GroupNorm.groups(64), 32)
    XCTAssertEqual(GroupNorm.groups(512), 32)
    XCTAssertEqual(GroupNorm.groups(7), 1)
  }

  /// Backward against central differences, for each norm, scope, mask and shortcut, with channels beyond whole vectors.
  func testBackwardAgainstCentralDifferences() throws {
    let scopes: [(NormKind, BatchNormScopes, String)] = [
      (.bn, .local, "local"), (.bn, try BatchNormScopes(.sync, world: .start()), "sync"),
      (.brn, try clippedRenorm(.apart), "brn"), (.brn, try clippedRenorm(.joint), "joint brn"),
      (.bn, try ghosts(3), "ghost:3"), (.bn, try ghosts(3, views: .joint), "joint ghost:3"),
      (.ln, .local, "ln"), (.gn, .local, "gn"), (.none, .local, "none"),
    ]
    for (kind, scope, name) in scopes {
      for channels in [4, 10, 12] {
        for (relu, adds) in [(false, false), (true, false), (true, true)] {
          try checkDifferences(
            kind, scope, channels: channels, relu: relu, adds: adds, "\(name), \(channels) channels, \(relu) \(adds)")
        }
      }
    }
  }

  private func clippedRenorm(_ views: ViewNormalization) throws -> BatchNormScopes {
    try BatchNormScopes(
      encoder: .ghost(3), heads: .ghost(3), views: views,
      renorm: BatchRenormLimits(ratio: 1.5, offset: 0.7, momentum: 0), world: .start())
  }

  /// Draws inputs until no ReLU switches between the two ends of a difference: there the slope is no gradient.
  private func checkDifferences(
    _ kind: NormKind, _ scope: BatchNormScopes, channels: Int, relu: Bool, adds: Bool, _ what: String
  ) throws {
    let rig = normRig(kind, channels: channels, rowsPerImage: 4, views: 2, imagesPerView: 6, scope: scope)
    rig.store.perturb(1)
    if kind == .brn {
      // So far off that r and d are at their limits, constants as the gradient has them.
      for buffer in rig.store.buffers {
        let value: Float = buffer.name.hasSuffix("std") ? 0.01 : -100
        (rig.store.running.pointer + buffer.offset).update(repeating: value, count: buffer.count)
      }
    }
    let parameters = kind == .none ? 1 : 2
    var compared = 0
    for seed in 0..<100 where compared < 2 + parameters {
      compared += try compare(
        rig, Differences(channels: channels, relu: relu, adds: adds, seed: UInt64(seed) * 10), what)
    }
    XCTAssertGreaterThanOrEqual(compared, 2 + parameters, "\(what): every draw had a ReLU near zero")
  }

  private struct Differences {
    let x, shortcut, dy, direction: [Float]
    let relu, adds: Bool

    init(channels: Int, relu: Bool, adds: Bool, seed: UInt64) {
      let count = 12 * 4 * channels
      x = noise(count, seed, scale: 1.5, shift: 0.5)
      shortcut = noise(count, seed + 1)
      dy = noise(count, seed + 2)
      direction = noise(count, seed + 3)
      (self.relu, self.adds) = (relu, adds)
    }

    func pass(_ rig: LayerRig<any Normalization>, _ x: [Float]) throws -> Pass {
      try rig.pass(
        x, outputGradient: dy, residual: adds ? shortcut : nil, relu: relu ? (adds ? .output : .recomputed) : nil)
    }

    /// The slope between two outputs; nil where a ReLU switched.
    func slope(_ up: [Float], _ down: [Float], step: Double) -> Double? {
      if relu, zip(up, down).contains(where: { ($0 > 0) != ($1 > 0) }) { return nil }
      return (product(up, dy) - product(down, dy)) / (2 * step)
    }
  }

  /// Compares along a random direction, along the input's gradient and along the parameters'; in a gradient's own
  /// direction an error of any element shows.
  /// - Returns: how many comparisons could be made.
  private func compare(_ rig: LayerRig<any Normalization>, _ draw: Differences, _ what: String) throws -> Int {
    let pass = try draw.pass(rig, draw.x)
    let gradients = rig.store.gradients.array
    let size = product(pass.inputGradient, pass.inputGradient).squareRoot()
    var compared = 0
    let along = pass.inputGradient.map { $0 / Float(size) * Float(draw.x.count).squareRoot() }
    for direction in [draw.direction, along] {
      let step: Float = 1e-3
      let up = try draw.pass(rig, zip(draw.x, direction).map { $0 + step * $1 }).output
      let down = try draw.pass(rig, zip(draw.x, direction).map { $0 - step * $1 }).output
      guard let slope = draw.slope(up, down, step: Double(step)) else { continue }
      let wanted = product(pass.inputGradient, direction)
      XCTAssertEqual(slope, wanted, accuracy: 0.01 * max(size, abs(wanted)), "\(what), input")
      compared += 1
    }
    let length = product(gradients, gradients).squareRoot()
    guard length > 0 else { return compared }
    let values = rig.store.values
    let before = values.array
    let step = 2e-3
    func moved(_ sign: Double) throws -> [Float] {
      for i in 0..<before.count {
        values.pointer[i] = before[i] + Float(sign * step / length * Double(gradients[i]))
      }
      return try draw.pass(rig, draw.x).output
    }
    let (up, down) = (try moved(1), try moved(-1))
    values.pointer.update(from: before, count: before.count)
    if let slope = draw.slope(up, down, step: step) {
      XCTAssertEqual(slope, length, accuracy: 0.01 * length, "\(what), parameters")
      compared += 1
    }
    return compared
  }

  /// Work is cut among threads without changing more than rounding.
  func testThreadCountsAgree() throws {
    for kind in [NormKind.bn, .brn, .ln, .gn, .none] {
      var first: Pass?
      var gradients: [Float] = []
      for threads in 1...3 {
        let rig = normRig(
          kind, channels: 12, rowsPerImage: 11, views: 2, imagesPerView: 5, scope: .local, threads: threads)
        rig.store.perturb(3)
        let pass = try rig.pass(noise(1320, 1), outputGradient: noise(1320, 2), relu: .recomputed)
        if let first {
          assertClose(pass.output, first.output, within: 1e-6, "\(kind) on \(threads) threads")
          assertClose(pass.inputGradient, first.inputGradient, within: 2e-6, "\(kind) on \(threads) threads, gradient")
          assertClose(rig.store.gradients.array, gradients, within: 2e-6, "\(kind) on \(threads) threads, parameters")
        } else {
          first = pass
          gradients = rig.store.gradients.array
        }
      }
    }
  }
}
