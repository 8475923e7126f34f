/// The physical cores of a machine, each with its hardware threads (hwloc's processing units, PUs).
public struct Topology: Equatable, Sendable {
  /// The PUs of each core by the operating system's numbers; a PU that is offline is absent.
  public let cores: [[Int]]

  /// - Parameter cores: without empty ones; no PU twice.
  public init(cores: [[Int]]) {
    self.cores = cores.filter { !$0.isEmpty }.map { $0.sorted() }
  }

  /// The cores that have a PU in the mask, each by the lowest number of its PUs, which is the same for every process of
  /// the machine. A PU that the topology does not know counts as a core.
  public func cores(usableBy mask: Set<Int>) -> Set<Int> {
    var unknown = mask
    var usable: Set<Int> = []
    for core in cores {
      unknown.subtract(core)
      if core.contains(where: mask.contains) { usable.insert(core[0]) }
    }
    return usable.union(unknown)
  }
}

/// A limit of CPU time that a control group puts on all of its processes together.
public struct CPUQuota: Equatable, Sendable {
  /// The control group, by a number that is the same for every process of the machine.
  public let group: UInt64
  /// CPU seconds per second.
  public let cores: Double

  public init(group: UInt64, cores: Double) {
    (self.group, self.cores) = (group, cores)
  }
}

/// The part of a machine that one process may use.
public struct ProcessPlace: Equatable, Sendable {
  /// Physical cores, by `Topology.cores(usableBy:)`.
  public let cores: Set<Int>
  /// Those of the process's control group and of the groups around it.
  public let quotas: [CPUQuota]

  public init(cores: Set<Int>, quotas: [CPUQuota]) {
    (self.cores, self.quotas) = (cores, quotas)
  }

  /// How many cores each of a host's processes can keep busy when all of them are: a core counts in equal parts for the
  /// processes that may use it, and a quota, rounded up to whole cores, for the processes of its control group. Below 1
  /// where there are more processes than cores.
  /// - Parameter places: of all processes, each computing.
  public static func shares(_ places: [ProcessPlace]) -> [Double] {
    var users: [Int: Int] = [:]
    var members: [UInt64: Int] = [:]
    for place in places {
      for core in place.cores { users[core, default: 0] += 1 }
      for group in Set(place.quotas.map(\.group)) { members[group, default: 0] += 1 }
    }
    return places.map { place in
      // Whole numbers of processes per core first, so that the sum of equal parts is exact.
      let parts = Dictionary(place.cores.map { (users[$0] ?? 1, 1) }, uniquingKeysWith: +)
      let cores = parts.reduce(0.0) { $0 + Double($1.value) / Double($1.key) }
      return place.quotas.reduce(cores) { least, quota in
        min(least, quota.cores.rounded(.up) / Double(members[quota.group] ?? 1))
      }
    }
  }
}
