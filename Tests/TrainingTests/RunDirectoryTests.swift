import Files
import Foundation
import Training
import XCTest

final class RunDirectoryTests: XCTestCase {
  let runs = TemporaryRuns()
  let settings: JSON = ["method": "byol", "lr": 0.2, "steps": 800, "threads": 2, "seed": JSON(UInt64.max)]
  let binding = ["method", "lr", "steps", "seed"]

  private func open(_ settings: JSON? = nil, _ policy: ResumePolicy = .auto, _ name: String = "x") throws
    -> RunDirectory
  {
    try RunDirectory(path: runs(name), settings: settings ?? self.settings, binding: binding, policy: policy)
  }

  private func with(_ key: String, _ value: JSON) -> JSON {
    .object(settings.members!.map { $0.key == key ? .init(key, value) : $0 })
  }

  func testAFreshRunAndItsResumption() throws {
    do {
      let run = try open(nil, .never, "deep/er/x")
      guard case .fresh = run.start else { return XCTFail("\(run.start)") }
      XCTAssertEqual(run.resumeStep, 0)
      XCTAssertEqual(try JSON(parsing: try runs.text("deep/er/x/config.json")), settings)
      try run.checkpoints.writeSmall(step: 40)
    }
    XCTAssertEqual(
      try AtomicDirectory.entries(of: runs("deep/er/x")), ["checkpoints", "config.json"], "no lock is left")
    for policy in [ResumePolicy.auto, .must] {
      let run = try open(with("threads", 1), policy, "deep/er/x")
      guard case .resume(let checkpoint) = run.start else { return XCTFail("\(run.start)") }
      XCTAssertEqual(checkpoint.step, 40)
      XCTAssertEqual(run.resumeStep, 40)
      XCTAssertEqual(run.notes, [])
    }
    XCTAssertEqual(try JSON(parsing: try runs.text("deep/er/x/config.json")), settings, "written once")
  }

  func testOtherSettingsAreAnErrorThatNamesTheFirst() throws {
    try open().checkpoints.writeSmall(step: 40)
    let before = try runs.everything()
    let text = errorText { try open(.object(with("lr", 0.4).members!.filter { $0.key != "steps" })) }
    XCTAssertEqual(
      text, "\(runs("x")): holds a run of other settings: lr is 0.2 there and 0.4 here; choose another --out")
    XCTAssertTrue(errorText { try open(with("steps", .null)) }.contains("steps is 800 there and null here"))
    XCTAssertTrue(errorText { try open(with("seed", JSON(UInt64.max - 1))) }.contains("seed is 18446744073709551615"))
    XCTAssertTrue(errorText { try open(nil, .never) }.contains("--resume never"))
    XCTAssertEqual(try runs.everything(), before, "nothing was written")
  }

  func testMustWantsACheckpoint() throws {
    XCTAssertTrue(errorText { try open(nil, .must) }.hasSuffix("--resume must finds no run here to go on with"))
    XCTAssertFalse(AtomicDirectory.exists(runs("x")))
    _ = try open()
    XCTAssertTrue(errorText { try open(nil, .must) }.contains("finds a run without a checkpoint"))
    let run = try open()
    guard case .fresh = run.start else { return XCTFail("\(run.start)") }
    XCTAssertEqual(run.notes.count, 1, "and it says that it starts anew")
  }

  func testAFinishedRunStaysAsItIs() throws {
    do {
      let run = try open()
      try run.checkpoints.writeSmall(step: 800)
      try run.writeSummary(["probe_accuracy": 57.7, "steps": 800])
    }
    let before = try runs.everything()
    for policy in [ResumePolicy.auto, .must] {
      guard case .finished(let summary) = try open(nil, policy).start else { return XCTFail("not finished") }
      XCTAssertEqual(summary["probe_accuracy"]?.double, 57.7)
    }
    XCTAssertTrue(errorText { try open(with("steps", 1600)) }.contains("steps is 800 there and 1600 here"))
    XCTAssertEqual(try runs.everything(), before)
  }

