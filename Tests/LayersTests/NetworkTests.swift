import Kernels
import Layers
import NetworkTesting
import XCTest

/// Blocks, heads and whole encoders against PyTorch's results in float64.
final class NetworkTests: XCTestCase {
  func testBlocks() throws {
    for (name, bottleneck, stride) in [
      ("basic_block", false, 1), ("basic_block_down", false, 2), ("basic_block_standardized", false, 2),
      ("bottleneck", true, 1), ("bottleneck_down", true, 2),
    ] {
      for threads in 1...3 {
        try checkBlock(try fixture(name), name, bottleneck: bottleneck, stride: stride, threads: threads)
      }
    }
  }

  private func checkBlock(_ fixture: Fixture, _ name: String, bottleneck: Bool, stride: Int, threads: Int) throws {
    let input = try fixture.tensor("input")
    let channels = try fixture.tensor("weights.conv1.weight").shape[0]
    func rig(keeps: Bool) throws -> LayerRig<ResidualBlock> {
      let rig = LayerRig(imagesPerView: input.shape[0], threads: threads, keepsActivations: keeps) { plan, context in
        ResidualBlock(
          "block", bottleneck: bottleneck, height: input.shape[2], width: input.shape[3],
          inputChannels: input.shape[1], channels: channels, stride: stride, norm: .bn,
          standardized: name.hasSuffix("standardized"), plan: plan, context: context)
      }
      try fixture.load(rig.store) { "weights.\($0.tail)" }
      return rig
    }
    let trained = try rig(keeps: true)
    let pass = try trained.pass(
      input.channelsLast, outputGradient: try fixture.tensor("output_gradient").channelsLast)
    let wanted = try fixture.tensor("output").channelsLast
    assertClose(pass.output, wanted, within: 5e-6, "\(name) output")
    assertClose(
      pass.inputGradient, try fixture.tensor("input_gradient").channelsLast, within: 1e-5, "\(name) input gradient")
    try assertGradients(trained.store, fixture, within: 1e-5, name) { "gradient.\($0.tail)" }
    try assertBuffers(trained.store, fixture, within: 5e-6, name) { "after.\($0.tail)" }
    trained.context.phase = .evaluation
    assertClose(
      try trained.forward(input.channelsLast, images: input.shape[0]), try fixture.tensor("eval_output").channelsLast,
      within: 5e-6, "\(name) in evaluation phase")
    assertClose(
      try rig(keeps: false).forward(input.channelsLast, images: input.shape[0]), wanted, within: 5e-6,
      "\(name) that keeps nothing")
  }

  func testHeads() throws {
    for (name, norm) in [
      ("bn", NormKind.bn), ("brn", .brn), ("ln", .ln), ("gn", .gn), ("none", .none), ("standardized", .ln),
    ] {
      let fixture = try fixture("mlp_\(name)")
      for threads in 1...3 {
        let rig = LayerRig(imagesPerView: 6, threads: threads) { plan, context in
          MLP(
            "head", inputs: 8, hidden: 16, outputs: 8, norm: norm, standardized: name == "standardized", plan: plan,
            context: context)
        }
        try fixture.load(rig.store) { "weights.\($0.tail)" }
        let input = try fixture.tensor("input").values
        let pass = try rig.pass(input, outputGradient: try fixture.tensor("output_gradient").values)
        assertClose(pass.output, try fixture.tensor("output").values, within: 5e-6, "\(norm) output")
        // One group of the fixture, two numbers, lies 106 deviations from zero: to round what is normalised to Float, and to do
        // all else in double, moves this gradient by 6.3e-6.
        assertClose(
          pass.inputGradient, try fixture.tensor("input_gradient").values, within: norm == .gn ? 1e-5 : 5e-6,
          "\(norm) input gradient")
        try assertGradients(rig.store, fixture, within: 5e-5, "\(norm)") { "gradient.\($0.tail)" }
        try assertBuffers(rig.store, fixture, within: 5e-6, "\(norm)") { "after.\($0.tail)" }
        rig.context.phase = .evaluation
        assertClose(
          try rig.forward(input, images: 6), try fixture.tensor("eval_output").values, within: 5e-6,
          "\(norm) in evaluation phase")
      }
    }
  }

