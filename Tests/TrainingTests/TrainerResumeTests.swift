import Files
import Foundation
import NetworkTesting
import Training
import XCTest

/// Runs that are refused, damaged, or started from other weights.
final class TrainerResumeTests: XCTestCase {
  let runs = TemporaryRuns()

  /// Asserts that a trainer is refused as the user's mistake, in one line with `parts`, and that nothing changed.
  private func expectRefusal(
    _ name: String, _ parts: String..., line: UInt = #line, _ change: (inout Configuration) -> Void
  ) throws {
    let before = try runs.everything()
    XCTAssertThrowsError(try runs.trainer(name, change), line: line) { error in
      XCTAssertEqual(ExitStatus(for: error), .usage, "\(error)", line: line)
      XCTAssertFalse("\(error)".contains("\n"), "\(error)", line: line)
      for part in parts { XCTAssertTrue("\(error)".contains(part), "\(error)", line: line) }
    }
    XCTAssertEqual(try runs.everything().filter { !$0.key.hasSuffix(".lock") }, before, line: line)
  }

  private func stop(_ name: String, after step: Int) throws {
    let trainer = try runs.trainer(name)
    trainer.afterStep = { if $0 == step { throw Killed() } }
    XCTAssertThrowsError(try trainer.run())
  }

  func testWhatIsNotToGoOnIsRefusedAndStays() throws {
    try stop("run", after: 7)
    XCTAssertEqual(try AtomicDirectory.entries(of: runs("run/checkpoints")), ["step-00000003", "step-00000006"])
    try expectRefusal("run", runs("run"), "--resume never", "choose another --out") { $0.resume = .never }
    try expectRefusal("run", "other settings: lr is 0.02 there and 0.03 here") { $0.lr = 0.03 }
    try expectRefusal("run", "other settings: seed is 0 there and 1 here") { $0.seed = 1 }
    try expectRefusal("run", "--batch 97", "96 training images; should be at most 96") { $0.batch = 97 }
    try expectRefusal("none", runs("none"), "--resume must finds no run") { $0.resume = .must }
    try expectRefusal("data/data_batch_1.bin", runs("data/data_batch_1.bin")) { _ in }
    XCTAssertEqual(try runs.run("run") { $0.resume = .must }, .finished)
  }

  func testARunInUseIsRefused() throws {
    let holder = try runs.trainer("run")
    XCTAssertTrue(errorText { try self.runs.trainer("run") }.contains("\(runs("run")): in use by pid \(getpid())"))
    XCTAssertEqual(try holder.run(), .finished)
  }

