internal import CHwloc
import Foundation

extension Topology {
  /// This machine's, read once. Without cores where hwloc cannot tell: each PU then counts as a core.
  public static let current = Topology(cores: readCores())

  private static func readCores() -> [[Int]] {
    var loaded: hwloc_topology_t?
    guard hwloc_topology_init(&loaded) == 0, let topology = loaded else { return [] }
    defer { hwloc_topology_destroy(topology) }
    // HWLOC_SYNTHETIC and HWLOC_XMLFILE make hwloc describe another machine.
    guard chwloc_load(topology) == 0, hwloc_topology_is_thissystem(topology) != 0 else { return [] }
    let count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE)
    return (0..<max(count, 0)).compactMap { index in
      hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, UInt32(index)).map { members($0.pointee.cpuset) }
    }
  }

  /// The PUs that this process's main thread, and threads that it starts, may run on; none where the system does not
  /// say.
  static func ownMask() -> Set<Int> {
    // Longer than cpu_set_t, which ends at 1,024 PUs.
    var words = [UInt](repeating: 0, count: 1024)
    let bytes = words.withUnsafeMutableBytes { chwloc_affinity($0.baseAddress, $0.count) }
    guard bytes > 0 else { return [] }
    return Set(
      words.indices.flatMap { word in
        (0..<UInt.bitWidth).filter { words[word] >> UInt($0) & 1 == 1 }.map { word * UInt.bitWidth + $0 }
      })
  }

  private static func members(_ set: hwloc_const_bitmap_t?) -> [Int] {
    guard let set else { return [] }
    var found: [Int] = []
    var next = hwloc_bitmap_first(set)
    while next >= 0 {
      found.append(Int(next))
      next = hwloc_bitmap_next(set, next)
    }
    return found
  }
}

extension ProcessPlace {
  /// This process's, as its affinity mask and its control groups are now.
  public static func current() -> ProcessPlace {
    var mask = Topology.ownMask()
    // A system without affinity masks.
    if mask.isEmpty { mask = Set(0..<ProcessInfo.processInfo.processorCount) }
    return ProcessPlace(cores: Topology.current.cores(usableBy: mask), quotas: CgroupQuotas.system.read())
  }
}