  private static let encoders: [(String, EncoderKind, Stem, Int, Double)] = [
    ("resnet10_cifar", .resnet10, .cifar, 2, 5e-5), ("resnet10_small", .resnet10, .small, 2, 5e-5),
    ("resnet10_imagenet", .resnet10, .imagenet, 2, 5e-5), ("resnet10_cifar_width4", .resnet10, .cifar, 4, 5e-5),
    ("resnet10_falling_stem", .resnet10, .imagenet, 4, 5e-5), ("resnet18_cifar", .resnet18, .cifar, 2, 5e-5),
    ("resnet50_cifar", .resnet50, .cifar, 2, 5e-4),
  ]

  private func rig(
    _ fixture: Fixture, _ kind: EncoderKind, _ stem: Stem, _ width: Int, threads: Int = 1, keeps: Bool = true
  ) throws -> LayerRig<ResNet> {
    let input = try fixture.tensor("input").shape
    let shape = EncoderShape(kind: kind, width: width, stem: stem, imageSize: input[2], norm: .bn)
    let rig = LayerRig(imagesPerView: input[0], threads: threads, keepsActivations: keeps) { plan, context in
      ResNet("", shape: shape, plan: plan, context: context)
    }
    try fixture.load(rig.store) { "weights.\($0)" }
    return rig
  }

  func testEncoders() throws {
    for (name, kind, stem, width, tolerance) in Self.encoders {
      let fixture = try fixture(name)
      let input = try fixture.tensor("input")
      let wanted = try fixture.tensor("features").values
      for threads in 1...3 {
        let trained = try rig(fixture, kind, stem, width, threads: threads)
        let features = try trained.pass(
          input.channelsLast, outputGradient: try fixture.tensor("features_gradient").values)
        assertClose(features, wanted, within: tolerance, "\(name) features")
        try assertGradients(trained.store, fixture, within: tolerance, name) { "gradient.\($0)" }
        try assertBuffers(trained.store, fixture, within: tolerance, name) { "after.\($0)" }
        trained.context.phase = .evaluation
        assertClose(
          try trained.forward(input.channelsLast, images: input.shape[0]), try fixture.tensor("eval_features").values,
          within: tolerance, "\(name) in evaluation phase")
      }
      let lean = try rig(fixture, kind, stem, width, keeps: false)
      assertClose(
        try lean.forward(input.channelsLast, images: input.shape[0]), wanted, within: tolerance,
        "\(name) that keeps nothing")
    }
  }

  /// A network that keeps nothing shares its maps with one that does; neither disturbs the other.
  func testNetworksThatShareMapsGiveTheSameBits() throws {
    for (name, kind, stem, width, _) in Self.encoders {
      let fixture = try fixture(name)
      let input = AlignedBuffer(try fixture.tensor("input").channelsLast)
      let images = try fixture.tensor("input").shape[0]
      let gradient = AlignedBuffer(try fixture.tensor("features_gradient").values)
      let alone = try rig(fixture, kind, stem, width)
      let wanted = try alone.pass(input.array, outputGradient: gradient.array)
      let (team, scratch, maps) = (ThreadTeam(threads: 1), Scratch(), SharedMaps())
      func make(keeps: Bool) throws -> (ResNet, ParameterStore) {
        let context = NetworkContext(
          team: team, scratch: scratch, maps: maps, layout: alone.context.layout, scope: .local, keepsActivations: keeps
        )
        let plan = ParameterPlan()
        let net = ResNet("", shape: alone.layer.shape, plan: plan, context: context)
        let store = ParameterStore(plan, trained: keeps)
        try fixture.load(store) { "weights.\($0)" }
        return (net, store)
      }
      let (online, store) = try make(keeps: true)
      let (target, targetStore) = try make(keeps: false)
      let own = array(
        try online.forward(input.pointer, images: images, weights: store.weights), wanted.count)
      let others = array(
        try target.forward(input.pointer, images: images, weights: targetStore.weights), wanted.count)
      try online.backward(gradient.pointer, images: images, weights: store.weights)
      XCTAssertEqual(own, wanted, name)
      XCTAssertEqual(others, wanted, name)
      XCTAssertEqual(targetStore.running.array, store.running.array, name)
      XCTAssertEqual(store.gradients.array, alone.store.gradients.array, name)
      withExtendedLifetime((input, gradient, store, targetStore)) {}
    }
  }

