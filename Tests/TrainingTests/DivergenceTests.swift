import Files
import Methods
import Training
import XCTest

/// Numbers that are not finite end a run and are never saved, wherever they are.
final class DivergenceTests: XCTestCase {
  let runs = TemporaryRuns()

  /// A trainer whose numbers are spoiled after step 4 of 8, with checkpoints after steps 3 and 6.
  private func spoiled(
    _ name: String, by number: Float = .nan, probeEvery: Int = 0, _ spoil: @escaping (Siamese, Float) -> Void,
    _ change: @escaping (inout Configuration) -> Void = { _ in }
  ) throws -> Trainer {
    let trainer = try runs.trainer(name) {
      $0.probeEvery = probeEvery
      change(&$0)
    }
    trainer.afterStep = { [unowned trainer] in if $0 == 4 { spoil(trainer.method, number) } }
    return trainer
  }

  private func error(of trainer: Trainer, line: UInt = #line) -> DivergedError? {
    do {
      let outcome = try trainer.run()
      XCTFail("\(outcome)", line: line)
    } catch {
      XCTAssertTrue(error is DivergedError, "\(error)", line: line)
      return error as? DivergedError
    }
    return nil
  }

  func testEveryTensorIsJudgedBeforeACheckpoint() throws {
    let places: [(String, String, (Siamese, Float) -> Void)] = [
      // The step after turns one weight into all; a weight that the loss does not see shows in itself alone.
      ("weight", "online.encoder.conv1.weight", { $0.online.values.pointer[0] = $1 }),
      ("buffer", "online.encoder.bn1.running_mean", { $0.online.running.pointer[0] = $1 }),
      ("target's buffer", "target.encoder.bn1.running_mean", { $0.target?.running.pointer[0] = $1 }),
    ]
    for (name, tensor, spoil) in places {
      for number in [Float.nan, .infinity, -.infinity] {
        let run = "\(name) \(number)"
        let found = error(of: try spoiled(run, by: number, spoil))
        if name == "weight" {
          XCTAssertEqual(found?.sign, .loss, run)
        } else {
          XCTAssertEqual(found, DivergedError(step: 6, sign: .tensor(tensor)), run)
        }
        XCTAssertEqual(try AtomicDirectory.entries(of: runs("\(run)/checkpoints")), ["step-00000003"], run)
        XCTAssertFalse(AtomicDirectory.exists(runs("\(run)/summary.json")), run)
      }
    }
  }

  func testTheQueueIsJudged() throws {
    let found = error(
      of: try spoiled("queue", { method, number in method.queue?.keys.pointer[method.queue!.keys.count - 1] = number })
      {
        ($0.method, $0.queue, $0.temperature) = (.moco, 320, 0.2)
      })
    // Keys are what the loss compares with: it shows there first, at the latest in the queue before the checkpoint.
    XCTAssertTrue([.loss, .tensor("queue.keys")].contains(found?.sign), "\(String(describing: found))")
    XCTAssertEqual(try AtomicDirectory.entries(of: runs("queue/checkpoints")), ["step-00000003"])
  }

  func testAProbeIsNotMadeOfThem() throws {
    let found = error(of: try spoiled("probe", probeEvery: 5, { $0.target?.running.pointer[0] = $1 }))
    XCTAssertEqual(found, DivergedError(step: 5, sign: .tensor("target.encoder.bn1.running_mean")))
    XCTAssertFalse(try runs.metrics("probe").contains { $0["probe_accuracy"] != nil })
  }

  /// Weights so large that features overflow though every number is finite.
  func testFeaturesThatOverflowAreADivergenceToo() throws {
    let trainer = try runs.trainer("features") { $0.encoderNorm = .none }
    trainer.afterStep = { [unowned trainer] in
      guard $0 == 8 else { return }
      let values = trainer.method.online.values
      for index in 0..<values.count { values.pointer[index] = 1e30 }
    }
    guard case .features = error(of: trainer)?.sign else { return XCTFail("not by its features") }
    XCTAssertFalse(AtomicDirectory.exists(runs("features/summary.json")))
  }

  func testADivergenceIsNotStartedAgain() throws {
    let found = try XCTUnwrap(error(of: try spoiled("again", { $0.online.running.pointer[0] = $1 })))
    XCTAssertEqual(ExitStatus(for: found), .failed)
    XCTAssertTrue(found.isPermanent)
    XCTAssertTrue("\(found)".contains("the weights have diverged; try a lower --lr"), "\(found)")
    XCTAssertFalse("\(found)".contains("\n"))
  }

  // MARK: - Starting weights

  func testStartingWeightsThatAreNotFiniteAreNamed() throws {
    try runs.run("first")
    let model = runs("first/checkpoints/step-00000008/model.safetensors")
    let file = try SafetensorsFile(path: model)
    for name in ["online.encoder.layer1.0.conv1.weight", "online.projector.1.running_var", "target.projector.0.bias"] {
      for number in [Float.nan, .infinity] {
        var floats = try file.floats(name)
        floats[floats.count / 2] = number
        var writer = SafetensorsWriter()
        let (shape, values) = (try file.shape(name), floats)
        writer.add(name, shape: shape) { for index in values.indices { $0[index] = values[index] } }
        let path = runs("bad.safetensors")
        try AtomicFile.write(to: path) { try writer.write(to: &$0, path: path) }
        let text = errorText { try self.runs.trainer("second") { $0.initFile = path } }
        XCTAssertEqual(text, "--init \(path): tensor \(name) holds a number that is not finite")
        XCTAssertFalse(AtomicDirectory.exists(runs("second/config.json")))
      }
    }
  }
}
