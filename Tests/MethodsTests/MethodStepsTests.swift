import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting
import XCTest

/// Whole steps of every method but BYOL against PyTorch's in float64: losses of three, gradients of the first.
final class MethodStepsTests: XCTestCase {
  private func comparison(
    _ negatives: ComparisonPlan.Negatives, _ loss: ComparisonPlan.Loss = .crossEntropy(alpha: nil), _ t: Double = 0.2
  ) -> MethodPlan.Loss { .comparison(ComparisonPlan(negatives: negatives, loss: loss, temperature: t)) }

  func testContrastive() throws {
    try check("contrastive", MethodPlan(keys: .target, loss: comparison(.batch)), .mlp)
  }

  func testMoCo() throws {
    let model = try check("moco", MethodPlan(keys: .target, loss: comparison(.queue(16))), .none)
    let wanted = try Fixture("method_steps", #filePath).tensor("moco.queue_after").values
    XCTAssertLessThan(distance(try XCTUnwrap(model.queue).keys.array, wanted), 5e-5)
  }

  func testSimCLR() throws {
    let loss = comparison(.bothViews, .crossEntropy(alpha: nil), 0.5)
    try check("simclr", MethodPlan(keys: .online(stopsGradient: false), loss: loss), .none)
  }

  func testSimSiam() throws {
    let model = try check("simsiam", MethodPlan(keys: .online(stopsGradient: true), loss: .l2), .mlp)
    XCTAssertNil(model.target)
    XCTAssertEqual(model.networks.map(\.prefix), ["online."])
    XCTAssertEqual(model.projections, model.targetProjections, "the other view's projection is what z' is")
  }

  func testSwitches() throws {
    try check("simsiam_flowing", MethodPlan(keys: .online(stopsGradient: false), loss: .l2), .linear)
    try check("byol_no_predictor", .byol, .none)
    let loss = comparison(.batch, .binaryCrossEntropy)
    try check("simsiam_bce", MethodPlan(keys: .online(stopsGradient: false), loss: loss), .linear)
  }

  func testBarlowTwins() throws {
    let plan = MethodPlan(keys: .online(stopsGradient: false), loss: .barlowTwins(lambda: 0.05))
    try check("barlow_twins", plan, .none)
  }

  func testVICReg() throws {
    let plan = MethodPlan(keys: .online(stopsGradient: false), loss: .vicreg(VICRegCoefficients()))
    try check("vicreg", plan, .none)
  }

  @discardableResult
  private func check(_ name: String, _ plan: MethodPlan, _ predictor: PredictorDepth) throws -> Siamese {
    let fixture = try Fixture("method_steps", #filePath)
    let views = [try fixture.tensor("view1"), try fixture.tensor("view2")]
    let batch = views[0].shape[1]
    let encoder = EncoderShape(kind: .resnet10, width: 2, stem: .cifar, imageSize: 12, norm: .bn)
    let shape = ModelShape(
      encoder: encoder, hidden: 24, dimensions: 8, projectorNorm: .bn, predictorNorm: .bn, predictor: predictor)
    let team = ThreadTeam(threads: 2, spins: 100)
    let model = Siamese(
      shape, plan: plan, layout: BatchLayout(views: 2, imagesPerView: batch), scope: .local, world: try .start(),
      team: team)
    try fixture.load(model.online) {
      predictor == .linear && $0.hasPrefix("predictor.") ? "linear.\($0)" : "weights.\($0)"
    }
    model.copyOnlineToTarget()
    if let queue = model.queue {
      queue.keys.pointer.update(from: try fixture.tensor("queue").values, count: queue.keys.count)
    }
    let velocity = AlignedBuffer(count: model.online.values.count)
    for step in 0..<3 {
      let input = AlignedBuffer(views.flatMap { channelsLast($0, step) })
      let loss = try model.step(views: input.pointer, globalBatch: batch)
      withExtendedLifetime(input) {}
      let wanted = Double(try fixture.tensor("\(name).loss").values[step])
      XCTAssertEqual(loss, wanted, accuracy: 1e-5 * wanted, "\(name), step \(step)")
      if step == 0 { try checkGradients(model.online, fixture, name) }
      ParameterUpdates.sgd(
        weights: model.online.values.pointer, gradients: model.online.gradients.pointer, velocity: velocity.pointer,
        range: 0..<velocity.count, rate: try fixture.tensor("lr").values[step], momentum: 0.9, decay: 1e-4, team: team)
      if let target = model.target {
        try MovingAverageTarget(target: target, online: model.online, placement: .rank0, communicator: .start())
          .update(tau: Double(try fixture.tensor("tau").values[step]), team: team)
      }
    }
    return model
  }

  private func channelsLast(_ views: Tensor, _ step: Int) -> [Float] {
    let count = views.shape.dropFirst().reduce(1, *)
    return Tensor(
      shape: Array(views.shape.dropFirst()), values: Array(views.values[step * count..<(step + 1) * count])
    ).channelsLast
  }

  private func checkGradients(_ store: ParameterStore, _ fixture: Fixture, _ name: String) throws {
    let wanted = try store.parameters.map { try fixture.tensor("\(name).gradient.\($0.name)").values }
    let largest = wanted.map(magnitude).max() ?? 0
    for (found, wanted) in zip(store.named(gradients: true), wanted) {
      let off = distance(found.values, wanted, scale: 0.01 * largest)
      XCTAssertLessThan(off, 5e-5, "\(name): gradient of \(found.name)")
    }
  }
}
