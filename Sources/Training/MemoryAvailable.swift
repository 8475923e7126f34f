import Foundation

/// The memory that there is: the host's, of which cgroups leave a part, and what limits allow a process.
package struct MemoryAvailable: Equatable, Sendable {
  /// Bytes for all ranks of this host together.
  package var host: Double
  /// Bytes for this process, where a limit is set.
  package var process: Double?

  package init(host: Double, process: Double? = nil) {
    self.host = host
    self.process = process
  }

  /// What the system says of this process now; nothing is limited where it says nothing.
  package static func now() -> MemoryAvailable {
    MemoryAvailable(
      read: { try? String(contentsOfFile: $0, encoding: .utf8) },
      limit: { resource in
        var limit = rlimit()
        guard getrlimit(resource == .addressSpace ? __rlimit_resource_t(9) : __rlimit_resource_t(2), &limit) == 0,
          limit.rlim_cur < rlim_t(Int64.max)
        else { return nil }
        return Double(limit.rlim_cur)
      })
  }

  /// Limits of a process, `ulimit -v` and `ulimit -d`.
  package enum Resource: Sendable { case addressSpace, data }

  /// - Parameters:
  ///   - read: the text of a file of /proc or /sys; nil where there is none.
  ///   - limit: a limit in bytes; nil where none is set.
  package init(read: (String) -> String?, limit: (Resource) -> Double?) {
    let memory = Fields(read("/proc/meminfo") ?? "")
    // Slow, but memory.
    let swap = memory["SwapFree"] ?? 0
    let rooms = Self.groups(read).map { $0 + swap } + [memory["MemAvailable"].map { $0 + swap } ?? .infinity]
    host = max(0, rooms.min() ?? .infinity)
    let process = Fields(read("/proc/self/status") ?? "")
    let limits = [
      limit(.addressSpace).map { $0 - (process["VmSize"] ?? 0) }, limit(.data).map { $0 - (process["VmData"] ?? 0) },
    ]
    self.process = limits.compactMap { $0 }.min().map { max(0, $0) }
  }

  /// What the memory limits of this process's cgroups and of those above them leave, of version 1 and 2. Files' pages
  /// in the cache are given up where memory is needed.
  private static func groups(_ read: (String) -> String?) -> [Double] {
    let mounts = (read("/proc/self/mountinfo") ?? "").split(separator: "\n").compactMap(Mount.init)
    return (read("/proc/self/cgroup") ?? "").split(separator: "\n").flatMap { line -> [Double] in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { return [] }
      let isUnified = parts[1].isEmpty
      guard isUnified || parts[1].split(separator: ",").contains("memory"),
        let mount = mounts.first(where: { isUnified ? $0.type == "cgroup2" : $0.controllers.contains("memory") })
      else { return [] }
      return mount.directories(of: String(parts[2])).compactMap { room(in: $0, isUnified: isUnified, read) }
    }
  }

  private static func room(in directory: String, isUnified: Bool, _ read: (String) -> String?) -> Double? {
    func number(_ file: String) -> Double? {
      read(directory + "/" + file).flatMap { Double($0.filter { !$0.isWhitespace }) }
    }
    let (limit, usage, prefix) =
      isUnified
      ? ("memory.max", "memory.current", "") : ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
    guard let most = number(limit), most < 9e18 else { return nil }
    let held = Fields(read(directory + "/memory.stat") ?? "")
    let cached = (held[prefix + "inactive_file"] ?? 0) + (held[prefix + "active_file"] ?? 0)
    return most - max(0, (number(usage) ?? 0) - cached)
  }

  /// Where a hierarchy of cgroups is.
  private struct Mount {
    let root, place, type: String
    let controllers: [Substring]

    /// A line of mountinfo: ID, parent, device, root, place, options and more, a dash, type, source, options.
    init?(_ line: Substring) {
      let words = line.split(separator: " ")
      guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count > dash + 3,
        words[dash + 1].hasPrefix("cgroup")
      else { return nil }
      (root, place, type) = (String(words[3]), String(words[4]), String(words[dash + 1]))
      controllers = words[dash + 3].split(separator: ",")
    }

    /// The directory of a cgroup and of each above it; only the mounted one where it lies outside of what is mounted.
    func directories(of path: String) -> [String] {
      let inside = root == "/" ? path : path.hasPrefix(root) ? String(path.dropFirst(root.count)) : ""
      var directories = [place]
      for part in inside.split(separator: "/") { directories.append(directories.last! + "/" + part) }
      return directories
    }
  }

  /// Lines of a name and a number, kB where it says so.
  private struct Fields {
    private var values: [Substring: Double] = [:]

    init(_ text: String) {
      for line in text.split(separator: "\n") {
        let words = line.split { $0 == " " || $0 == "\t" }
        guard words.count >= 2, let value = Double(words[1]) else { continue }
        let name = words[0].hasSuffix(":") ? words[0].dropLast() : words[0]
        values[name] = words.count > 2 && words[2] == "kB" ? value * 1024 : value
      }
    }

    subscript(_ name: String) -> Double? { values[Substring(name)] }
  }
}
