import Collectives
import XCTest

/// How a process learns who started it. The ranks themselves are tested by multirank-tests.
final class LaunchTests: XCTestCase {
  func testAPlainProcessIsNoJob() {
    let launch = Launch(environment: ["PATH": "/bin"])
    XCTAssertFalse(launch.isJob)
    XCTAssertEqual(launch.rank, 0)
    XCTAssertEqual(launch.processes, 1)
    XCTAssertNil(try launch.timeLimit())
    XCTAssertNil(launch.statusFile)
  }

  func testMpirunStartsAJobAlsoOfOneRank() {
    let many = Launch(environment: ["OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "PMIX_RANK": "3"])
    XCTAssertTrue(many.isJob)
    XCTAssertEqual(many.rank, 3)
    XCTAssertEqual(many.processes, 8)
    XCTAssertTrue(Launch(environment: ["OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"]).isJob)
  }

  func testAShellInASlurmJobIsNoJob() {
    XCTAssertFalse(Launch(environment: ["SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"]).isJob)
  }

  func testTasksOfSrunAreAJobEvenWithoutPMIx() {
    // MPI then starts each alone, which `Communicator.start` refuses: N runs in one directory would be the result.
    let launch = Launch(environment: ["SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4"])
    XCTAssertTrue(launch.isJob)
    XCTAssertEqual(launch.processes, 4)
  }

  func testTheTimeLimitIsANumberOfSecondsOrAMistake() throws {
    func limit(_ text: String) throws -> Double? {
      try Launch(environment: ["BYOL_DIST_COLLECTIVE_TIMEOUT": text]).timeLimit()
    }
    for (text, seconds) in [("12.5", 12.5), ("0.1", 0.1), ("1e3", 1000), ("1000000", 1e6), (".5", 0.5)] {
      XCTAssertEqual(try limit(text), seconds, text)
    }
    let mistakes = [
      "", " ", "4s", "0", "-1", "-0.5", "nan", "NaN", "inf", "-inf", "infinity", "1e400", " 5", "5 ", "5\n", "0x10",
      "0x1p3",
      "0.01", "1e7", "1,5", "1e", "soon", "\u{0665}", "5\u{301}",
    ]
    for text in mistakes {
      XCTAssertThrowsError(try limit(text), text) { error in
        XCTAssertEqual(
          "\(error)",
          "BYOL_DIST_COLLECTIVE_TIMEOUT=\(text.debugDescription) should be a number of seconds from 0.1 to 1000000")
        XCTAssertEqual("\(error)".split(whereSeparator: \.isNewline).count, 1)
        XCTAssertEqual((error as? any StatusError)?.exitStatus, 2)
      }
    }
  }

  func testTheStatusFileCountsUnderALauncherAlone() {
    let file = ["BYOL_DIST_STATUS_FILE": "/somewhere"]
    XCTAssertNil(Launch(environment: file).statusFile)
    XCTAssertEqual(Launch(environment: file.merging(["PMIX_RANK": "0"]) { $1 }).statusFile, "/somewhere")
    XCTAssertNil(Launch(environment: ["BYOL_DIST_STATUS_FILE": "", "PMIX_RANK": "0"]).statusFile)
  }
}
