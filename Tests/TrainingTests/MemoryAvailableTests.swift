import Training
import XCTest

/// What the files of a system say; none of this machine's is read.
final class MemoryAvailableTests: XCTestCase {
  private let meminfo = "MemTotal:  33554432 kB\nMemFree: 1 kB\nMemAvailable:   16777216 kB\nSwapFree: 0 kB\n"
  private let gigabyte = 1_073_741_824.0

  private func available(
    _ files: [String: String], limit: @escaping (MemoryAvailable.Resource) -> Double? = { _ in nil }
  ) -> MemoryAvailable {
    MemoryAvailable(read: { files[$0] }, limit: limit)
  }

  func testTheHostsMemory() {
    XCTAssertEqual(available(["/proc/meminfo": meminfo]), MemoryAvailable(host: 16 * gigabyte))
    XCTAssertEqual(available([:]), MemoryAvailable(host: .infinity), "nothing is known")
    let swap = meminfo.replacingOccurrences(of: "SwapFree: 0", with: "SwapFree: 1048576")
    XCTAssertEqual(available(["/proc/meminfo": swap]).host, 17 * gigabyte, "slow, but memory")
  }

  func testCgroupsOfVersion2AndThoseAbove() {
    var files = [
      "/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/job/step\n",
      "/proc/self/mountinfo": "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
      "/sys/fs/cgroup/job/step/memory.max": "max\n", "/sys/fs/cgroup/job/step/memory.current": "1000\n",
    ]
    XCTAssertEqual(available(files).host, 16 * gigabyte, "no limit")
    files["/sys/fs/cgroup/job/memory.max"] = "4294967296\n"
    files["/sys/fs/cgroup/job/memory.current"] = "3221225472\n"
    XCTAssertEqual(available(files).host, gigabyte, "the parent's")
    files["/sys/fs/cgroup/job/memory.stat"] = "anon 5\ninactive_file 1073741824\nactive_file 0\n"
    XCTAssertEqual(available(files).host, 2 * gigabyte, "the cache of files is given up")
    files["/sys/fs/cgroup/job/step/memory.max"] = "500"
    XCTAssertEqual(available(files).host, 0, "more in use than the limit")
  }

  func testCgroupsOfVersion1() {
    let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    var files = [
      "/proc/meminfo": meminfo, "/proc/self/cgroup": "3:cpuset:/\n4:cpu,memory:/slurm/job_1\n0::/\n",
      "/proc/self/mountinfo": mounts,
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
      "/sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes": "2147483648\n",
      "/sys/fs/cgroup/memory/slurm/job_1/memory.usage_in_bytes": "1073741824\n",
    ]
    XCTAssertEqual(available(files).host, gigabyte)
    // A container sees its own cgroup at the mount point.
    files["/proc/self/mountinfo"] = mounts.replacingOccurrences(of: " / /sys", with: " /slurm/job_1 /sys")
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "3221225472"
    XCTAssertEqual(available(files).host, 3 * gigabyte - 5)
  }

  func testLimitsOfAProcess() {
    let files = ["/proc/meminfo": meminfo, "/proc/self/status": "VmSize:\t  1048576 kB\nVmData:\t 524288 kB\n"]
    XCTAssertNil(available(files).process)
    XCTAssertEqual(available(files) { $0 == .addressSpace ? 3 * 1_073_741_824 : nil }.process, 2 * gigabyte)
    XCTAssertEqual(available(files) { $0 == .data ? 1_073_741_824 : 8e9 }.process, gigabyte / 2)
    XCTAssertEqual(available(files) { _ in 1000 }.process, 0)
  }

  func testThisSystemSaysSomething() {
    let now = MemoryAvailable.now()
    XCTAssertGreaterThan(now.host, 1e6)
    XCTAssertTrue(now.host.isFinite)
  }
}
