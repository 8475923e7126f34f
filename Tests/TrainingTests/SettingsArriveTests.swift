import Files
import Foundation
import NetworkTesting
import Training
import XCTest

/// Every setting of the table reaches what it is for: a value that is parsed and then dropped, or handed to a neighbour,
/// changes nothing, or the wrong thing.
final class SettingsArriveTests: XCTestCase {
  let runs = TemporaryRuns()
  private var made = 0

  /// Settings by flag and value.
  typealias Settings = [String: String]

  /// What a run of a few steps leaves: its losses, its weights, and the names of its tensors.
  private struct Result: Equatable {
    var losses: [Double]
    var model: Data
    var optimizer: Data
  }

  private func set(_ settings: Settings, in configuration: inout Configuration) throws {
    // In the table's order, so that of two that exclude each other the later one counts.
    for setting in Configuration.settings {
      guard let value = settings[setting.name] else { continue }
      try setting.set(.text(value), in: &configuration, from: .flag)
    }
  }

  @discardableResult
  private func run(_ settings: Settings, shown: Lines = Lines()) throws -> String {
    made += 1
    let name = settings["out"].map { String($0.dropFirst(runs("").count)) } ?? "run-\(made)"
    var fault: (any Error)?
    let outcome = try runs.run(name, shown: shown) {
      ($0.steps, $0.checkpointEvery, $0.measureEvery) = (4, 0, 0)
      do { try self.set(settings, in: &$0) } catch { fault = error }
    }
    if let fault { throw fault }
    XCTAssertEqual(outcome, .finished, "\(settings)")
    return name
  }

  private func result(_ name: String) throws -> Result {
    let steps = try runs.losses(name).count
    return Result(
      losses: try runs.losses(name), model: try runs.checkpoint(name, step: steps),
      optimizer: try runs.checkpoint(name, step: steps, "optimizer.safetensors"))
  }

  private func names(_ name: String) throws -> [String] {
    try SafetensorsFile(path: runs("\(name)/checkpoints/step-00000004/model.safetensors")).names
  }

  // MARK: - Settings that results depend on

  /// Two values, and what else is set for the difference to show.
  private struct Difference {
    var base: Settings = [:]
    var values: (String?, String)
  }

  private func differences() throws -> [String: Difference] {
    let weights = runs("\(try run([:]))/checkpoints/step-00000004/model.safetensors")
    try TinyImages.write(to: runs("fewer"), train: 64)
    let brn: Settings = ["projector-norm": "brn", "encoder-norm": "gn", "predictor-norm": "none", "lr": "0.1"]
    let contrastive: Settings = ["method": "contrastive"]
    let vicreg: Settings = ["method": "vicreg", "lr": "1e-4"]
    let lars: Settings = ["optimizer": "lars", "lr": "0.2"]
    return [
      "data": .init(values: (nil, runs("fewer"))), "image-size": .init(values: ("32", "24")),
      "augment": .init(values: ("moco", "none")), "shuffle": .init(values: ("on", "off")),
      // With given weights and order the seed is that of the views alone.
      "seed": .init(base: ["init": weights, "shuffle": "off"], values: ("0", "1")),
      "method": .init(values: ("byol", "simsiam")), "encoder": .init(values: ("resnet10", "resnet18")),
      "width": .init(values: ("4", "8")), "stem": .init(values: ("small", "cifar")),
      "hidden": .init(values: ("16", "8")), "dim": .init(values: ("8", "4")),
      "encoder-norm": .init(values: ("bn", "gn")), "projector-norm": .init(values: ("bn", "ln")),
      "predictor-norm": .init(values: ("bn", "ln")), "weight-standardization": .init(values: ("off", "on")),
      "bn-scope": .init(values: ("sync", "ghost:4")), "encoder-bn-scope": .init(values: (nil, "ghost:4")),
      "head-bn-scope": .init(values: (nil, "ghost:4")), "bn-views": .init(values: ("apart", "joint")),
      "brn-r-max": .init(base: brn, values: ("3", "1")), "brn-d-max": .init(base: brn, values: ("5", "0")),
      "brn-warmup-steps": .init(base: brn, values: ("0", "4")),
      "brn-momentum": .init(base: brn, values: ("0.01", "0.5")), "init": .init(values: (nil, weights)),
      "loss": .init(base: contrastive, values: ("cross-entropy", "bce")),
      "predictor-depth": .init(values: ("2", "1")),
      "stop-gradient": .init(base: ["method": "simsiam"], values: ("on", "off")),
      "temperature": .init(base: ["method": "simclr"], values: ("0.5", "0.2")),
      "queue": .init(base: contrastive, values: ("0", "32")),
      "eqco-alpha": .init(base: contrastive, values: (nil, "1000")),
      "shuffle-bn": .init(base: ["method": "moco", "queue": "32", "bn-scope": "ghost:4"], values: ("off", "on")),
      "lambda": .init(base: ["method": "barlow-twins", "lr": "1e-4"], values: ("0.005", "0.05")),
      "vicreg-invariance": .init(base: vicreg, values: ("25", "5")),
      "vicreg-variance": .init(base: vicreg, values: ("25", "5")),
      "vicreg-covariance": .init(base: vicreg, values: ("1", "5")), "batch": .init(values: ("16", "8")),
      "epochs": .init(values: (nil, "1")), "steps": .init(values: ("4", "5")),
      "optimizer": .init(values: ("sgd", "lars")), "lr": .init(values: ("0.02", "0.04")),
      "momentum": .init(values: ("0.9", "0.5")), "weight-decay": .init(values: ("1e-4", "1e-2")),
      "decay-on": .init(base: ["weight-decay": "0.1"], values: ("all", "weights")),
      "lars-trust": .init(base: lars, values: ("0.001", "0.01")),
      "lars-on": .init(base: lars, values: (nil, "layer1,layer2")), "warmup-steps": .init(values: ("2", "0")),
      "ema": .init(values: ("0.9", "0.5")), "ema-schedule": .init(values: ("cosine", "constant")),
    ]
  }

