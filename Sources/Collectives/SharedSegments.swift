internal import CMPI
import Foundation

/// Memory of each rank of a host that all of them map: anonymous, found by its descriptor, so that there is nothing in the file
/// system and nothing left behind by a rank that is killed.
final class SharedSegments {
  /// By rank; zeros at first.
  let segments: [UnsafeMutableRawPointer]
  private let bytes: Int
  /// Before a segment, by which the others know it.
  private static let nonceBytes = 64
  private static let hugePage = 2 << 20

  private init(mapped: [UnsafeMutableRawPointer], bytes: Int) {
    segments = mapped.map { $0 + Self.nonceBytes }
    self.bytes = bytes
  }

  deinit { for segment in segments { munmap(segment - Self.nonceBytes, bytes) } }

  /// Collective: `bytes` of each rank on all ranks, or none where they are not all of one host, or kept from each other's
  /// memory.
  /// - Throws: `CollectiveError`.
  static func open(_ communicator: Communicator, bytes: Int) throws -> SharedSegments? {
    let (rank, size) = (communicator.rank, communicator.size)
    guard size > 1, try communicator.splitByHost().size == size else { return nil }
    // Whole huge pages; what nobody touches is never there.
    let bytes = (bytes + nonceBytes + hugePage - 1) / hugePage * hugePage
    let own = cmpi_memory_file(bytes)
    defer { if own >= 0 { close(own) } }
    var mapped = [UnsafeMutableRawPointer?](repeating: nil, count: size)
    mapped[rank] = own >= 0 ? map(own, bytes) : nil
    let nonce = UInt64.random(in: 1...UInt64.max)
    mapped[rank]?.storeBytes(of: nonce, as: UInt64.self)
    let everyone = try communicator.allGather(
      [UInt64(getpid()), UInt64(max(own, 0)), mapped[rank] == nil ? 0 : nonce])
    for (other, theirs) in everyone.enumerated() where other != rank && theirs[2] != 0 {
      mapped[other] = peer(process: theirs[0], descriptor: theirs[1], nonce: theirs[2], bytes)
    }
    // Also the sign that nobody opens a descriptor any more that its owner is about to close.
    let there = mapped.compactMap { $0 }
    if try communicator.allReduce(Int64(there.count), .min) < Int64(size) {
      for segment in there { munmap(segment, bytes) }
      return nil
    }
    return SharedSegments(mapped: there, bytes: bytes)
  }

  private static func map(_ descriptor: Int32, _ bytes: Int) -> UnsafeMutableRawPointer? {
    // On the boundary of a huge page, which only a place within a larger one is sure to have.
    let room = bytes + hugePage
    guard let found = mmap(nil, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), found != MAP_FAILED else {
      return nil
    }
    let before = (hugePage - Int(bitPattern: found) % hugePage) % hugePage
    let memory = mmap(found + before, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0)
    guard memory != MAP_FAILED, let memory else {
      munmap(found, room)
      return nil
    }
    if before > 0 { munmap(found, before) }
    munmap(memory + bytes, hugePage - before)
    return memory
  }

  /// Puts the huge pages that have some of these bytes of a segment together, which a rank has written to; where the system
  /// does not do that (before Linux 6.1), the small ones stay.
  func joinPages(ofSegment index: Int, _ bytes: Range<Int>) {
    let start = segments[index] - Self.nonceBytes
    let low = (bytes.lowerBound + Self.nonceBytes) / Self.hugePage * Self.hugePage
    let collapse: Int32 = 25  // MADV_COLLAPSE, which Glibc does not export
    precondition(bytes.upperBound + Self.nonceBytes <= self.bytes, "\(bytes) of a segment of \(self.bytes) bytes")
    for page in stride(from: low, to: bytes.upperBound + Self.nonceBytes, by: Self.hugePage) {
      madvise(start + page, Self.hugePage, collapse)
    }
  }

  /// Another process's segment. The same number may be another process's in another container: the nonce tells.
  private static func peer(
    process: UInt64, descriptor: UInt64, nonce: UInt64, _ bytes: Int
  ) -> UnsafeMutableRawPointer? {
    let file = Foundation.open("/proc/\(process)/fd/\(descriptor)", O_RDWR | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_size == off_t(bytes), let memory = map(file, bytes) else { return nil }
    if memory.load(as: UInt64.self) == nonce { return memory }
    munmap(memory, bytes)
    return nil
  }
}

/// Waits for what another rank of the host will have written: a few microseconds awake, and then lets others have the core,
/// who may be the ranks that are waited for. They may in turn wait for a message of this rank's that MPI still has to send.
/// - Parameter meanwhile: does a little of what else there is to do, and says whether there was anything.
@inline(__always)
func awaitShared(_ communicator: MPI_Comm, meanwhile: () -> Bool = { false }, _ isThere: () -> Bool) {
  var turns = 0
  while !isThere() {
    if meanwhile() { continue }
    turns += 1
    if turns < 200 {
      cmpi_pause()
    } else {
      sched_yield()
      if turns % 16 == 0 { cmpi_progress(communicator) }
    }
  }
}