  func testADamagedCheckpointIsPassedOverForAnOlderOne() throws {
    try runs.run("whole")
    for (name, file) in [("flipped", "model.safetensors"), ("cut", "optimizer.safetensors")] {
      try stop(name, after: 7)
      let path = "\(name)/checkpoints/step-00000006/\(file)"
      if name == "flipped" { try runs.damage(path) } else { truncate(runs(path), 100) }
      let shown = Lines()
      XCTAssertEqual(try runs.run(name, shown: shown), .finished)
      XCTAssertTrue(shown.text.contains("passing over a checkpoint: \(runs(path)): is damaged: "), shown.text)
      XCTAssertTrue(shown.text.contains("resumed from step 3 of 8"), shown.text)
      XCTAssertEqual(try runs.losses(name), try runs.losses("whole"))
      for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        XCTAssertEqual(try runs.checkpoint(name, step: 8, file), try runs.checkpoint("whole", step: 8, file), file)
      }
    }
  }

  func testWithoutAGoodCheckpointNothingStartsAnew() throws {
    try stop("run", after: 7)
    for step in ["3", "6"] { try runs.damage("run/checkpoints/step-0000000\(step)/model.safetensors") }
    try expectRefusal("run", "none of 2 checkpoints is good", "step-00000006/model.safetensors: is damaged") { _ in }
  }

  func testBeforeItsFirstCheckpointARunStartsAnew() throws {
    try runs.run("whole")
    try stop("run", after: 2)
    let shown = Lines()
    XCTAssertEqual(try runs.run("run", shown: shown), .finished)
    XCTAssertTrue(shown.text.contains("stopped before its first checkpoint; it starts anew"), shown.text)
    XCTAssertEqual(try runs.losses("run"), try runs.losses("whole"))
    XCTAssertEqual(try runs.checkpoint("run", step: 8), try runs.checkpoint("whole", step: 8))
  }

  func testACheckpointOfAnotherRunIsRefused() throws {
    try stop("run", after: 7)
    try runs.run("other") { $0.seed = 5 }
    for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
      try runs.checkpoint("other", step: 6, name).write(
        to: URL(fileURLWithPath: runs("run/checkpoints/step-00000006/\(name)")))
    }
    try expectRefusal("run", "step-00000006: is a checkpoint of a run with other settings") { _ in }
  }

  // MARK: - The data

  /// A run goes on with the same images, wherever they are, and with no others.
  func testARunGoesOnWithItsImagesAlone() throws {
    try stop("run", after: 4)
    let (here, digest) = (runs("data"), try XCTUnwrap(try runs.json("run/config.json")["data_digest"]?.string))
    XCTAssertEqual(
      try runs.json("run/checkpoints/step-00000003/state.json")["state"]?["data_digest"], JSON(digest))
    try TinyImages.write(to: runs("fewer"), train: 64)
    try TinyImages.write(to: runs("other test"), test: 50)
    try FileManager.default.copyItem(atPath: here, toPath: runs("label"))
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: runs("label/data_batch_1.bin")))
    try file.write(contentsOf: [9])
    try file.close()
    for name in ["fewer", "other test", "label"] {
      try expectRefusal("run", runs("run"), "other images: \(digest) there and train ") { $0.data = self.runs(name) }
    }
    try FileManager.default.moveItem(atPath: here, toPath: runs("moved"))
    try FileManager.default.createSymbolicLink(atPath: runs("link"), withDestinationPath: runs("moved"))
    for data in [runs("moved"), runs("moved") + "/", runs("link")] {
      let trainer = try runs.trainer("run") { $0.data = data }
      trainer.afterStep = { if $0 == 4 { throw Killed() } }
      XCTAssertThrowsError(try trainer.run()) { XCTAssertTrue($0 is Killed, "\($0)") }
    }
    XCTAssertEqual(try runs.run("run") { $0.data = self.runs("moved") }, .finished)
    let config = try runs.json("run/config.json")
    let old = JSON.object((config.members ?? []).filter { $0.key != "data_digest" })
    try old.pretty.write(toFile: runs("run/config.json"), atomically: true, encoding: .utf8)
    try expectRefusal("run", "a run of an earlier version") { $0.data = self.runs("moved") }
    try config.pretty.write(toFile: runs("run/config.json"), atomically: true, encoding: .utf8)
    // A finished run is not shown for other images either.
    try TinyImages.write(to: runs("data"))
    try expectRefusal("run", "holds a run on other images") { $0.data = self.runs("fewer") }
  }

  // MARK: - Starting weights

  func testStartingWeightsComeFromAFile() throws {
    try runs.run("first")
    let file = runs("first/checkpoints/step-00000008/model.safetensors")
    try runs.run("second") {
      $0.initFile = file
      $0.steps = 1
      ($0.lr, $0.weightDecay, $0.ema, $0.emaSchedule, $0.warmupSteps) = (1e-30, 0, 1, .constant, 0)
    }
    let (from, to) = (
      try SafetensorsFile(path: file),
      try SafetensorsFile(path: runs("second/checkpoints/step-00000001/model.safetensors"))
    )
    for name in ["online.encoder.layer4.0.conv2.weight", "online.predictor.3.bias", "target.projector.0.weight"] {
      XCTAssertEqual(try to.floats(name), try from.floats(name), name)
    }
    XCTAssertNotEqual(try from.floats("online.projector.0.weight"), try from.floats("target.projector.0.weight"))
  }

  func testAFileThatDoesNotFitTheModelIsRefusedBeforeARunIsMade() throws {
    try runs.run("first")
    let model = runs("first/checkpoints/step-00000008/model.safetensors")
    func write(_ name: String, _ tensor: String, _ shape: [Int]) throws -> String {
      var writer = SafetensorsWriter()
      let values = [Float](repeating: 1, count: shape.reduce(1, *))
      values.withUnsafeBufferPointer { writer.add(tensor, shape: shape, floats: $0.baseAddress!) }
      let path = runs(name)
      try AtomicFile.write(to: path) { try writer.write(to: &$0, path: path) }
      return path
    }
    let unknown = try write("unknown", "online.encoder.conv9.weight", [4])
    try expectRefusal("run", unknown, "online.encoder.conv9.weight") { $0.initFile = unknown }
    let shape = try write("shape", "online.projector.3.bias", [9])
    try expectRefusal("run", shape, "online.projector.3.bias has shape [9], the model's has [8]") {
      $0.initFile = shape
    }
    try expectRefusal("run", "online.encoder.conv1.weight has shape [4, 3, 3, 3]") {
      ($0.initFile, $0.width) = (model, 8)
    }
    try expectRefusal("run", runs("absent")) { $0.initFile = self.runs("absent") }
    try Data(try Data(contentsOf: URL(fileURLWithPath: model)).prefix(5000)).write(
      to: URL(fileURLWithPath: runs("short")))
    try expectRefusal("run", runs("short")) { $0.initFile = self.runs("short") }
    // The name is still free for the right file.
    XCTAssertEqual(try runs.run("run") { $0.initFile = model }, .finished)
  }
}
