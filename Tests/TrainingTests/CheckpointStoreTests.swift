import Files
import Foundation
import Training
import XCTest

final class CheckpointStoreTests: XCTestCase {
  let runs = TemporaryRuns()

  private func store(_ fingerprint: String = "f") throws -> CheckpointStore {
    CheckpointStore(path: runs("checkpoints"), fingerprint: fingerprint)
  }
  private func names() throws -> [String] { try AtomicDirectory.entries(of: runs("checkpoints")) }

  func testWhatIsWrittenIsFoundAgain() throws {
    XCTAssertNil(try store().newestGood())
    let written = try store().writeSmall(step: 20)
    try store().writeSmall(step: 9)
    let found = try XCTUnwrap(try store().newestGood())
    XCTAssertEqual(found.checkpoint, written)
    XCTAssertEqual(found.passedOver, [])
    XCTAssertEqual(found.checkpoint.step, 20, "by number, not by time")
    XCTAssertEqual(found.checkpoint.state["seed"]?.uint64, .max)
    let model = try SafetensorsFile(path: found.checkpoint.file("model.safetensors"))
    XCTAssertEqual(try model.floats("w"), [20, 1])
    XCTAssertEqual(try names(), ["step-00000009", "step-00000020"])
    XCTAssertEqual(
      try AtomicDirectory.entries(of: found.checkpoint.path),
      ["model.safetensors", "optimizer.safetensors", "state.json"])
  }

  func testEqualCheckpointsHaveEqualBytes() throws {
    try store().writeSmall(step: 20)
    let first = try runs.everything()
    try AtomicDirectory.remove(runs("checkpoints"))
    try store().writeSmall(step: 20)
    XCTAssertEqual(first.count, 3)
    XCTAssertEqual(try runs.everything(), first)
  }

  func testADamagedNewestIsPassedOverWithItsReason() throws {
    for damage in ["model.safetensors", "optimizer.safetensors", "state.json"] {
      try store().writeSmall(step: 10)
      try store().writeSmall(step: 20)
      try runs.damage("checkpoints/step-00000020/\(damage)")
      let found = try XCTUnwrap(try store().newestGood())
      XCTAssertEqual(found.checkpoint.step, 10)
      XCTAssertEqual(found.passedOver.map(\.step), [20])
      let reason = found.passedOver.first?.reason ?? ""
      XCTAssertTrue(reason.hasPrefix(runs("checkpoints/step-00000020/\(damage): is damaged: ")), reason)
    }
  }

  func testMissingAndShortFilesAreSeen() throws {
    try store().writeSmall(step: 10)
    try store().writeSmall(step: 20)
    try store().writeSmall(step: 30)
    truncate(runs("checkpoints/step-00000030/model.safetensors"), 9)
    unlink(runs("checkpoints/step-00000020/optimizer.safetensors"))
    let found = try XCTUnwrap(try store().newestGood())
    XCTAssertEqual(found.checkpoint.step, 10)
    guard found.passedOver.count == 2 else { return XCTFail("\(found.passedOver)") }
    XCTAssertTrue(found.passedOver[0].reason.contains("is damaged: 9 bytes where "), found.passedOver[0].reason)
    XCTAssertTrue(found.passedOver[1].reason.contains("optimizer.safetensors: cannot open: No such file"))
  }

  func testOnlyDamagedOnesAreAnErrorNotAFreshStart() throws {
    try store().writeSmall(step: 10)
    try runs.damage("checkpoints/step-00000010/state.json")
    XCTAssertTrue(errorText { try self.store().newestGood() }.contains("none of 1 checkpoints is good ("))
    XCTAssertThrowsError(try store().newestGood()) {
      XCTAssertEqual(($0 as? RunDirectoryError)?.isUserMistake, true)
    }
  }

  func testAForeignOrRenamedCheckpointIsNotUsed() throws {
    try store("other").writeSmall(step: 10)
    XCTAssertTrue(errorText { try self.store().newestGood() }.hasSuffix("is a checkpoint of a run with other settings"))
    try AtomicDirectory.remove(runs("checkpoints"))
    try store().writeSmall(step: 10)
    rename(runs("checkpoints/step-00000010"), runs("checkpoints/step-00000040"))
    XCTAssertTrue(errorText { try self.store().newestGood() }.contains("is of step 10, not of 40"))
  }

