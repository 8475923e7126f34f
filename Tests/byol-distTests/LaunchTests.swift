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
    func missing(_ cpuinfo: String, _ needed: [String] = ["avx2", "fma"]) -> [String] {
      missingInstructions(cpuinfo: cpuinfo, needed: needed)
    }
    XCTAssertEqual(missing(start + "flags\t\t: fpu avx f16c avx2 fma sse2\nbugs\t: x\n"), [])
    XCTAssertEqual(missing(start + "flags\t\t: fpu avx f16c sse2 fma4\n"), ["avx2", "fma"])
    XCTAssertEqual(missing(start + "vmx flags\t: avx2\nflags\t\t: avx2 sse2\n"), ["fma"])
    XCTAssertEqual(missing("Features\t: fp asimd\n"), [])
    XCTAssertEqual(missing(start + "flags\t\t: avx2 fma avx512f\n", ["avx2", "avx512f", "avx512vl"]), ["avx512vl"])
    XCTAssert(Set(compiledInstructions).isSuperset(of: ["avx2", "fma"]))
    XCTAssertEqual(
      complaint(of: ["fma"], host: "n1"), "the processor of n1 lacks fma; should be x86-64 with AVX2 and FMA")
    XCTAssert(complaint(of: ["avx512f"], host: "n1").contains("BYOL_DIST_MARCH=x86-64-v3"))
  }
}
