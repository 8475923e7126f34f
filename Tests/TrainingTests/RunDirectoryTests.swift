import Collectives
import Files
import Foundation
import Synchronization
import Training
import XCTest

final class RunDirectoryTests: XCTestCase {
  let runs = TemporaryRuns()
  let settings: JSON = [
    "version": "0.1.0", "recipe": "quick", "ranks": 2, "method": "byol", "lr": 0.2, "steps": 800, "threads": 2,
    "seed": JSON(UInt64.max),
  ]
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
  }

  /// Makes what a table's entry says, `name/` for a directory, `name|` for a FIFO, else a file of the text.
  private func make(_ entry: (name: String, text: String), in folder: String) throws {
    let path = runs(folder + "/" + entry.name)
    if entry.name.hasSuffix("/") {
      try AtomicDirectory.create(path)
    } else if entry.name.hasSuffix("|") {
      XCTAssertEqual(mkfifo(String(path.dropLast()), 0o644), 0)
    } else {
      try runs.write(entry.text, to: folder + "/" + entry.name)
    }
  }

  /// Every path below, whatever it is.
  private func paths() throws -> [String] { try FileManager.default.subpathsOfDirectory(atPath: runs.path).sorted() }

  func testAFolderOfSomethingElseIsLeftAsItIs() throws {
    let mine = "{\"version\": \"1\", \"recipe\": \"quick\"}"
    let table: [(entries: [(String, String)], text: String)] = [
      ([("notes.txt", "")], "is no run's directory: it holds notes.txt; should be a run's, empty or absent"),
      ([("a", ""), ("b/", ""), ("c", "")], "it holds a and b and 1 more; "),
      ([("study.json", "{}")], "it holds study.json"),
      // Names like those of leftovers, and leftovers of the wrong kind.
      ([(".a.partial-b/", "")], "it holds .a.partial-b"), ([(".x.replaced", "")], "it holds .x.replaced"),
      ([(".config.json.partial-x", "")], ".config.json.partial-x"), ([(".config.json.partial-1/", "")], ".partial-1"),
      ([(".config.json.replaced", "")], ".replaced"), ([(".notes.partial-1", "")], ".notes.partial-1"),
      ([(".lock", "another program's")], "it holds .lock"), ([(".lock/", "")], "it holds .lock"),
      ([(".lock|", "")], "it holds .lock"), ([(".lock", ""), ("mine", "")], "it holds mine"),
      // Others' config.json.
      ([("config.json", "{\"architectures\": [\"ResNet\"]}"), (".config.json.partial-1", "")], "is not of a run"),
      ([("config.json", "[]")], "is not of a run"), ([("config.json", mine)], "is not of a run"),
      ([("config.json", "key = value")], "not valid JSON at byte 0"),
      ([("config.json", "")], "is empty; should be JSON"),
      ([("config.json/", "")], "is a directory; should be a regular file"),
      ([("config.json|", ""), (".lock", "")], "is a FIFO; should be a regular file"),
    ]
    for (number, (entries, text)) in table.enumerated() {
      try AtomicDirectory.create(runs("\(number)"))
      for entry in entries { try make(entry, in: "\(number)") }
      let before = (try runs.everything(), try paths())
      for policy in [ResumePolicy.auto, .must, .never] {
        XCTAssertThrowsError(try open(nil, policy, "\(number)")) { error in
          XCTAssertTrue("\(error)".contains(text), "\(number): \(error)")
          XCTAssertTrue(
            "\(error)".hasPrefix(runs("\(number)")) && "\(error)".contains("choose another --out"), "\(error)")
          XCTAssertFalse("\(error)".contains("\n"))
          XCTAssertEqual(ExitStatus(for: error), .usage)
        }
      }
      XCTAssertEqual(try runs.everything(), before.0, "\(number)")
      XCTAssertEqual(try paths(), before.1, "\(number): nothing was made, removed or renamed")
    }
  }

  func testLeftoversAloneCountAsNothing() throws {
    let lock = "pid 12345 on host elsewhere\n"
    for (number, entries) in [
      [(".config.json.partial-4711", "{")], [(".lock", lock)], [(".lock", "")],
      [(".summary.json.partial-1", ""), (".config.json.partial-2", ""), (".lock", lock)],
    ].enumerated() {
      try AtomicDirectory.create(runs("\(number)"))
      for entry in entries { try make(entry, in: "\(number)") }
      guard case .fresh = try open(nil, .auto, "\(number)").start else { return XCTFail("\(entries)") }
      XCTAssertEqual(try AtomicDirectory.entries(of: runs("\(number)")), ["config.json"])
    }
  }

  /// What is refused is refused before leftovers go.
  func testARefusalLeavesLeftovers() throws {
    try open().checkpoints.writeSmall(step: 40)
    for name in ["x/.summary.json.partial-1", "x/notes", "x/.a.partial-7"] { try runs.write("", to: name) }
    for name in [".step-00000080.partial-7", ".step-00000020.replaced", ".x.replaced", ".step-20.partial-7"] {
      try AtomicDirectory.create(runs("x/checkpoints/" + name))
    }
    let before = try paths()
    XCTAssertThrowsError(try open(with("lr", 0.4)))
    XCTAssertThrowsError(try open(nil, .never))
    XCTAssertEqual(try paths(), before)
    try runs.damage("x/checkpoints/step-00000040/model.safetensors")
    XCTAssertThrowsError(try open(), "no checkpoint is good")
    XCTAssertEqual(try paths(), before)
    try runs.damage("x/checkpoints/step-00000040/model.safetensors")
    XCTAssertEqual(try open().resumeStep, 40)
    XCTAssertEqual(
      try AtomicDirectory.entries(of: runs("x/checkpoints")),
      [".step-20.partial-7", ".x.replaced", "step-00000020", "step-00000040"], "others' entries stay")
    XCTAssertEqual(
      try AtomicDirectory.entries(of: runs("x")), [".a.partial-7", "checkpoints", "config.json", "notes"])
  }

  /// A checkpoint that was being replaced when its writer was killed counts where it is, and is put back.
  func testACheckpointThatWasBeingReplacedIsFound() throws {
    try open().checkpoints.writeSmall(step: 40)
    rename(runs("x/checkpoints/step-00000040"), runs("x/checkpoints/.step-00000040.replaced"))
    XCTAssertThrowsError(try open(with("lr", 0.4)))
    XCTAssertEqual(try AtomicDirectory.entries(of: runs("x/checkpoints")), [".step-00000040.replaced"])
    guard case .resume(let checkpoint) = try open().start else { return XCTFail("it starts anew") }
    XCTAssertEqual(checkpoint.path, runs("x/checkpoints/step-00000040"))
    XCTAssertEqual(try AtomicDirectory.entries(of: runs("x/checkpoints")), ["step-00000040"])
  }

  func testCheckpointsOfAnotherKindAreNoFreshStart() throws {
    _ = try open()
    for change in [
      { try self.runs.write("", to: "x/checkpoints") }, { symlink("nowhere", self.runs("x/checkpoints")) },
    ] {
      try change()
      XCTAssertTrue(errorText { try open() }.hasSuffix("; should be a directory"))
      unlink(runs("x/checkpoints"))
    }
    XCTAssertNoThrow(try open())
  }

  func testADirectoryMadeInVainGoes() throws {
    struct Refused: Error {}
    XCTAssertThrowsError(
      try RunDirectory(path: runs("deep/er/x"), settings: settings, binding: binding, policy: .auto) { throw Refused() }
    )
    XCTAssertEqual(try paths(), [])
    try AtomicDirectory.create(runs("x"))
    XCTAssertThrowsError(
      try RunDirectory(path: runs("x"), settings: settings, binding: binding, policy: .auto) { throw Refused() })
    XCTAssertEqual(try paths(), ["x"], "one that was there stays, and is empty as before")
    symlink(runs("nowhere"), runs("link"))
    XCTAssertTrue(errorText { try open(nil, .auto, "link") }.contains("a symbolic link that leads nowhere"))
  }

  // MARK: - A directory that goes during the run

  func testADirectoryThatIsNoLongerHeld() throws {
    let table: [(change: (String) throws -> Void, text: String)] = [
      ({ try AtomicDirectory.remove($0) }, "was removed"), ({ rename($0, $0 + ".moved") }, "was removed"),
      (
        { path in
          rename(path, path + ".moved")
          try AtomicDirectory.create(path)
        }, "was replaced by another directory"
      ),
      ({ unlink($0 + "/.lock") }, "its .lock, which keeps other jobs out, was removed"),
      (
        { try AtomicFile.write("pid 1 on host x\n", to: $0 + "/.lock") },
        "its .lock, which keeps other jobs out, was replaced"
      ),
      ({ unlink($0 + "/config.json") }, "its config.json was removed"),
    ]
    for (number, (change, text)) in table.enumerated() {
      let run = try open(nil, .auto, "\(number)")
      XCTAssertNoThrow(try run.check(step: 3))
      try change(run.path)
      let before = try paths()
      for body in [{ try run.check(step: 40) }, { try run.writeSummary(["steps": 40]) }] {
        XCTAssertThrowsError(try body()) { error in
          XCTAssertTrue("\(error)".hasPrefix("\(run.path): \(text) during the run, seen at step 40; "), "\(error)")
          XCTAssertEqual(ExitStatus(for: error), .failed)
          XCTAssertEqual((error as? any StatusError)?.isPermanent, true)
        }
      }
      XCTAssertEqual(try paths(), before)
      if text == "was removed" {
        XCTAssertThrowsError(try run.checkpoints.writeSmall(step: 40))
        XCTAssertEqual(try paths(), before, "a checkpoint makes no run directory")
      }
    }
  }

  func testALockThatIsAnothersStays() throws {
    do {
      let run = try open()
      try AtomicFile.write("pid 1 on host x\n", to: runs("x/.lock"))
      withExtendedLifetime(run) {}
    }
    XCTAssertEqual(try runs.text("x/.lock"), "pid 1 on host x\n")
  }

  func testDamageIsOneLine() throws {
    _ = try open()
    try runs.write("{\"method\": ", to: "x/config.json")
    let text = errorText { try open() }
    XCTAssertTrue(text.hasPrefix(runs("x/config.json") + ": not valid JSON at byte "), text)
    try runs.write("x", to: "file")
    XCTAssertTrue(
      errorText { try open(nil, .auto, "file") }.hasSuffix("is a regular file; should be a directory or absent"))
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

  func testDefaultNames() throws {
    let date = Date(timeIntervalSince1970: 1_763_930_701)
    let utc = TimeZone(secondsFromGMT: 0)!
    func name(_ data: String) throws -> String {
      try RunDirectory.makeDefault(method: "byol", data: data, at: date, in: runs("r"), timeZone: utc)
    }
    let table = [
      ("shapes", "byol-shapes-20251123-204501"), ("/data/cifar 10é/", "byol-cifar-10--20251123-204501"),
      ("/", "byol-data-20251123-204501"), ("shapes", "byol-shapes-20251123-204501-2"),
      ("x/shapes", "byol-shapes-20251123-204501-3"),
    ]
    for (data, expected) in table {
      XCTAssertEqual(try name(data), runs("r/" + expected))
      XCTAssertEqual(try AtomicDirectory.entries(of: runs("r/" + expected)), [], "it is there, and empty")
    }
    // As many at once as a cluster's scheduler starts.
    let names = Mutex<Set<String>>([])
    let (folder, wanted) = (runs("at-once"), 200)
    DispatchQueue.concurrentPerform(iterations: wanted) { _ in
      let made = try? RunDirectory.makeDefault(method: "byol", data: "x", at: date, in: folder, timeZone: utc)
      names.withLock { if let made { $0.insert(made) } }
    }
    XCTAssertEqual(names.withLock { $0.count }, wanted)
    XCTAssertLessThan(try name(String(repeating: "x", count: 300)).count, runs("r/").count + 200)
    try runs.write("", to: "file")
    XCTAssertEqual(
      errorText { try RunDirectory.makeDefault(method: "byol", data: "x", in: runs("file")) },
      "\(runs("file")): cannot make this directory: File exists")
  }
}