  func testPruningKeepsTheNewestAndNeverTheGoodOneAway() throws {
    let writer = try store()
    for step in [10, 20, 30, 40] { try writer.writeSmall(step: step) }
    try writer.prune(keep: 2)
    XCTAssertEqual(try writer.steps(), [30, 40])
    try runs.damage("checkpoints/step-00000040/model.safetensors")
    let reader = try store()
    try reader.prune(keep: 1)
    XCTAssertEqual(try reader.steps(), [30, 40], "nothing is removed before one is known to be good")
    XCTAssertEqual(try reader.newestGood()?.checkpoint.step, 30)
    try reader.prune(keep: 1)
    XCTAssertEqual(try reader.steps(), [30, 40], "the good one stays though a damaged one is newer")
    try reader.writeSmall(step: 40)
    try reader.prune(keep: 0)
    XCTAssertEqual(try reader.steps(), [40])
    XCTAssertEqual(try store().newestGood()?.checkpoint.step, 40, "the damaged one was replaced")
  }

  func testAFailedWriteLeavesTheEarlierOnes() throws {
    struct Broken: Error {}
    let store = try store()
    try store.writeSmall(step: 10)
    XCTAssertThrowsError(
      try store.write(
        step: 20,
        files: [("a.safetensors", { $0.add("w", values: [Float(1)]) }), ("b.safetensors", { _ in throw Broken() })],
        state: [:]))
    XCTAssertEqual(try names(), ["step-00000010"])
  }

  func testLeftoversOfAKilledWriterAreRemovedByRecovery() throws {
    try store().writeSmall(step: 10)
    try AtomicDirectory.create(runs("checkpoints/.step-00000020.partial-4711"))
    try runs.write("half", to: "checkpoints/.step-00000020.partial-4711/model.safetensors")
    XCTAssertEqual(try store().steps(), [10])
    XCTAssertEqual(try names(), [".step-00000020.partial-4711", "step-00000010"], "opening changes nothing")
    try store().recover()
    XCTAssertEqual(try names(), ["step-00000010"])
  }

  func testOtherNamesAreNotCheckpoints() throws {
    try AtomicDirectory.create(runs("checkpoints"))
    for name in ["step-1", "step-0000000x", "notes", "step-000000010", "step--0000001"] {
      try AtomicDirectory.create(runs("checkpoints/" + name))
    }
    XCTAssertEqual(try store().steps(), [])
    XCTAssertEqual(CheckpointStore.name(step: 123_456_789), "step-123456789")
  }

  /// As an earlier version may have written one: whole by its checksums.
  func testACheckpointThatIsNotFiniteIsPassedOver() throws {
    try store().writeSmall(step: 10)
    for (step, value) in [(20, Float.nan), (30, .infinity), (40, -.infinity)] {
      try store().writeSmall(step: step, value: value)
    }
    let found = try XCTUnwrap(try store().newestGood())
    XCTAssertEqual(found.checkpoint.step, 10)
    XCTAssertEqual(
      found.passedOver.map(\.reason),
      [40, 30, 20].map {
        runs("checkpoints/step-000000\($0)/model.safetensors") + ": tensor \"w\" holds a number that is not finite"
      })
    try AtomicDirectory.remove(runs("checkpoints/step-00000010"))
    XCTAssertTrue(errorText { try self.store().newestGood() }.contains("none of 3 checkpoints is good ("))
  }

  func testFilesOfOtherKindsAreDamage() throws {
    for name in ["model.safetensors", "state.json"] {
      try store().writeSmall(step: 10)
      try store().writeSmall(step: 20)
      let path = runs("checkpoints/step-00000020/" + name)
      unlink(path)
      XCTAssertEqual(mkfifo(path, 0o644), 0)
      let found = try XCTUnwrap(try store().newestGood())
      XCTAssertEqual(found.checkpoint.step, 10)
      XCTAssertEqual(found.passedOver.map(\.reason), [path + ": is a FIFO; should be a regular file"])
    }
  }

  func testCheckpointsThatWereRemovedAreMadeAnew() throws {
    let store = try store()
    try store.writeSmall(step: 10)
    try AtomicDirectory.remove(runs("checkpoints"))
    try store.writeSmall(step: 20)
    try store.prune(keep: 3)
    XCTAssertEqual(try store.steps(), [20])
    try AtomicDirectory.remove(runs("checkpoints"))
    try runs.write("", to: "checkpoints")
    XCTAssertTrue(errorText { try store.writeSmall(step: 30) }.hasSuffix("is a regular file; should be a directory"))
  }
}
