import Machine
import XCTest

/// Quotas from the files that the kernel shows, in both versions and as containers see them.
final class CgroupQuotaTests: XCTestCase {
  private struct Case {
    let name: String
    let cgroup: String
    let mounts: String
    let files: [String: String]
    let cores: [Double]
  }

  private static let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
  private static let legacy = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
  private static let cases: [Case] = [
    Case(
      name: "version 2, and a parent", cgroup: "0::/job/task\n", mounts: unified,
      files: ["/sys/fs/cgroup/job/task/cpu.max": "150000 100000\n", "/sys/fs/cgroup/job/cpu.max": "400000 100000\n"],
      cores: [4, 1.5]),
    Case(
      name: "version 2 without a limit", cgroup: "0::/job\n", mounts: unified,
      files: ["/sys/fs/cgroup/job/cpu.max": "max 100000\n"], cores: []),
    Case(
      name: "version 2 in a container with a namespace", cgroup: "0::/\n", mounts: unified,
      files: ["/sys/fs/cgroup/cpu.max": "50000 100000\n"], cores: [0.5]),
    Case(
      name: "a group outside of the namespace", cgroup: "0::/../other\n", mounts: unified,
      files: ["/sys/fs/cgroup/cpu.max": "50000 100000\n", "/sys/fs/cgroup/../other/cpu.max": "1 1\n"], cores: [0.5]),
    Case(
      name: "version 1, and a parent", cgroup: "9:name=systemd:/x\n4:cpu,cpuacct:/slurm/job\n0::/\n",
      mounts: unified + "\n" + legacy,
      files: [
        "/sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us": "250000\n",
        "/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us": "100000\n",
      ], cores: [2.5]),
    Case(
      name: "version 1 in a container without a namespace", cgroup: "4:cpu:/docker/abc/inner\n",
      mounts: "31 23 0:27 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu",
      files: [
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us": "100000\n",
        "/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us": "100000\n",
      ], cores: [2, 1]),
    Case(
      name: "a mount with a blank", cgroup: "0::/j\n",
      mounts: "30 23 0:26 / /mnt/c\\040g rw - cgroup2 none rw", files: ["/mnt/c g/j/cpu.max": "100000 100000"],
      cores: [1]),
    Case(
      name: "another controller's version 1", cgroup: "4:cpuset:/x\n",
      mounts: "31 23 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
      files: ["/sys/fs/cgroup/cpuset/x/cpu.cfs_quota_us": "1\n"], cores: []),
    Case(name: "garbage", cgroup: "::\nx\n", mounts: "1 2\n\n- cgroup2", files: [:], cores: []),
  ]

  func testQuotasOfAGroupAndThoseAroundIt() {
    for item in Self.cases {
      let all = item.files.merging(["/proc/self/cgroup": item.cgroup, "/proc/self/mountinfo": item.mounts]) { $1 }
      let quotas = CgroupQuotas(file: { all[$0] }, identity: { UInt64($0.utf8.count) }).read()
      XCTAssertEqual(quotas.map(\.cores), item.cores, item.name)
    }
  }

  func testASystemWithoutControlGroupsHasNoQuota() {
    XCTAssertEqual(CgroupQuotas(file: { _ in nil }, identity: { _ in 0 }).read(), [])
  }
}
