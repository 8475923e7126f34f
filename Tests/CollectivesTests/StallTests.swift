import Collectives
import XCTest

/// When a wait counts as one in vain, by what a watchdog sees at its looks.
final class StallDetectorTests: XCTestCase {
  /// Three ranks at looks 0.1 s apart, limit 2 s: the first waits and looks.
  private struct Scene {
    var detector = StallDetector()
    var signs = [RankSigns(generation: 1), RankSigns(), RankSigns(generation: 1)]

    mutating func look(slept: Double = 0.1, beats: Set<Int> = [0, 1, 2]) -> StallDetector.Finding {
      for place in beats { signs[place].beat += 1 }
      return detector.look(signs, own: 0, slept: slept, asked: 0.1, limit: 2)
    }

    /// - Returns: what the first look that found something found, and after how many looks.
    mutating func looks(_ count: Int, beats: Set<Int> = [0, 1, 2]) -> (StallDetector.Finding, Int) {
      for number in 1...count {
        let finding = look(beats: beats)
        if finding != .nothing { return (finding, number) }
      }
      return (.nothing, count)
    }
  }

  func testAWaitWithoutWorkAnywhereEndsAtTheLimit() {
    var scene = Scene()
    let (finding, looks) = scene.looks(50)
    XCTAssertEqual(finding, .stalled)
    XCTAssertTrue((20...22).contains(looks), "\(looks)")
  }

  func testARankThatIsBusyItselfAccusesNobody() {
    var scene = Scene()
    scene.signs[0].generation = 2
    XCTAssertEqual(scene.looks(100).0, .nothing)
  }

  func testTheLimitCountsFromTheLastProgressOfAnyRank() {
    var scene = Scene()
    for _ in 0..<10 {
      XCTAssertEqual(scene.looks(15).0, .nothing)
      scene.signs[1].work += 1
    }
    XCTAssertEqual(scene.looks(30).0, .stalled)
  }

  func testTimeInWhichThisProcessWasStoppedDoesNotCount() {
    var scene = Scene()
    for _ in 0..<5 {
      XCTAssertEqual(scene.look(slept: 3600), .nothing)
      XCTAssertEqual(scene.look(), .nothing)
    }
    XCTAssertEqual(scene.looks(30).0, .stalled)
  }

  func testARankWithoutABeatIsSilentAndHowLongIsKnown() {
    var scene = Scene()
    XCTAssertEqual(scene.looks(10).0, .nothing)
    let (finding, looks) = scene.looks(10, beats: [0, 2])
    XCTAssertEqual(finding, .silent([1]))
    XCTAssertTrue((4...6).contains(looks), "\(looks)")
    XCTAssertEqual(scene.detector.secondsWithoutBeat(1), Double(looks) * 0.1, accuracy: 1e-9)
    XCTAssertEqual(scene.detector.secondsWithoutBeat(2), 0)
  }

  func testARankThatLeavesIsNotSilent() {
    var scene = Scene()
    scene.signs[1].life = .leaving
    scene.signs[2].life = .absent
    XCTAssertEqual(scene.looks(15, beats: [0]).0, .nothing)
  }
}

/// What the line says.
final class StallReportTests: XCTestCase {
  private func status(_ rank: Int, _ activity: RankStatus.Activity, place: String = "step 12, forward") -> RankStatus {
    RankStatus(rank: rank, process: Int32(4710 + rank), host: "node1", place: place, activity: activity)
  }

  private let waiting = RankStatus.Activity.waiting(.waitAllReduce, count: 5)

