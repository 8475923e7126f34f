import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting
import XCTest

/// BYOL's loss and whole steps against PyTorch's in float64.
final class BYOLTests: XCTestCase {
  private func fixture(_ name: String) throws -> Fixture { try Fixture(name, #filePath) }

  func testLossAndItsGradient() throws {
    let fixture = try fixture("byol_loss")
    let predictions = try fixture.tensor("prediction")
    let projections = try fixture.tensor("projection").values
    let (rows, dimensions) = (predictions.shape[0], predictions.shape[1])
    var gradient = [Float](repeating: .nan, count: rows * dimensions)
    let loss = BYOLLoss.direction(
      predictions: predictions.values, projections: projections, rows: rows, dimensions: dimensions, globalRows: rows,
      gradient: &gradient)
    XCTAssertEqual(loss, Double(try fixture.tensor("loss").values[0]), accuracy: 1e-6)
    XCTAssertLessThan(distance(gradient, try fixture.tensor("prediction_gradient").values), 1e-6)
    // A rank's share: half of the rows, of a mean over all.
    var half = [Float](repeating: .nan, count: rows / 2 * dimensions)
    var shares = 0.0
    for part in 0..<2 {
      let range = part * half.count..<(part + 1) * half.count
      shares += BYOLLoss.direction(
        predictions: Array(predictions.values[range]), projections: Array(projections[range]), rows: rows / 2,
        dimensions: dimensions, globalRows: rows, gradient: &half)
      XCTAssertEqual(half, Array(gradient[range]))
    }
    XCTAssertEqual(shares, loss, accuracy: 1e-12)
  }

  func testLossAgainstCentralDifferences() {
    let (rows, dimensions) = (5, 7)
    let (p, z) = (noise(rows * dimensions, 1), noise(rows * dimensions, 2))
    var gradient = [Float](repeating: 0, count: p.count)
    var unused = gradient
    func loss(_ p: [Float], _ gradient: inout [Float]) -> Double {
      BYOLLoss.direction(
        predictions: p, projections: z, rows: rows, dimensions: dimensions, globalRows: 9, gradient: &gradient)
    }
    _ = loss(p, &gradient)
    for i in 0..<p.count {
      var (up, down) = (p, p)
      up[i] += 1e-2
      down[i] -= 1e-2
      let slope = (loss(up, &unused) - loss(down, &unused)) / Double(up[i] - down[i])
      XCTAssertEqual(slope, Double(gradient[i]), accuracy: 1e-4)
    }
  }

  /// Equal, opposite and vanished vectors.
  func testLossAtItsEnds() {
    let z: [Float] = [3, 4, 1, 2, 0, 5]
    var gradient = [Float](repeating: 0, count: 6)
    func loss(_ p: [Float]) -> Double {
      BYOLLoss.direction(
        predictions: p, projections: z, rows: 3, dimensions: 2, globalRows: 3, gradient: &gradient)
    }
    XCTAssertEqual(loss(z.map { 2 * $0 }), 0, accuracy: 1e-12)
    XCTAssertEqual(loss(z.map { -$0 }), 4, accuracy: 1e-12)
    XCTAssertEqual(loss([0, 0, 0, 0, 0, 0]), 2, accuracy: 1e-12)
    XCTAssert(gradient.allSatisfy(\.isFinite))
  }

  func testStepsWithBatchNorm() throws { try checkSteps("byol_steps", norm: .bn, scope: .local) }

  func testStepsWithGhosts() throws {
    try checkSteps("byol_steps_ghost", norm: .bn, scope: try BatchNormScopes(.ghost(4), world: .start()))
  }

  func testStepsWithLayerNormInTheHeads() throws { try checkSteps("byol_steps_layer_norm", norm: .ln, scope: .local) }

  func testStepsWithoutNormInTheHeads() throws { try checkSteps("byol_steps_no_norm", norm: .none, scope: .local) }

  /// Three steps of loss, backward, SGD and target: each loss, the first gradients, everything after the last step.
  private func checkSteps(_ name: String, norm: NormKind, scope: BatchNormScopes) throws {
    let fixture = try fixture(name)
    let views = [try fixture.tensor("view1"), try fixture.tensor("view2")]
    let batch = views[0].shape[1]
    let encoder = EncoderShape(kind: .resnet10, width: 2, stem: .cifar, imageSize: 12, norm: .bn)
    let shape = ModelShape(encoder: encoder, hidden: 24, dimensions: 8, projectorNorm: norm, predictorNorm: norm)
    for threads in 1...2 {
      let team = ThreadTeam(threads: threads, spins: 100)
      let model = Siamese(
        shape, plan: .byol, layout: BatchLayout(views: 2, imagesPerView: batch), scope: scope, world: try .start(),
        team: team)
      let target = try XCTUnwrap(model.target)
      try fixture.load(model.online) { "weights.\($0)" }
      model.copyOnlineToTarget()
      let velocity = AlignedBuffer(count: model.online.values.count)
      for step in 0..<3 {
        let input = AlignedBuffer(views.flatMap { channelsLast($0, step) })
        let loss = try model.step(views: input.pointer, globalBatch: batch)
        withExtendedLifetime(input) {}
        let wanted = Double(try fixture.tensor("loss").values[step])
        XCTAssertEqual(loss, wanted, accuracy: 1e-5 * wanted, "\(name), step \(step)")
        if step == 0 { try checkGradients(model.online, fixture, name) }
        ParameterUpdates.sgd(
          weights: model.online.values.pointer, gradients: model.online.gradients.pointer, velocity: velocity.pointer,
          range: 0..<velocity.count, rate: try fixture.tensor("lr").values[step], momentum: 0.9, decay: 1e-4, team: team
        )
        try MovingAverageTarget(target: target, online: model.online, placement: .rank0, communicator: .start())
          .update(tau: Double(try fixture.tensor("tau").values[step]), team: team)
      }
      for (network, store) in [("online", model.online), ("target", target)] {
        for (key, values) in store.named() + store.namedBuffers() {
          let wanted = try fixture.tensor("final.\(network).\(key)").values
          let off = distance(values, wanted, scale: 0.05)
          XCTAssertLessThan(off, 5e-5, "\(name): \(network) \(key) after three steps")
        }
        XCTAssertEqual(store.batchesTracked, 6)
      }
    }
  }

  private func channelsLast(_ views: Tensor, _ step: Int) -> [Float] {
    let count = views.shape.dropFirst().reduce(1, *)
    return Tensor(
      shape: Array(views.shape.dropFirst()), values: Array(views.values[step * count..<(step + 1) * count])
    ).channelsLast
  }

  private func checkGradients(_ store: ParameterStore, _ fixture: Fixture, _ name: String) throws {
    let wanted = try store.parameters.map { try fixture.tensor("gradient.\($0.name)").values }
    let largest = wanted.map(magnitude).max() ?? 0
    for (found, wanted) in zip(store.named(gradients: true), wanted) {
      let off = distance(found.values, wanted, scale: 0.01 * largest)
      XCTAssertLessThan(off, 5e-5, "\(name): gradient of \(found.name)")
    }
  }

  /// Features are the encoder's in evaluation phase; asking for them leaves the next step as it was.
  func testFeaturesBetweenStepsChangeNothing() throws {
    let encoder = EncoderShape(kind: .resnet10, width: 3, stem: .small, imageSize: 12, norm: .bn)
    let shape = ModelShape(encoder: encoder, hidden: 12, dimensions: 10, projectorNorm: .bn, predictorNorm: .bn)
    func make() throws -> Siamese {
      let model = Siamese(
        shape, plan: .byol, layout: BatchLayout(views: 2, imagesPerView: 4), scope: .local, world: try .start(),
        team: ThreadTeam(threads: 1))
      model.initialize(seed: 9)
      return model
    }
    let (plain, asked) = (try make(), try make())
    let copy = try XCTUnwrap(plain.target).values.array
    XCTAssertEqual(copy, Array(plain.online.values.array.prefix(copy.count)))
    let input = AlignedBuffer(noise(8 * 12 * 12 * 3, 1))
    var features: [Float] = []
    for _ in 0..<2 {
      let loss = try plain.step(views: input.pointer, globalBatch: 4)
      features = array(try asked.features(of: input.pointer, images: 5), 5 * encoder.features)
      XCTAssertEqual(try asked.step(views: input.pointer, globalBatch: 4), loss)
      XCTAssertEqual(asked.online.gradients.array, plain.online.gradients.array)
    }
    XCTAssertEqual(asked.online.running.array, plain.online.running.array)
    XCTAssertNotEqual(features, array(try asked.features(of: input.pointer, images: 5), 5 * encoder.features))
    withExtendedLifetime(input) {}
  }

  func testProjectionsAreOfTheLastStep() throws {
    let encoder = EncoderShape(kind: .resnet10, width: 3, stem: .small, imageSize: 12, norm: .bn)
    let shape = ModelShape(encoder: encoder, hidden: 12, dimensions: 10, projectorNorm: .bn, predictorNorm: .bn)
    let model = Siamese(
      shape, plan: .byol, layout: BatchLayout(views: 2, imagesPerView: 4), scope: .local, world: try .start(),
      team: ThreadTeam(threads: 1))
    model.initialize(seed: 9)
    let input = AlignedBuffer(noise(8 * 12 * 12 * 3, 1))
    _ = try model.step(views: input.pointer, globalBatch: 4)
    let z = array(try XCTUnwrap(model.projections), 80)
    // The target starts as a copy, and so projects as the online network does.
    XCTAssertEqual(z, array(try XCTUnwrap(model.targetProjections), 80))
    XCTAssertGreaterThan(magnitude(z), 0.01)
    withExtendedLifetime(input) {}
  }
}
