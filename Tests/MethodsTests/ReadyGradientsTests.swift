import Collectives
import Kernels
import Layers
import Methods
import NetworkTesting
import XCTest

/// What the backward pass tells those who all-reduce gradients and update parameters before it is over.
final class ReadyGradientsTests: XCTestCase {
  /// From a told offset on all gradients are there, and neither they nor the parameters are used or written any more, nor is
  /// any of the target's: with no numbers in their places the rest of the step is the same to the bit.
  func testWhatIsReadyIsUsedNoMore() throws {
    for (kind, stem, norm, standardizes) in [
      (EncoderKind.resnet10, Stem.small, NormKind.bn, false), (.resnet18, .cifar, .brn, false),
      (.resnet50, .imagenet, .bn, false), (.resnet10, .imagenet, .gn, true), (.resnet10, .cifar, .ln, false),
      (.resnet50, .small, .none, true),
    ] {
      let encoder = EncoderShape(
        kind: kind, width: 4, stem: stem, imageSize: 16, norm: norm, standardizesWeights: standardizes)
      for (plan, depth) in [
        (MethodPlan.byol, PredictorDepth.mlp), (.byol, .linear),
        (MethodPlan(keys: .online(stopsGradient: false), loss: .barlowTwins(lambda: 0.05)), .none),
      ] {
        let shape = ModelShape(
          encoder: encoder, hidden: 12, dimensions: 8, projectorNorm: norm, predictorNorm: norm, predictor: depth,
          standardizesWeights: standardizes)
        try check(shape, plan, "\(kind) \(stem) \(norm) \(depth)")
      }
    }
  }

  private func check(_ shape: ModelShape, _ plan: MethodPlan, _ name: String) throws {
    let model = Siamese(
      shape, plan: plan, layout: BatchLayout(views: 2, imagesPerView: 3), scope: .local, world: try .start(),
      team: ThreadTeam(threads: 1))
    let (store, size) = (model.online, shape.encoder.imageSize)
    let input = AlignedBuffer(noise(6 * size * size * 3, 1))
    func step() throws -> [Float] {
      // Running statistics too, by which batch renormalisation corrects.
      for (_, store) in model.networks { store.running.pointer.update(repeating: 1, count: store.running.count) }
      model.initialize(seed: 9)
      store.gradients.pointer.update(repeating: .nan, count: store.gradients.count)
      _ = try model.step(views: input.pointer, globalBatch: 3)
      return store.gradients.array
    }
    let whole = try step()
    var (told, found) = ([Int](), [Float](repeating: .nan, count: whole.count))
    model.context.gradientsReady = { offset in
      for at in offset..<(told.last ?? whole.count) { found[at] = store.gradients.pointer[at] }
      for buffer in [store.gradients, store.values] {
        (buffer.pointer + offset).update(repeating: .nan, count: whole.count - offset)
      }
      if let target = model.target { target.values.pointer.update(repeating: .nan, count: target.values.count) }
      told.append(offset)
    }
    let left = try step()
    XCTAssertEqual(told, told.sorted(by: >), name)
    XCTAssertEqual(told.last, 0, name)
    XCTAssertGreaterThan(told.count, 4, name)
    XCTAssert(left.allSatisfy(\.isNaN), "\(name): gradients written after they were said to be ready")
    for parameter in store.parameters {
      let range = parameter.offset..<parameter.offset + parameter.count
      XCTAssertEqual(Array(found[range]), Array(whole[range]), "\(name): the gradient of \(parameter.name)")
    }
    withExtendedLifetime(input) {}
  }
}
