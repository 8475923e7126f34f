import Foundation

/// Reads the CPU quotas of this process's control groups: cpu.max of version 2, cpu.cfs_quota_us of version 1.
package struct CgroupQuotas {
  /// The text of a file; nil where it cannot be read.
  let file: (String) -> String?
  /// A number of a directory that no other has.
  let identity: (String) -> UInt64

  package init(file: @escaping (String) -> String?, identity: @escaping (String) -> UInt64) {
    (self.file, self.identity) = (file, identity)
  }

  /// Those of the running system.
  package static var system: CgroupQuotas {
    CgroupQuotas {
      // Read as raw bytes: files in /proc have no size.
      FileHandle(forReadingAtPath: $0).flatMap { try? $0.readToEnd() }.map { String(decoding: $0, as: UTF8.self) }
    } identity: { path in
      var status = stat()
      guard stat(path, &status) == 0 else { return 0 }
      return UInt64(status.st_ino) ^ UInt64(status.st_dev) << 48
    }
  }

  /// The quotas of this process's control group and of every group around it that this process can see.
  package func read() -> [CPUQuota] {
    guard let groups = file("/proc/self/cgroup"), let mounts = file("/proc/self/mountinfo") else { return [] }
    var quotas: [CPUQuota] = []
    for mount in mounts.split(separator: "\n").compactMap({ Mount(line: $0) }) {
      guard let path = Self.path(in: groups, of: mount) else { continue }
      for folder in mount.folders(to: path) {
        guard let cores = mount.isUnified ? unified(folder) : legacy(folder) else { continue }
        let quota = CPUQuota(group: identity(folder), cores: cores)
        if !quotas.contains(quota) { quotas.append(quota) }
      }
    }
    return quotas
  }

  private func unified(_ folder: String) -> Double? {
    let words = file(folder + "/cpu.max")?.split(whereSeparator: \.isWhitespace) ?? []
    return words.count == 2 ? Self.cores(quota: words[0], period: words[1]) : nil
  }

  private func legacy(_ folder: String) -> Double? {
    guard let quota = file(folder + "/cpu.cfs_quota_us"), let period = file(folder + "/cpu.cfs_period_us") else {
      return nil
    }
    return Self.cores(quota: quota, period: period)
  }

  /// nil without a limit: "max" in version 2, -1 in version 1.
  private static func cores(quota: some StringProtocol, period: some StringProtocol) -> Double? {
    guard let quota = Double(quota.trimmingCharacters(in: .whitespacesAndNewlines)), quota > 0,
      let period = Double(period.trimmingCharacters(in: .whitespacesAndNewlines)), period > 0
    else { return nil }
    return quota / period
  }

  /// The process's control group in the hierarchy of a mount: "0::PATH" of version 2, "N:cpu,cpuacct:PATH" of version
  /// 1.
  private static func path(in groups: String, of mount: Mount) -> String? {
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isMounts = mount.isUnified ? parts[1].isEmpty : parts[1].split(separator: ",").contains("cpu")
      if isMounts { return String(parts[2]) }
    }
    return nil
  }

  /// A mount of a hierarchy of control groups that may limit CPU time.
  private struct Mount {
    let root: String
    let point: String
    let isUnified: Bool

    /// From a line of mountinfo: "ID PARENT DEVICE ROOT POINT OPTIONS... - TYPE SOURCE SUPEROPTIONS".
    init?(line: Substring) {
      let words = line.split(separator: " ").map { String($0) }
      guard words.count > 5, let dash = words[5...].firstIndex(of: "-"), words.count > dash + 3 else { return nil }
      switch words[dash + 1] {
      case "cgroup2": isUnified = true
      case "cgroup" where words[dash + 3].split(separator: ",").contains("cpu"): isUnified = false
      default: return nil
      }
      // Blanks in names are written in octal.
      (root, point) = (
        words[3].replacingOccurrences(of: "\\040", with: " "), words[4].replacingOccurrences(of: "\\040", with: " ")
      )
    }

    /// The directories of a group and of those around it, as far up as the mount shows them.
    func folders(to path: String) -> [String] {
      var inside = ""
      if root == "/" {
        inside = path
      } else if path.hasPrefix(root + "/") {
        inside = String(path.dropFirst(root.count))
      }
      // A group outside of what a container shows.
      var names = inside.split(separator: "/")
      if names.contains("..") { names = [] }
      return (0...names.count).map { ([point] + names.prefix($0).map { String($0) }).joined(separator: "/") }
    }
  }
}
