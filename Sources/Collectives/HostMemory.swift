internal import CMPI

/// Memory of the ranks of one host that each of them maps: a block of floats of every rank's, and counters that all of them
/// read and move. What a rank has written to the blocks before it moves a counter is there for whoever sees it moved.
public final class HostMemory: @unchecked Sendable {
  private let shared: SharedSegments
  private let host: Communicator
  private let floatsAt: Int

  private init(_ shared: SharedSegments, host: Communicator, floatsAt: Int) {
    (self.shared, self.host, self.floatsAt) = (shared, host, floatsAt)
  }

  fileprivate static func open(host: Communicator, floats: Int, counters: Int) throws -> HostMemory? {
    guard host.size > 1, host.sharesMemory else { return nil }
    let floatsAt = (counters * MemoryLayout<UInt64>.stride + 63) / 64 * 64
    return try SharedSegments.open(host, bytes: floatsAt + floats * MemoryLayout<Float>.stride).map {
      HostMemory($0, host: host, floatsAt: floatsAt)
    }
  }

  /// The block of a rank, on a cache line; zeros at first.
  public func floats(of rank: Int) -> UnsafeMutablePointer<Float> {
    (shared.segments[rank] + floatsAt).assumingMemoryBound(to: Float.self)
  }

  /// Puts floats of a rank's block on huge pages where the system can, once they are written to. Small pages cost a TLB miss
  /// every 1,024 floats.
  public func joinPages(of rank: Int, _ floats: Range<Int>) {
    let size = MemoryLayout<Float>.stride
    shared.joinPages(ofSegment: rank, floatsAt + floats.lowerBound * size..<floatsAt + floats.upperBound * size)
  }

  /// What a counter says now; 0 at first.
  @inline(__always)
  public func count(_ counter: Int) -> UInt64 { cmpi_load_acquire(place(counter)) }

  /// Moves a counter that no other rank moves meanwhile.
  @inline(__always)
  public func move(_ counter: Int, to count: UInt64) { cmpi_store_release(place(counter), count) }

  /// Moves a counter on by one that all ranks move, unless it has come to `end`.
  /// - Returns: what it said before, to this caller alone; nil at the end.
  public func take(_ counter: Int, before end: UInt64) -> UInt64? {
    while true {
      let seen = count(counter)
      guard seen < end else { return nil }
      if cmpi_exchange_if(place(counter), seen, seen + 1) != 0 { return seen }
    }
  }

  /// Returns when each of the counters has come to `count`. On the thread that talks to other ranks.
  /// - Parameter meanwhile: does a little of what else there is to do, and says whether there was anything.
  /// - Throws: `CollectiveError`.
  public func wait(for counters: Range<Int>, toReach count: UInt64, meanwhile: () -> Bool = { false }) throws {
    try host.run(.waitShared, count: counters.count) { handle in
      for counter in counters { awaitShared(handle, meanwhile: meanwhile) { self.count(counter) >= count } }
      return cmpi_success()
    }
  }

  /// All in the first rank's segment.
  @inline(__always)
  private func place(_ counter: Int) -> UnsafeMutableRawPointer {
    shared.segments[0] + counter * MemoryLayout<UInt64>.stride
  }
}

extension Communicator {
  /// Memory that all ranks of this communicator, those of one host, share; nil on all of them where there is one alone, or
  /// where they are kept from each other's memory. Collective.
  /// - Parameters:
  ///   - floats: of each rank's block.
  ///   - counters: in all.
  /// - Throws: `CollectiveError`.
  public func hostMemory(floats: Int, counters: Int) throws -> HostMemory? {
    try HostMemory.open(host: self, floats: floats, counters: counters)
  }
}
