import Foundation

/// Threads per rank: what the user said, or the cores that this process may use shared with the host's other ranks.
public enum ThreadCount {
  /// A rank that mpirun bound to cores of its own has those; unbound ranks share the host.
  public static func resolve(_ requested: Int?, ranksOnHost: Int) -> Int {
    if let requested { return requested }
    // Foundation counts the cores of the process's affinity mask as active.
    let usable = ProcessInfo.processInfo.activeProcessorCount
    let isBound = usable < ProcessInfo.processInfo.processorCount
    return max(1, isBound && ranksOnHost > 1 ? usable : usable / ranksOnHost)
  }

  /// Whether so many threads of each of a host's ranks have a core each.
  static func hasCores(_ threads: Int, ranksOnHost: Int) -> Bool {
    threads * ranksOnHost <= ProcessInfo.processInfo.processorCount
  }
}
