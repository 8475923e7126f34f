import Machine
import XCTest

/// Which cores a process counts on, on machines that are not there.
final class TopologyTests: XCTestCase {
  private struct Case {
    let name: String
    let cores: [[Int]]
    /// PUs, by process.
    let masks: [Set<Int>]
    var quotas: [[CPUQuota]] = []
    let shares: [Double]
  }

  private static let four = [[0], [1], [2], [3]]
  /// Four cores with two threads each, numbered as Linux does: siblings are 4 apart.
  private static let siblings = [[0, 4], [1, 5], [2, 6], [3, 7]]
  /// Two performance cores with two threads, four efficiency cores.
  private static let hybrid = [[0, 1], [2, 3], [4], [5], [6], [7]]

  private static let cases: [Case] = [
    Case(name: "one process, all cores", cores: four, masks: [[0, 1, 2, 3]], shares: [4]),
    Case(name: "taskset to one core", cores: four, masks: [[2]], shares: [1]),
    Case(name: "taskset to two cores", cores: four, masks: [[0, 1]], shares: [2]),
    Case(name: "SMT siblings are one core", cores: siblings, masks: [[0, 1, 2, 3, 4, 5, 6, 7]], shares: [4]),
    Case(name: "one thread of each core", cores: siblings, masks: [[0, 1, 2, 3]], shares: [4]),
    Case(name: "both threads of one core", cores: siblings, masks: [[1, 5]], shares: [1]),
    Case(name: "hybrid cores", cores: hybrid, masks: [[0, 1, 2, 3, 4, 5, 6, 7]], shares: [6]),
    Case(name: "a CPU that is offline", cores: [[0, 4], [1], [2, 6], []], masks: [[0, 1, 2, 4, 6]], shares: [3]),
    Case(name: "no topology", cores: [], masks: [[0, 1, 2]], shares: [3]),
    Case(name: "two bound ranks", cores: four, masks: [[0, 1], [2, 3]], shares: [2, 2]),
    Case(name: "two unbound ranks", cores: four, masks: [[0, 1, 2, 3], [0, 1, 2, 3]], shares: [2, 2]),
    Case(name: "two ranks on one core", cores: four, masks: [[0], [0]], shares: [0.5, 0.5]),
    Case(name: "ranks on siblings of a core", cores: siblings, masks: [[0], [4]], shares: [0.5, 0.5]),
    Case(name: "masks that overlap", cores: four, masks: [[0], [0, 1, 2, 3]], shares: [0.5, 3.5]),
    Case(
      name: "more ranks than cores", cores: [[0], [1]], masks: Array(repeating: [0, 1], count: 8),
      shares: Array(repeating: 0.25, count: 8)),
    Case(
      name: "three ranks share six cores", cores: hybrid, masks: Array(repeating: Set(0...7), count: 3),
      shares: [2, 2, 2]),
    Case(
      name: "a quota", cores: four, masks: [[0, 1, 2, 3]], quotas: [[CPUQuota(group: 1, cores: 1.5)]], shares: [2]),
    Case(
      name: "a quota above the mask", cores: four, masks: [[0]], quotas: [[CPUQuota(group: 1, cores: 3)]], shares: [1]),
    Case(
      name: "a quota below one core", cores: four, masks: [[0, 1]], quotas: [[CPUQuota(group: 1, cores: 0.2)]],
      shares: [1]),
    Case(
      name: "a quota that ranks share", cores: four, masks: [[0, 1, 2, 3], [0, 1, 2, 3]],
      quotas: Array(repeating: [CPUQuota(group: 1, cores: 2)], count: 2), shares: [1, 1]),
    Case(
      name: "quotas of their own below one that they share", cores: siblings,
      masks: Array(repeating: Set(0...7), count: 2),
      quotas: [
        [CPUQuota(group: 1, cores: 1), CPUQuota(group: 9, cores: 3)],
        [CPUQuota(group: 2, cores: 4), CPUQuota(group: 9, cores: 3)],
      ], shares: [1, 1.5]),
  ]

  func testSharesOfCores() {
    for item in Self.cases {
      let topology = Topology(cores: item.cores)
      let places = item.masks.enumerated().map { index, mask in
        ProcessPlace(
          cores: topology.cores(usableBy: mask), quotas: item.quotas.isEmpty ? [] : item.quotas[index])
      }
      let shares = ProcessPlace.shares(places)
      XCTAssertEqual(shares.count, item.shares.count, item.name)
      for (found, wanted) in zip(shares, item.shares) { XCTAssertEqual(found, wanted, accuracy: 1e-12, item.name) }
    }
  }

  func testThisProcessHasACore() {
    let place = ProcessPlace.current()
    XCTAssertFalse(place.cores.isEmpty)
    XCTAssertFalse(Topology.current.cores.isEmpty)
    XCTAssertGreaterThan(ProcessPlace.shares([place])[0], 0)
    // Of OpenMP alone.
    setenv("OMP_NUM_THREADS", "1", 1)
    XCTAssertEqual(ProcessPlace.current(), place)
  }
}
