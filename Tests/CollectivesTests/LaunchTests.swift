import Collectives
import XCTest

/// How a process learns who started it. The ranks themselves are tested by multirank-tests.
final class LaunchTests: XCTestCase {
  func testAPlainProcessIsNoJob() {
    let launch = Launch(environment: ["PATH": "/bin"])
    XCTAssertFalse(launch.isJob)
    XCTAssertEqual(launch.rank, 0)
    XCTAssertEqual(launch.processes, 1)
    XCTAssertNil(launch.timeLimit)
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

  func testTheTimeLimitIsAPositiveNumberOfSeconds() {
    for (text, limit) in [("12.5", 12.5), ("0", nil), ("-3", nil), ("soon", nil), ("", nil)] as [(String, Double?)] {
      XCTAssertEqual(Launch(environment: ["BYOL_DIST_COLLECTIVE_TIMEOUT": text]).timeLimit, limit, text)
    }
  }

  func testTheStatusFileCountsUnderALauncherAlone() {
    let file = ["BYOL_DIST_STATUS_FILE": "/somewhere"]
    XCTAssertNil(Launch(environment: file).statusFile)
    XCTAssertEqual(Launch(environment: file.merging(["PMIX_RANK": "0"]) { $1 }).statusFile, "/somewhere")
    XCTAssertNil(Launch(environment: ["BYOL_DIST_STATUS_FILE": "", "PMIX_RANK": "0"]).statusFile)
  }
}
