import Collectives
import Files
import Foundation
import NetworkTesting
import Studies
import Training
import XCTest

final class StudyRunnerTests: XCTestCase {
  private let runs = ["bn/seed-0", "bn/seed-7", "none/seed-0", "none/seed-7"]

  func testEveryRunIsAsTrainWouldMakeIt() throws {
    let here = try TemporaryStudy()
    let shown = Lines()
    let study = try here.study()
    XCTAssertEqual(try here.runner(study, "s", shown: shown).run(), .finished)
    // The last run, after three others in the same process, beside one by itself.
    var settings = study.base
    (settings.projectorNorm, settings.seed, settings.out) = (.none, 7, here("alone"))
    let request = RunRequest(configuration: settings, recipe: .quick)
    XCTAssertEqual(try Trainer(request, world: try Communicator.start()) { _ in }.run(), .finished)
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
      let part = "checkpoints/step-00000008/" + file
      XCTAssertEqual(try here.bytes("s/none/seed-7/" + part), try here.bytes("alone/" + part), file)
    }
    let (ours, theirs) = (try here.json("s/none/seed-7/config.json"), try here.json("alone/config.json"))
    for setting in Configuration.settings where setting.name != "out" {
      XCTAssertEqual(ours[setting.key], theirs[setting.key], setting.key)
    }
    try checkTable(here)
    let table = try here.text("s/table.md")
    XCTAssertTrue(table.hasPrefix("# Tiny\n"), table)
    XCTAssertTrue(shown.text.contains("run 4 of 4: none/seed-7  --projector-norm none\n"), shown.text)
    XCTAssertEqual(shown.text.components(separatedBy: "warmup-steps 2").count, 2, "the base's settings are shown once")
  }

  private func checkTable(_ here: TemporaryStudy) throws {
    let rows = try here.timelessTable("s")
    XCTAssertEqual(rows.map { $0[0] }, ["variant", "bn", "none", "random encoder"])
    let summaries = try runs.map { try here.json("s/\($0)/summary.json") }
    func mean(_ key: String, _ indices: Int...) -> Double {
      indices.reduce(0) { $0 + (summaries[$1][key]?.double ?? .nan) } / Double(indices.count)
    }
    XCTAssertEqual(rows[1][1...4], ["2", "2", "0", "0"])
    XCTAssertEqual(Double(rows[1][5]), mean("probe_accuracy", 0, 1))
    XCTAssertEqual(Double(rows[2][5]), mean("probe_accuracy", 2, 3))
    XCTAssertEqual(Double(rows[2][7]), mean("positive_cosine", 2, 3))
    XCTAssertEqual(Double(rows[1][9]), mean("negative_cosine", 0, 1))
    XCTAssertEqual(Double(rows[3][5]), mean("random_encoder_accuracy", 0, 1))
    let rate = try XCTUnwrap(
      Double(here.text("s/table.csv").split(separator: "\n")[1].split(separator: ",").last ?? ""))
    XCTAssertGreaterThan(rate, 0, "milliseconds a step")
  }

  func testKilledAndStartedAgainItEndsWithTheSameTables() throws {
    let here = try TemporaryStudy()
    let study = try here.study()
    XCTAssertEqual(try here.runner(study, "whole").run(), .finished)
    try kill(here, study, in: "bn/seed-7", after: 5)
    let before = try here.everything("s/bn/seed-0")
    XCTAssertTrue(try here.text("s/table.md").contains("3 of 4 runs are not finished."))
    var begun: [String] = []
    let shown = Lines()
    try onceMore(here, study, shown) { begun.append($0) }
    XCTAssertEqual(begun, Array(runs.dropFirst()))
    XCTAssertTrue(shown.text.contains("resumed from step 3 of 8"), shown.text)
    XCTAssertEqual(try here.everything("s/bn/seed-0"), before)
    XCTAssertEqual(try here.timelessTable("s"), try here.timelessTable("whole"))
    XCTAssertEqual(try here.bytes("s/study.json"), try here.bytes("whole/study.json"))
    XCTAssertTrue(try StudyReport.text(of: here("s")).hasPrefix("Tiny\ntiny on "))
    XCTAssertTrue(try StudyReport.text(of: here("s/bn/seed-0")).contains("\nseed-0 "))
    XCTAssertTrue(usageError { try StudyReport.text(of: here("data")) }.contains("study.json"))
  }

  private func kill(_ here: TemporaryStudy, _ study: Study, in name: String, after step: Int) throws {
    let runner = try here.runner(study, "s")
    runner.beforeRun = { run, trainer in
      if run.name == name { trainer.afterStep = { if $0 == step { throw Killed() } } }
    }
    XCTAssertThrowsError(try runner.run()) { XCTAssertTrue($0 is Killed) }
  }

  private func onceMore(
    _ here: TemporaryStudy, _ study: Study, _ shown: Lines = Lines(), _ begun: @escaping (String) -> Void
  ) throws {
    let runner = try here.runner(study, "s", shown: shown)
    runner.beforeRun = { run, _ in begun(run.name) }
    XCTAssertEqual(try runner.run(), .finished)
  }

  func testAFinishedStudyRunsNothingAndMoreSeedsOnlyTheNew() throws {
    let here = try TemporaryStudy()
    var study = try here.study(variants: #"{"name": "bn"}"#)
    study.seeds = [0]
    try onceMore(here, study) { _ in }
    let before = try here.everything("s")
    try onceMore(here, study) { XCTFail("\($0) was run again") }
    XCTAssertEqual(try here.everything("s"), before)
    study.seeds = [0, 3]
    var begun: [String] = []
    try onceMore(here, study) { begun.append($0) }
    XCTAssertEqual(begun, ["bn/seed-3"])
    // Where the data says how large views are, a run's own settings tell after the data is open.
    study.base.imageSize = 0
    try onceMore(here, study) { _ in }
  }

  func testWhatIsInTheWayIsRefusedBeforeAnythingRuns() throws {
    let here = try TemporaryStudy()
    var study = try here.study()
    study.seeds = [0]
    try onceMore(here, study) { _ in }
    let before = try here.everything("s")
    func refused(_ study: Study, _ parts: String..., line: UInt = #line) throws {
      let message = usageError({ try here.runner(study, "s") }, line: line)
      for part in parts { XCTAssertTrue(message.contains(part), message, line: line) }
      XCTAssertEqual(try here.everything("s"), before, line: line)
    }
    var other = study
    other.base.lr = 0.03
    try refused(other, here("s/bn/seed-0"), "other settings: lr is 0.02 there and 0.03 here", "choose another --out")
    other = study
    other.variants[1].settings = [.init("projector_norm", "ln")]
    try refused(other, here("s/none/seed-0"), #"projector_norm is "none" there and "ln" here"#)
    other = study
    other.name = "else"
    try refused(other, here("s"), #"another name: "tiny", not "else""#)
    other = study
    other.size = .quick
    try refused(other, "another size")
    let holder = try here.runner(study, "s")
    XCTAssertTrue(usageError { try here.runner(study, "s") }.contains("in use by pid \(getpid())"))
    withExtendedLifetime(holder) {}
  }

  func testADivergedRunIsAResult() throws {
    let here = try TemporaryStudy()
    let wild = """
      {"name": "wild", "settings": {"encoder_norm": "none", "projector_norm": "none", "predictor_norm": "none",
       "lr": 1000, "warmup_steps": 0, "steps": 60}}, {"name": "bn"}
      """
    let study = try here.study(variants: wild)
    let shown = Lines()
    var begun: [String] = []
    try onceMore(here, study, shown) { begun.append($0) }
    XCTAssertEqual(begun, ["wild/seed-0", "wild/seed-7", "bn/seed-0", "bn/seed-7"])
    XCTAssertTrue(shown.text.contains("wild/seed-0 diverged: the loss of step"), shown.text)
    let rows = try here.timelessTable("s")
    XCTAssertEqual(rows[1][1...5], ["2", "2", "0", "2", ""])
    XCTAssertEqual(rows[2][1...4], ["2", "2", "0", "0"])
    XCTAssertFalse(AtomicDirectory.exists(here("s/wild/seed-0/summary.json")))
    try onceMore(here, study) { XCTFail("\($0) was run again") }
    XCTAssertEqual(try here.timelessTable("s"), rows)
  }

  /// What a later variant cannot have is found before the first one's first step.
  func testEveryVariantIsCheckedBeforeTheFirstStep() throws {
    let here = try TemporaryStudy()
    try TinyImages.write(to: here("one"), test: 1)
    var writer = SafetensorsWriter()
    writer.add("online.projector.1.weight", values: [Float](repeating: 1, count: 3))
    let other = here("other.safetensors")
    try AtomicFile.write(to: other) { try writer.write(to: &$0, path: other) }
    let faults: [(String, [String])] = [
      (#""batch": 128"#, ["--batch 128", "96 training images"]),
      (#""init": "\#(here("none.safetensors"))""#, ["--init \(here("none.safetensors"))", "No such file"]),
      (#""init": "\#(other)""#, ["--init \(other)", "has shape [3]"]),
      (#""data": "\#(here("one"))""#, ["--data \(here("one"))", "1 test images"]),
      (#""data": "\#(here("nowhere"))""#, [here("nowhere")]),
      (#""warmup_steps": 9"#, ["--warmup-steps 9", "only 8 steps"]),
      (#""bn_scope": "ghost:5""#, ["--bn-scope ghost:5"]),
    ]
    for (settings, parts) in faults {
      let study = try here.study(variants: #"{"name": "bn"}, {"name": "late", "settings": {\#(settings)}}"#)
      let message = usageError { try here.runner(study, "s") }
      for part in parts + ["variant late"] { XCTAssertTrue(message.contains(part), message) }
      XCTAssertFalse(AtomicDirectory.exists(here("s/bn")), settings)
    }
  }

  /// A run that fails is a row with its reason, and the study goes on; its next start tries that run again.
  func testAFailedRunIsARow() throws {
    let here = try TemporaryStudy()
    let study = try here.study()
    let shown = Lines()
    struct Fault: Error, CustomStringConvertible { let description = "the probe fell over" }
    do {
      let runner = try here.runner(study, "s", shown: shown)
      runner.beforeRun = { run, trainer in
        guard run.name == "bn/seed-7" else { return }
        trainer.afterStep = { if $0 == 5 { try Communicator.start().together { throw Fault() } } }
      }
      XCTAssertEqual(try runner.run(), .failed(["bn/seed-7"]))
    }
    XCTAssertTrue(shown.text.contains("bn/seed-7 failed: the probe fell over\n"), shown.text)
    XCTAssertEqual(try here.timelessTable("s")[1][1...2], ["2", "1"], "two runs, one finished")
    XCTAssertEqual(try here.timelessTable("s")[2][1...2], ["2", "2"])
    XCTAssertTrue(try here.text("s/table.md").contains("bn: 1 failed: the probe fell over"))
    XCTAssertTrue(try StudyReport.text(of: here("s")).contains("bn: 1 failed: the probe fell over"))
    var begun: [String] = []
    try onceMore(here, study) { begun.append($0) }
    XCTAssertEqual(begun, ["bn/seed-7"])
    XCTAssertFalse(try here.text("s/table.md").contains("failed"))
  }

  func testASignalStopsAtACheckpointOrBetweenRuns() throws {
    StopSignals.install()
    defer { StopSignals.reset() }
    let here = try TemporaryStudy()
    let study = try here.study()
    for (step, outcome) in [(4, StudyOutcome.stopped(run: "bn/seed-0", step: 5)), (8, .stopped(run: nil, step: nil))] {
      let runner = try here.runner(study, "s")
      runner.beforeRun = { _, trainer in trainer.afterStep = { if $0 == step { raise(SIGUSR1) } } }
      XCTAssertEqual(try runner.run(), outcome)
      StopSignals.reset()
    }
    XCTAssertTrue(AtomicDirectory.exists(here("s/bn/seed-0/summary.json")))
    XCTAssertFalse(AtomicDirectory.exists(here("s/bn/seed-7")))
    XCTAssertEqual(try here.runner(study, "s").run(), .finished)
    XCTAssertEqual(try here.runner(study, "whole").run(), .finished)
    XCTAssertEqual(try here.timelessTable("s"), try here.timelessTable("whole"))
  }

  /// A trainer's memory, files and threads are gone before the next one's are there.
  func testARunIsLetGoBeforeTheNext() throws {
    let here = try TemporaryStudy()
    let methods = """
      {"name": "moco", "settings": {"method": "moco", "queue": 32, "shuffle_bn": "on"}},
      {"name": "simclr", "settings": {"method": "simclr"}}
      """
    let runner = try here.runner(try here.study(variants: methods) { $0.threads = 3 }, "s")
    weak var last: Trainer?
    weak var networks: AnyObject?
    var begun = 0
    var threads: [Int] = []
    runner.beforeRun = { _, trainer in
      XCTAssertNil(last)
      XCTAssertNil(networks, "the parameters, the queue and what layers keep")
      last = trainer
      networks = trainer.method
      begun += 1
      threads.append(Self.settledThreads(atMost: threads.first))
    }
    XCTAssertEqual(try runner.run(), .finished)
    XCTAssertNil(last)
    XCTAssertNil(networks)
    XCTAssertEqual(begun, 4)
    XCTAssertEqual(Set(threads).count, 1, "\(threads)")
  }

  /// This process's threads; those that were told to end get a while to.
  private static func settledThreads(atMost wanted: Int?) -> Int {
    func count() -> Int { (try? AtomicDirectory.entries(of: "/proc/self/task").count) ?? -1 }
    let end = Date() + 5
    while let wanted, count() > wanted, Date() < end { usleep(1000) }
    return count()
  }
}