  func testRemainsWithoutSettingsAreRefused() throws {
    for name in ["metrics.jsonl", "summary.json"] {
      try AtomicDirectory.create(runs(name + ".d"))
      try runs.write("{}", to: name + ".d/" + name)
      XCTAssertTrue(errorText { try open(nil, .auto, name + ".d") }.contains("has \(name) but no config.json"))
    }
    try AtomicDirectory.create(runs("c/checkpoints"))
    XCTAssertTrue(errorText { try open(nil, .auto, "c") }.contains("has checkpoints but no config.json"))
    try AtomicDirectory.create(runs("log"))
    try runs.write("a batch system's output", to: "log/slurm-1.out")
    XCTAssertNoThrow(try open(nil, .auto, "log"))
  }

  func testDamageIsOneLine() throws {
    _ = try open()
    try runs.write("{\"method\": ", to: "x/config.json")
    let text = errorText { try open() }
    XCTAssertTrue(text.hasPrefix(runs("x/config.json") + ": not valid JSON at byte "), text)
    try runs.write("x", to: "file")
    XCTAssertTrue(errorText { try open(nil, .auto, "file") }.hasSuffix("cannot make this directory: File exists"))
    XCTAssertTrue(errorText { try open(nil, .auto, "file/x") }.hasSuffix("cannot make this directory: File exists"))
  }

  func testADamagedNewestCheckpointIsNoted() throws {
    do {
      let run = try open()
      try run.checkpoints.writeSmall(step: 40)
      try run.checkpoints.writeSmall(step: 80)
    }
    try runs.damage("x/checkpoints/step-00000080/model.safetensors")
    let run = try open()
    XCTAssertEqual(run.resumeStep, 40)
    XCTAssertEqual(run.notes.map { $0.hasPrefix("passing over a checkpoint: ") }, [true], "\(run.notes)")
  }

  func testTwoJobsDoNotShareADirectory() throws {
    let first = try open()
    let text = errorText { try open() }
    XCTAssertTrue(text.hasPrefix("\(runs("x")): in use by pid \(getpid()) on host "), text)
    XCTAssertTrue(AtomicDirectory.exists(runs("x/.lock")), "a refused job does not take the lock's file away")
    withExtendedLifetime(first) {}
    XCTAssertNoThrow(try open(nil, .auto, "y"))
  }

  /// The lock is the system's, not the file's: what a killed job leaves does not bar the next.
  func testAKilledJobsLockIsGone() throws {
    _ = try open()
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/flock") else { throw XCTSkip("no flock program here") }
    try runs.write("pid 12345 on host elsewhere\n", to: "x/.lock")
    holder.arguments = ["--no-fork", runs("x/.lock"), "/bin/sleep", "60"]
    try holder.run()
    for _ in 0..<500 {
      let probe = Foundation.open(runs("x/.lock"), O_RDWR)
      let isFree = flock(probe, LOCK_EX | LOCK_NB) == 0
      close(probe)
      if !isFree { break }
      usleep(10_000)
    }
    let text = errorText { try open() }
    kill(holder.processIdentifier, SIGKILL)
    holder.waitUntilExit()
    XCTAssertTrue(text.contains("in use by pid 12345 on host elsewhere; "), text)
    XCTAssertTrue(AtomicDirectory.exists(runs("x/.lock")), "as a killed job leaves it")
    XCTAssertNoThrow(try open())
  }

  func testDefaultNames() {
    let date = Date(timeIntervalSince1970: 1_763_930_701)
    let utc = TimeZone(secondsFromGMT: 0)!
    func name(_ data: String) -> String {
      RunDirectory.defaultPath(method: "byol", data: data, at: date, in: runs("r"), timeZone: utc)
    }
    XCTAssertEqual(name("shapes"), runs("r/byol-shapes-20251123-204501"))
    XCTAssertEqual(name("/data/cifar 10é/"), runs("r/byol-cifar-10--20251123-204501"))
    XCTAssertEqual(name("/"), runs("r/byol-data-20251123-204501"))
    try? AtomicDirectory.create(name("shapes"))
    XCTAssertEqual(name("shapes"), runs("r/byol-shapes-20251123-204501-2"))
  }
}