  /// In evaluation phase an image's features do not depend on what else is in the pass.
  func testEvaluationOfFewerImages() throws {
    for (name, kind, stem, width, _) in Self.encoders {
      let fixture = try fixture(name)
      let rig = try rig(fixture, kind, stem, width)
      rig.context.phase = .evaluation
      let input = try fixture.tensor("input")
      let image = input.channelsLast.count / input.shape[0]
      let all = try rig.forward(input.channelsLast, images: input.shape[0])
      let two = try rig.forward(Array(input.channelsLast[image..<3 * image]), images: 2)
      assertClose(two, Array(all[rig.layer.shape.features..<3 * rig.layer.shape.features]), within: 1e-6, name)
    }
  }

  /// The gradient offsets told during the backward pass fall to 0 and cover what is complete.
  func testGradientsReadyGoesFromTheEndToTheStart() throws {
    let fixture = try fixture("resnet18_cifar")
    let rig = try rig(fixture, .resnet18, .cifar, 2)
    let input = try fixture.tensor("input").channelsLast
    let gradient = try fixture.tensor("features_gradient").values
    _ = try rig.pass(input, outputGradient: gradient)
    let whole = rig.store.gradients.array
    rig.store.gradients.pointer.update(repeating: .nan, count: whole.count)
    let starts = Set(rig.store.parameters.map(\.offset))
    var told: [Int] = []
    var complete = true
    rig.context.gradientsReady = { offset in
      told.append(offset)
      for parameter in rig.store.parameters where parameter.offset >= offset {
        let range = parameter.offset..<parameter.offset + parameter.count
        for i in range where rig.store.gradients.pointer[i] != whole[i] { complete = false }
      }
    }
    _ = try rig.pass(input, outputGradient: gradient)
    XCTAssert(complete, "an offset was told before all gradients behind it were there")
    XCTAssertEqual(told, told.sorted(by: >))
    XCTAssertEqual(told.last, 0)
    XCTAssertEqual(told.count, 9)
    XCTAssert(told.allSatisfy(starts.contains))
  }

  /// The gradient of each tensor of small encoders against central differences, along its own direction: for the norms
  /// and stems together, with widths beyond whole vectors.
  func testEncoderBackwardAgainstCentralDifferences() throws {
    for (kind, stem, norm, width, standardizes) in [
      (EncoderKind.resnet10, Stem.small, NormKind.gn, 10, false), (.resnet10, .cifar, .ln, 4, false),
      (.resnet10, .imagenet, .none, 4, false), (.resnet18, .cifar, .bn, 3, false), (.resnet10, .small, .gn, 10, true),
    ] {
      let shape = EncoderShape(
        kind: kind, width: width, stem: stem, imageSize: 16, norm: norm, standardizesWeights: standardizes)
      let rig = LayerRig(imagesPerView: 4) { plan, context in
        ResNet("", shape: shape, plan: plan, context: context)
      }
      rig.store.initialize(seed: 3)
      rig.store.perturb(4)
      let input = noise(4 * 16 * 16 * 3, 5)
      let dy = noise(4 * shape.features, 6)
      _ = try rig.pass(input, outputGradient: dy)
      for parameter in rig.store.parameters {
        let range = parameter.offset..<parameter.offset + parameter.count
        let gradient = range.map { rig.store.gradients.pointer[$0] }
        let length = product(gradient, gradient).squareRoot()
        let before = range.map { rig.store.values.pointer[$0] }
        // So small that no curvature shows and so large that rounding does not.
        let step = min(2e-3 * max(product(before, before).squareRoot(), 0.1), 5e-3 / length)
        func loss(_ sign: Double) throws -> Double {
          for (place, i) in range.enumerated() {
            rig.store.values.pointer[i] = before[place] + Float(sign * step * Double(gradient[place]) / length)
          }
          return product(try rig.forward(input, images: 4), dy)
        }
        let slope = (try loss(1) - loss(-1)) / (2 * step)
        for (place, i) in range.enumerated() { rig.store.values.pointer[i] = before[place] }
        // ReLUs and maxima that switch within the step leave some per cent.
        XCTAssertEqual(slope / length, 1, accuracy: 0.1, "\(kind) \(stem) \(norm): \(parameter.name)")
      }
    }
  }
}
