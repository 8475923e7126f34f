internal import CMPI

/// The entries of the ranks whose work this rank's watchdog can see: those of its host, in memory that they share.
/// Where that cannot be had, its own alone.
final class StatusBoard: @unchecked Sendable {
  /// By rank of the host.
  let entries: [RankEntry]
  /// This rank's place among them.
  let own: Int
  /// Ranks of the job without an entry here, on this host and on others.
  let unseenHere: Int
  let elsewhere: Int
  private let shared: SharedSegments?
  /// 0, or the status of the job's end as an entry has it; in the memory of the host's first rank.
  private let claim: UnsafeMutableRawPointer

  private static let entryAt = 64
  private static let bytes = entryAt + RankEntry.bytes

  private init(shared: SharedSegments?, segments: [UnsafeMutableRawPointer], own: Int, unseen: Int, elsewhere: Int) {
    self.shared = shared
    entries = segments.map { RankEntry(at: $0 + Self.entryAt) }
    self.own = own
    (unseenHere, self.elsewhere) = (unseen, elsewhere)
    claim = segments[0]
  }

  /// Of a rank that sees itself alone.
  /// - Parameters:
  ///   - unseen: other ranks of its host.
  ///   - elsewhere: ranks of other hosts.
  static func alone(unseen: Int = 0, elsewhere: Int = 0) -> StatusBoard {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    return StatusBoard(shared: nil, segments: [memory], own: 0, unseen: unseen, elsewhere: elsewhere)
  }

  /// The board of the ranks of this host. Collective over the world.
  /// - Throws: `CollectiveError`.
  static func open(_ world: Communicator) throws -> StatusBoard {
    let host = try world.splitByHost()
    let elsewhere = world.size - host.size
    guard let shared = try SharedSegments.open(host, bytes: bytes) else {
      return alone(unseen: host.size - 1, elsewhere: elsewhere)
    }
    return StatusBoard(
      shared: shared, segments: shared.segments, own: host.rank, unseen: 0, elsewhere: elsewhere)
  }

  // MARK: The end of the job

  /// Makes this rank the one of the host that says why the job ends and ends it.
  /// - Returns: whether it is the first to want that.
  func claimEnd(status: Int32) -> Bool { cmpi_exchange_if(claim, 0, RankEntry.encoded(status)) != 0 }

  /// The status with which a rank of the host is ending the job, if one is.
  var claimedStatus: Int32? { RankEntry.decoded(cmpi_load_acquire(claim)) }

  /// Tells the host's ranks that the job has ended, its reason being printed.
  func publishEnd(status: Int32) { for entry in entries { entry.end(status: status) } }
}