  func testEverySettingThatShapesResultsDoes() throws {
    let differences = try differences()
    let shaping = Configuration.settings.filter(\.shapesResults).map(\.name)
    XCTAssertEqual(Set(shaping), Set(differences.keys), "a setting without its difference, or one that is none")
    for name in shaping {
      guard let difference = differences[name] else { continue }
      var first = difference.base
      first[name] = difference.values.0 ?? first[name]
      var second = difference.base
      second[name] = difference.values.1
      let results = try (result(run(first)), result(run(second)))
      XCTAssertNotEqual(results.0, results.1, "--\(name) \(difference.values.1) changes nothing")
    }
  }

  /// Values of one kind that could be handed to each other's place.
  func testNeighboursAreNotSwapped() throws {
    for (flag, prefix, left) in [
      ("projector-norm", "online.projector.1.", "online.predictor.1."),
      ("predictor-norm", "online.predictor.1.", "online.projector.1."),
    ] {
      let names = try names(try run([flag: "none"]))
      XCTAssertFalse(names.contains { $0.hasPrefix(prefix) }, flag)
      XCTAssertTrue(names.contains { $0.hasPrefix(left) }, flag)
    }
    let shapes = try SafetensorsFile(
      path: runs("\(try run(["hidden": "24", "dim": "6"]))/checkpoints/step-00000004/model.safetensors"))
    XCTAssertEqual(try shapes.shape("online.projector.0.weight").first, 24)
    XCTAssertEqual(try shapes.shape("online.predictor.3.weight"), [6, 24])
    let encoder = try result(run(["encoder-bn-scope": "ghost:4"]))
    XCTAssertNotEqual(encoder, try result(run(["head-bn-scope": "ghost:4"])))
    XCTAssertEqual(encoder, try result(run(["bn-scope": "ghost:4", "head-bn-scope": "sync"])))
  }

  // MARK: - Settings that results do not depend on

  func testEveryOtherSettingChangesNothingElse() throws {
    let plain = try result(run([:]))
    func same(_ settings: Settings, _ seen: (String) throws -> Void) throws -> [String] {
      let name = try run(settings)
      XCTAssertEqual(try result(name), plain, "\(settings) changes the result")
      try seen(name)
      return Array(settings.keys)
    }
    var checked: [String] = []
    checked += try same(["ema-on": "every-rank"]) { _ in }
    checked += try same(["threads": "1"]) { XCTAssertEqual(try runs.json("\($0)/summary.json")["threads"], 1) }
    checked += try same(["out": runs("chosen")]) { _ in }
    checked += try same(["checkpoint-every": "1", "keep": "3"]) {
      XCTAssertEqual(try AtomicDirectory.entries(of: runs("\($0)/checkpoints")).count, 3)
    }
    checked += try same(["probe-every": "2"]) {
      XCTAssertEqual(
        try runs.metrics($0).filter { $0["probe_accuracy"] != nil }.compactMap { $0["step"]?.int }, [2, 4])
    }
    checked += try same(["measure-every": "2"]) {
      // The first, every second, and the last.
      XCTAssertEqual(
        try runs.metrics($0).filter { $0["effective_rank"] != nil }.compactMap { $0["step"]?.int }, [1, 2, 4])
    }
    let shown = Lines()
    try run(["log-every": "2"], shown: shown)
    XCTAssertEqual(
      shown.all.filter { $0.hasPrefix("step ") }.map { $0.prefix(8) }, ["step 1/4", "step 2/4", "step 4/4"])
    let flat: Settings = ["projector-norm": "none", "predictor-norm": "none", "lr": "100", "steps": "400"]
    let stopped = try run(flat.merging(["on-collapse": "stop"]) { $1 })
    XCTAssertLessThan(try runs.losses(stopped).count, 400)
    try runs.run("there")
    XCTAssertTrue(errorText { try self.runs.run("there") { $0.resume = .never } }.contains("--resume never"))
    checked += ["log-every", "on-collapse", "resume"]
    XCTAssertEqual(Set(checked), Set(Configuration.settings.filter { !$0.shapesResults }.map(\.name)))
  }
}
