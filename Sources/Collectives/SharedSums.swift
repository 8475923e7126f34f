internal import CMPI

/// Floats of each of two ranks of a host in memory that both map, summed where they are: each rank adds up half of a range for
/// both. MPI's all-reduce has the kernel copy all of it twice, and waits for the other rank at every range; this waits at the
/// end. The same bits: two numbers have one sum. More ranks would add up in another order than between hosts.
public final class SharedSums {
  /// This rank's.
  public let floats: UnsafeMutableBufferPointer<Float>
  private let both: [UnsafeMutablePointer<Float>]
  private let shared: SharedSegments
  private let mailbox: Mailbox
  private let communicator: Communicator
  /// Ranges that this rank is done with, and the messages that say so.
  private var started: [(range: Range<Int>, message: Mailbox.Message)] = []

  private init(_ shared: SharedSegments, count: Int, _ mailbox: Mailbox, _ communicator: Communicator) {
    both = shared.segments.map { $0.bindMemory(to: Float.self, capacity: count) }
    floats = UnsafeMutableBufferPointer(start: both[communicator.rank], count: count)
    (self.shared, self.mailbox, self.communicator) = (shared, mailbox, communicator)
    started.reserveCapacity(Mailbox.slots)
  }

  fileprivate static func open(_ communicator: Communicator, count: Int) throws -> SharedSums? {
    guard communicator.size == 2, let mailbox = try communicator.mailbox() else { return nil }
    return try SharedSegments.open(communicator, bytes: count * MemoryLayout<Float>.stride).map {
      SharedSums($0, count: count, mailbox, communicator)
    }
  }

  /// Says that this rank's numbers of a range are there, which it must not touch until `finish`. Collective.
  /// - Throws: `CollectiveError`.
  public func start(_ range: Range<Int>) throws {
    guard let message = try post(count: range.count) else {
      // No slot is free, on neither rank: others' sums are under way.
      return try communicator.allReduce(UnsafeMutableBufferPointer(rebasing: floats[range]), .sum)
    }
    started.append((range, message))
    // The other rank is seldom behind by a whole range.
    while started.count > 1 { try settleFirst() }
  }

  /// Returns when all sums are in place on both ranks. Collective.
  /// - Throws: `CollectiveError`.
  public func finish() throws {
    while !started.isEmpty { try settleFirst() }
    guard let message = try post(count: 0) else { return try communicator.barrier() }
    try take(message, count: 0)
  }

  private func post(count: Int) throws -> Mailbox.Message? {
    var message: Mailbox.Message?
    try communicator.run(.allReduce, count: count) {
      message = mailbox.post(UnsafeBufferPointer(start: nil, count: 0), over: $0)
      return cmpi_success()
    }
    return message
  }

  private func take(_ message: Mailbox.Message, count: Int) throws {
    try communicator.run(.allReduce, count: count) {
      mailbox.take(message, into: UnsafeMutableBufferPointer(start: nil, count: 0), over: $0)
      return cmpi_success()
    }
  }

  private func settleFirst() throws {
    let (range, message) = started.removeFirst()
    try take(message, count: range.count)
    let middle = range.lowerBound + range.count / 2 / 16 * 16
    let own = communicator.rank == 0 ? range.lowerBound..<middle : middle..<range.upperBound
    let (a, b) = (both[0], both[1])
    for i in own {
      let sum = a[i] + b[i]
      a[i] = sum
      b[i] = sum
    }
  }
}

extension Communicator {
  /// Memory for floats whose sums both ranks need, where there are two and they share memory; nil on all ranks otherwise.
  /// Collective.
  /// - Throws: `CollectiveError`.
  public func sharedSums(count: Int) throws -> SharedSums? { try SharedSums.open(self, count: count) }
}
