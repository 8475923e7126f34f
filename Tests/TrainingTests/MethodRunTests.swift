import Files
import Foundation
import Methods
import Training
import XCTest

/// Runs of every method: what they leave, and how they go on.
final class MethodRunTests: XCTestCase {
  let runs = TemporaryRuns()

  private func settings(_ method: MethodKind) -> (inout Configuration) -> Void {
    {
      $0.method = method
      $0.lr = method == .barlowTwins || method == .vicreg ? 1e-4 : 0.02
      if method == .moco { $0.queue = 48 }
    }
  }

  private func stop(_ name: String, after step: Int, _ change: (inout Configuration) -> Void) throws {
    let trainer = try runs.trainer(name, change)
    trainer.afterStep = { if $0 == step { throw Killed() } }
    XCTAssertThrowsError(try trainer.run())
  }

  func testEveryMethodRunsResumesAndSaysWhatItIs() throws {
    for method in MethodKind.allCases {
      let (whole, cut) = ("\(method.rawValue)-whole", "\(method.rawValue)-cut")
      XCTAssertEqual(try runs.run(whole, settings(method)), .finished)
      try stop(cut, after: 7, settings(method))
      XCTAssertEqual(try runs.run(cut, settings(method)), .finished)
      for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        XCTAssertEqual(
          try runs.checkpoint(cut, step: 8, file), try runs.checkpoint(whole, step: 8, file), "\(cut) \(file)")
      }
      XCTAssertEqual(try runs.losses(cut), try runs.losses(whole))
      let losses = try runs.losses(whole)
      XCTAssertEqual(losses.count, 8)
      XCTAssertNotEqual(losses[0], losses[7])

      let directory = runs("\(whole)/checkpoints/step-00000008/")
      let names = try SafetensorsFile(path: directory + "model.safetensors").names
      XCTAssertEqual(names.contains { $0.hasPrefix("target.") }, method.hasTarget, whole)
      XCTAssertEqual(names.contains { $0.hasPrefix("online.predictor.") }, method.predictorDepth == .mlp, whole)
      XCTAssertFalse(names.contains { $0.hasPrefix("queue") }, "whoever loads the networks need not know of it")
      let optimizer = try SafetensorsFile(path: directory + "optimizer.safetensors")
      XCTAssertEqual(optimizer.names.contains("queue.keys"), method == .moco)
      if method == .moco {
        XCTAssertEqual(try optimizer.shape("queue.keys"), [48, 8])
        XCTAssertEqual(try optimizer.integers("queue.next"), [16], "256 keys of two views in eight steps")
      }
      let file = try runs.json("\(whole)/config.json")
      XCTAssertEqual(file["predictor_depth"], .null, "as asked for")
      let config = file["resolved"] ?? .null
      XCTAssertEqual(config["predictor_depth"]?.int, method.predictorDepth.rawValue, whole)
      XCTAssertEqual(config["loss"], method.losses.first.map { JSON($0.rawValue) } ?? .null, whole)
      let line = try XCTUnwrap(try runs.metrics(whole).first)
      XCTAssertEqual(line["tau"] == .null, !method.hasTarget, whole)
      XCTAssertNotNil(line["negative_cosine"]?.double, whole)
    }
  }

  /// Weights of one method start another: where there is no target in the file, it starts as the online network's copy.
  func testStartingWeightsOfAMethodWithoutATarget() throws {
    try runs.run("first", settings(.simclr))
    let file = runs("first/checkpoints/step-00000008/model.safetensors")
    try runs.run("second") {
      ($0.method, $0.initFile, $0.steps, $0.queue) = (.moco, file, 1, 48)
      ($0.lr, $0.weightDecay, $0.ema, $0.warmupSteps) = (1e-30, 0, 1, 0)
    }
    let from = try SafetensorsFile(path: file)
    let to = try SafetensorsFile(path: runs("second/checkpoints/step-00000001/model.safetensors"))
    for name in ["encoder.layer4.0.conv2.weight", "projector.0.weight"] {
      XCTAssertEqual(try to.floats("online." + name), try from.floats("online." + name), name)
      XCTAssertEqual(try to.floats("target." + name), try from.floats("online." + name), name)
    }
    XCTAssertEqual(try runs.run("third") { ($0.method, $0.initFile) = (.simclr, file) }, .finished)
    let model = runs("second/checkpoints/step-00000001/model.safetensors")
    XCTAssertTrue(
      errorText { try self.runs.trainer("fourth") { ($0.method, $0.initFile) = (.simclr, model) } }.contains(
        "the model has no tensor target.encoder.bn1.bias"))
  }
}
