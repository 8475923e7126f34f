import XCTest
import byol_dist

final class LaunchTests: XCTestCase {
  func testPlaceUnderOpenMPI() {
    let place = LaunchPlace(environment: [
      "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1", "PMIX_RANK": "5",
    ])
    XCTAssertEqual([place.rank, place.ranks, place.localRank], [5, 8, 1])
  }

  func testPlaceUnderSrunWithPMIx() {
    let place = LaunchPlace(environment: [
      "PMIX_RANK": "3", "SLURM_NTASKS": "16", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1", "SLURM_PROCID": "3",
    ])
    XCTAssertEqual([place.rank, place.ranks, place.localRank], [3, 4, 1])
  }

  func testAPlainProcessIsAlone() {
    XCTAssertEqual(
      LaunchPlace(environment: [:]), LaunchPlace(environment: ["SLURM_NTASKS": "16", "SLURM_PROCID": "0"]))
    let place = LaunchPlace(environment: [:])
    XCTAssertEqual([place.rank, place.ranks, place.localRank], [0, 1, 0])
  }

  func testProcessorsWithoutTheInstructions() {
    let start = "processor\t: 0\nvendor_id\t: GenuineIntel\n"
    XCTAssertEqual(missingInstructions(cpuinfo: start + "flags\t\t: fpu avx f16c avx2 fma sse2\nbugs\t: x\n"), [])
    XCTAssertEqual(missingInstructions(cpuinfo: start + "flags\t\t: fpu avx f16c sse2 fma4\n"), ["avx2", "fma"])
    XCTAssertEqual(missingInstructions(cpuinfo: start + "vmx flags\t: avx2\nflags\t\t: avx2 sse2\n"), ["fma"])
    XCTAssertEqual(missingInstructions(cpuinfo: "Features\t: fp asimd\n"), [])
  }
}
