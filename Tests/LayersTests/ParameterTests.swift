import Kernels
import Layers
import NetworkTesting
import XCTest

final class ParameterTests: XCTestCase {
  func testLayoutsRoundTripAndLieWhereKernelsReadThem() {
    let plan = ParameterPlan()
    let convolution = plan.add("c", shape: [3, 2, 3, 3], layout: .convolution, start: .constant(0))
    let linear = plan.add("l", shape: [5, 7], layout: .linear, start: .constant(0))
    let vector = plan.add("v", shape: [9], start: .constant(0))
    let store = ParameterStore(plan, trained: false)
    for parameter in [convolution, linear, vector] {
      XCTAssertEqual(parameter.offset % 16, 0)
      let numbers = (0..<parameter.count).map { Float(parameter.offset + $0 + 1) }
      parameter.store(fileOrder: numbers, into: store.values.pointer)
    }
    for parameter in [convolution, linear, vector] {
      let numbers = (0..<parameter.count).map { Float(parameter.offset + $0 + 1) }
      XCTAssertEqual(parameter.fileOrder(from: store.values.pointer), numbers)
    }
    let values = store.values.array
    // OIHW (2, 1, 0, 2) lies at HWIO (0, 2, 1, 2); [out 3, in 6] at [in 6, out 3].
    XCTAssertEqual(values[((0 * 3 + 2) * 2 + 1) * 3 + 2], Float(((2 * 2 + 1) * 3 + 0) * 3 + 2 + 1))
    XCTAssertEqual(values[linear.offset + 6 * 5 + 3], Float(linear.offset + 3 * 7 + 6 + 1))
    XCTAssertEqual(values[vector.offset + 8], Float(vector.offset + 9))
  }

  private func encoder(_ seed: UInt64) -> ParameterStore {
    let shape = EncoderShape(kind: .resnet10, width: 16, stem: .imagenet, imageSize: 32, norm: .bn)
    let rig = LayerRig(imagesPerView: 2) { plan, context in
      let net = ResNet("encoder.", shape: shape, plan: plan, context: context)
      let head = MLP("head", inputs: 128, hidden: 256, outputs: 64, norm: .bn, plan: plan, context: context)
      return (net, head)
    }
    rig.store.initialize(seed: seed)
    return rig.store
  }

  /// torchvision's start: Kaiming-normal convolutions over the fan-out, PyTorch's linear layers, norms of 1 and 0.
  func testStartHasTorchvisionsDistributions() {
    let store = encoder(5)
    for parameter in store.parameters {
      let numbers = parameter.fileOrder(from: store.values.pointer).map(Double.init)
      let count = Double(numbers.count)
      let mean = numbers.reduce(0, +) / count
      let deviation = (numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
      // Five standard errors.
      let slack = 5 / count.squareRoot()
      if parameter.layout == .convolution {
        let wanted = (2 / Double(parameter.shape[0] * parameter.shape[2] * parameter.shape[3])).squareRoot()
        XCTAssertEqual(deviation / wanted, 1, accuracy: slack, parameter.name)
        XCTAssertEqual(mean / wanted, 0, accuracy: slack, parameter.name)
        XCTAssertGreaterThan(numbers.map(abs).max()! / wanted, 2.5, "\(parameter.name) has no tails")
      } else if parameter.name.hasPrefix("head.0.") || parameter.name.hasPrefix("head.3.") {
        let bound = 1 / (parameter.name.hasPrefix("head.0.") ? 128.0 : 256.0).squareRoot()
        XCTAssertLessThanOrEqual(numbers.map(abs).max()!, bound * (1 + 1e-6), parameter.name)
        XCTAssertGreaterThan(numbers.map(abs).max()!, 0.9 * bound, parameter.name)
        XCTAssertEqual(deviation / (bound / 3.0.squareRoot()), 1, accuracy: slack, parameter.name)
        XCTAssertEqual(mean / bound, 0, accuracy: slack, parameter.name)
      } else {
        XCTAssertEqual(Set(numbers), [parameter.name.hasSuffix("weight") ? 1 : 0], parameter.name)
      }
    }
    for buffer in store.namedBuffers() {
      XCTAssertEqual(Set(buffer.values), [buffer.name.hasSuffix("running_var") ? 1 : 0], buffer.name)
    }
  }

  func testTheSeedAloneDecidesTheStart() {
    XCTAssertEqual(encoder(5).values.array, encoder(5).values.array)
    let (one, other) = (encoder(5), encoder(6))
    for (a, b) in zip(one.named(), other.named()) where Set(a.values).count > 1 {
      XCTAssertNotEqual(a.values, b.values, a.name)
    }
    let drawn = one.named().filter { Set($0.values).count > 1 }.map { Array($0.values.prefix(8)) }
    XCTAssertEqual(Set(drawn).count, drawn.count, "two parameters share their numbers")
  }

  /// The padding between parameters must stay zero: the flat buffers are reduced and updated whole.
  func testPaddingIsZeroAfterAPass() throws {
    let shape = EncoderShape(kind: .resnet10, width: 3, stem: .cifar, imageSize: 8, norm: .bn)
    let rig = LayerRig(imagesPerView: 3) { plan, context in
      ResNet("", shape: shape, plan: plan, context: context)
    }
    rig.store.initialize(seed: 1)
    _ = try rig.pass(noise(3 * 8 * 8 * 3, 1), outputGradient: noise(3 * 24, 2))
    var taken = [Bool](repeating: false, count: rig.store.values.count)
    for parameter in rig.store.parameters {
      for i in parameter.offset..<parameter.offset + parameter.count {
        XCTAssertFalse(taken[i], "\(parameter.name) overlaps another")
        taken[i] = true
      }
    }
    for i in 0..<taken.count where !taken[i] {
      XCTAssertEqual(rig.store.values.pointer[i], 0)
      XCTAssertEqual(rig.store.gradients.pointer[i], 0)
    }
    XCTAssert(taken.contains(false))
  }
}
