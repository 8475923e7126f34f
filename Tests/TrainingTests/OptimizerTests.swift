import Kernels
import Layers
import NetworkTesting
import Training
import XCTest

/// The optimizers against the reference in float64 (Fixtures/make_lars.py) and in closed form.
final class OptimizerTests: XCTestCase {
  private static let shapes: [(String, [Int], ParameterLayout)] = [
    ("encoder.conv1.weight", [4, 3, 3, 3], .convolution), ("encoder.bn1.weight", [4], .vector),
    ("encoder.bn1.bias", [4], .vector), ("encoder.layer1.0.conv1.weight", [5, 4, 3, 3], .convolution),
    ("encoder.layer2.0.conv1.weight", [6, 5, 1, 1], .convolution), ("projector.0.weight", [7, 6], .linear),
    ("projector.0.bias", [7], .vector), ("predictor.3.weight", [3, 7], .linear), ("predictor.3.bias", [3], .vector),
  ]

  private func store() -> ParameterStore {
    let plan = ParameterPlan()
    for (name, shape, layout) in Self.shapes { _ = plan.add(name, shape: shape, layout: layout, start: .constant(0)) }
    return ParameterStore(plan, trained: true)
  }

  func testLARSIsTheReferences() throws {
    try check("lars_all", .all, trust: 0.001, decay: 0.1, .weights)
    try check("lars_parts", NetworkParts([.stem, .layer2, .predictor]), trust: 0.02, decay: 0, .weights)
    try check("lars_decay_all", .all, trust: 0.001, decay: 0.1, .all)
  }

  private func check(
    _ name: String, _ parts: NetworkParts, trust: Double, decay: Double, _ decayOn: DecayedParameters
  ) throws {
    let fixture = try Fixture(name, #filePath)
    let store = store()
    try fixture.load(store) { "weights.\($0)" }
    let optimizer = Optimizer(store, momentum: 0.9, decay: decay, decayOn: decayOn, adapted: parts, trust: trust)
    for (step, rate) in [0.5, 2.0, 1.0, 0.25].enumerated() {
      for parameter in store.parameters {
        let gradient = try fixture.tensor("gradient.\(step).\(parameter.name)").values
        parameter.store(fileOrder: gradient, into: store.gradients.pointer)
      }
      optimizer.update(store, rate: rate, team: ThreadTeam(threads: 1))
    }
    for parameter in store.parameters {
      for (key, flat) in [("final", store.values.pointer), ("velocity", optimizer.velocity.pointer)] {
        let off = distance(
          parameter.fileOrder(from: flat), try fixture.tensor("\(key).\(parameter.name)").values)
        XCTAssertLessThan(off, 1e-6, "\(name): \(key) of \(parameter.name)")
      }
    }
  }

  /// Hosts with other numbers of cores are to stay replicas of each other.
  func testTheNumberOfThreadsDoesNotChangeABit() {
    var results: [[Float]] = []
    for threads in 1...3 {
      let plan = ParameterPlan()
      _ = plan.add("projector.0.weight", shape: [300, 171], layout: .linear, start: .constant(0))
      let store = ParameterStore(plan, trained: true)
      for i in 0..<51300 {
        store.values.pointer[i] = noise(1, UInt64(i))[0]
        store.gradients.pointer[i] = noise(1, UInt64(i) + 99_999, scale: 0.01)[0]
      }
      let optimizer = Optimizer(store, momentum: 0.9, decay: 0.01, decayOn: .weights, adapted: .all, trust: 0.1)
      optimizer.update(store, rate: 1, team: ThreadTeam(threads: threads, spins: 100))
      results.append(store.values.array)
    }
    XCTAssertEqual(results[0], results[1])
    XCTAssertEqual(results[0], results[2])
  }

  /// SGD decays everything unless told to leave biases and norms.
  func testDecayOnWeightsLeavesVectors() {
    for decayOn in DecayedParameters.allCases {
      let store = store()
      store.values.pointer.update(repeating: 1, count: store.values.count)
      let optimizer = Optimizer(store, momentum: 0, decay: 0.5, decayOn: decayOn)
      optimizer.update(store, rate: 1, team: ThreadTeam(threads: 1))
      for parameter in store.parameters {
        let isDecayed = decayOn == .all || parameter.layout != .vector
        XCTAssertEqual(
          parameter.fileOrder(from: store.values.pointer),
          Array(repeating: isDecayed ? 0.5 : 1, count: parameter.count),
          "\(decayOn): \(parameter.name)")
      }
    }
  }

  func testPartsByName() {
    let encoder = ["encoder.conv1.weight", "encoder.layer1.0.conv1.weight", "encoder.layer4.1.downsample.0.weight"]
    let heads = ["projector.0.weight", "predictor.3.weight"]
    for name in encoder + heads { XCTAssertTrue(NetworkParts.all.contain(name), name) }
    for name in encoder + heads { XCTAssertFalse(NetworkParts.none.contain(name), name) }
    XCTAssertEqual((encoder + heads).filter(NetworkParts([.stem, .layer4]).contain), [encoder[0], encoder[2]])
    XCTAssertEqual((encoder + heads).filter(NetworkParts([.encoder]).contain), encoder)
    XCTAssertEqual((encoder + heads).filter(NetworkParts([.predictor]).contain), [heads[1]])
  }

  func testRenormLimitsRiseAndStay() {
    func limits(_ step: Int, _ warmup: Int) -> [Double] {
      let limits = Schedules.renormLimits(step: step, ratio: 3, offset: 5, warmup: warmup)
      return [limits.ratio, limits.offset]
    }
    XCTAssertEqual(limits(0, 10), [1, 0])
    XCTAssertEqual(limits(5, 10), [2, 2.5])
    XCTAssertEqual(limits(10, 10), [3, 5])
    XCTAssertEqual(limits(11, 10), [3, 5])
    XCTAssertEqual(limits(0, 0), [3, 5])
  }
}