  func testTheLineNamesTheRankThatIsWaitedFor() {
    let limit = "ending the job (limit 60 s: BYOL_DIST_COLLECTIVE_TIMEOUT)"
    let cases: [([RankStatus], String)] = [
      (
        [status(2, .stopped(61, .stopped)), status(0, waiting), status(1, waiting), status(3, waiting)],
        "rank 2 (pid 4712 on node1) has been stopped for 61 s in step 12, forward; "
          + "ranks 0, 1 and 3 wait for it in all-reduce; \(limit)"
      ),
      (
        [status(0, .stopped(61, .traced)), status(1, waiting)],
        "rank 0 (pid 4710 on node1) has been stopped by a debugger for 61 s in step 12, forward; "
          + "rank 1 waits for it in all-reduce; \(limit)"
      ),
      (
        [status(0, .stopped(61, .alive)), status(1, waiting)],
        "rank 0 (pid 4710 on node1) has not run for 61 s in step 12, forward; "
          + "rank 1 waits for it in all-reduce; \(limit)"
      ),
      (
        [status(0, .busy(60.4, .alive), place: "before the first step"), status(1, waiting)],
        "rank 0 (pid 4710 on node1) has been busy without progress for 60 s before the first step; "
          + "rank 1 waits for it in all-reduce; \(limit)"
      ),
      (
        [status(0, .busy(61, .blocked)), status(1, waiting), status(2, .waiting(.barrier, count: 0))],
        "rank 0 (pid 4710 on node1) has been busy without progress, waiting for a disk or network file system, "
          + "for 61 s in step 12, forward; rank 1 waits for it in all-reduce; rank 2 in barrier; \(limit)"
      ),
      (
        [status(0, .dead), status(1, .stopped(9, .stopped)), status(2, waiting)],
        "rank 0 (pid 4710 on node1) died in step 12, forward; rank 2 waits for it in all-reduce; ending the job"
      ),
      (
        [status(0, .dead), status(1, .dead), status(2, .busy(0.1, .alive))],
        "rank 0 (pid 4710 on node1) died in step 12, forward; rank 1 (pid 4711 on node1) died in step 12, forward; "
          + "ending the job"
      ),
      (
        [status(1, .left), status(0, waiting)],
        "rank 1 (pid 4711 on node1) has left the job in step 12, forward; rank 0 waits for it in all-reduce; \(limit)"
      ),
      (
        [status(0, waiting), status(1, .waiting(.barrier, count: 0))],
        "the ranks have waited 61 s for each other: rank 0 in all-reduce of 5 elements, step 12, forward; "
          + "rank 1 in barrier of 0 elements, step 12, forward; \(limit)"
      ),
    ]
    for (ranks, line) in cases {
      XCTAssertEqual(StallReport(ranks: ranks, elsewhere: 0, limit: 60).line(waited: 61), line)
    }
    XCTAssertEqual(
      StallReport(ranks: [status(0, waiting), status(1, waiting)], elsewhere: 2, limit: 2.5).line(waited: 3.52),
      "ranks 0 and 1 on node1 have waited 3.5 s for a rank of another host, all alive: ranks 0 and 1 in all-reduce "
        + "of 5 elements, step 12, forward; ending the job (limit 2.5 s: BYOL_DIST_COLLECTIVE_TIMEOUT)")
  }

  func testManyRanksAreNamedByRanges() {
    for (ranks, text) in [
      ([3], "rank 3"), ([0, 1], "ranks 0 and 1"), ([2, 1, 0], "ranks 0 to 2"),
      ([0, 1, 4, 5, 6, 9], "ranks 0, 1, 4 to 6 and 9"), (Array(1...127), "ranks 1 to 127"), ([], "no rank"),
    ] { XCTAssertEqual(StallReport.list(ranks), text) }
  }
}

final class ProcessConditionTests: XCTestCase {
  func testANameWithParenthesesAndBlanksIsPassedOver() {
    let rest = (4...21).map { "\($0)" }.joined(separator: " ")
    let status = ProcessStatus("4711 (a (b) c) T \(rest) 987654 1 2")
    XCTAssertEqual(status?.state, "T")
    XCTAssertEqual(status?.startTime, 987_654)
    for broken in ["", "4711", "4711 (x)", "4711 (x) R 1 2"] { XCTAssertNil(ProcessStatus(broken), broken) }
  }

  func testConditionsOfRealProcesses() throws {
    XCTAssertEqual(ProcessIdentity.own.condition, .alive)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sleep")
    process.arguments = ["60"]
    try process.run()
    let own = ProcessIdentity(number: process.processIdentifier, startTime: 0)
    XCTAssertNotEqual(own.condition, .dead)
    // Another process's number that was taken by a later one.
    XCTAssertEqual(ProcessIdentity(number: process.processIdentifier, startTime: 1).condition, .dead)
    kill(process.processIdentifier, SIGSTOP)
    var status: Int32 = 0
    while waitpid(process.processIdentifier, &status, WNOHANG | WUNTRACED) == 0 { usleep(1000) }
    XCTAssertEqual(own.condition, .stopped)
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    XCTAssertEqual(own.condition, .dead)
  }
}
