/// Floats of each of two ranks of a host in memory that both map, summed where they are: each rank adds up half of a range for
/// both. MPI's all-reduce has the kernel copy all of it twice, and waits for the other rank at every range; this waits at the
/// end. The same bits: two numbers have one sum. More ranks would add up in another order than between hosts.
public final class SharedSums {
  /// This rank's.
  public let floats: UnsafeMutableBufferPointer<Float>
  private let both: [UnsafeMutablePointer<Float>]
  private let shared: SharedSegments
  private let communicator: Communicator
  /// Ranges that this rank is done with, and the meetings at which both are.
  private var started: [(range: Range<Int>, meeting: Pending)] = []
  /// What meetings sum, one number each: zeros. No more than two are under way.
  private let zeros: UnsafeMutableBufferPointer<Double>
  private var meetings = 0

  private init(_ shared: SharedSegments, count: Int, _ communicator: Communicator) {
    both = shared.segments.map { $0.bindMemory(to: Float.self, capacity: count) }
    floats = UnsafeMutableBufferPointer(start: both[communicator.rank], count: count)
    (self.shared, self.communicator) = (shared, communicator)
    zeros = .allocate(capacity: 2)
    zeros.initialize(repeating: 0)
    started.reserveCapacity(2)
  }

  // What an error left under way still has its number.
  deinit { if started.isEmpty { zeros.deallocate() } }

  fileprivate static func open(_ communicator: Communicator, count: Int) throws -> SharedSums? {
    guard communicator.size == 2, communicator.sharesMemory else { return nil }
    return try SharedSegments.open(communicator, bytes: count * MemoryLayout<Float>.stride).map {
      SharedSums($0, count: count, communicator)
    }
  }

  /// Says that this rank's numbers of a range are there, which it must not touch until `finish`. Collective.
  /// - Throws: `CollectiveError`.
  public func start(_ range: Range<Int>) throws {
    started.append((range, try meet()))
    // The other rank is seldom behind by a whole range.
    while started.count > 1 { try settleFirst() }
  }

  /// Returns when all sums are in place on both ranks. Collective.
  /// - Throws: `CollectiveError`.
  public func finish() throws {
    while !started.isEmpty { try settleFirst() }
    try meet().wait()
  }

  /// A meeting, which is over when both ranks have come: an all-reduce that waits for the other, as a sum must.
  private func meet() throws -> Pending {
    meetings += 1
    let place = meetings % zeros.count
    return try communicator.startAllReduce(UnsafeMutableBufferPointer(rebasing: zeros[place..<place + 1]), .sum)
  }

  private func settleFirst() throws {
    let (range, meeting) = started.removeFirst()
    try meeting.wait()
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
