internal import CMPI

/// Sums floats over all ranks in the order of the ranks, ((a + b) + c) + d, whatever hosts they run on: what ranks add up in
/// memory that they share has the same bits. Each rank is sent its part of everybody's numbers, adds them up and sends the
/// sums to all, which moves as much as a ring does.
public final class OrderedAllReduce {
  private let communicator: Communicator
  private let longest: Int
  /// How many floats each rank adds up, and where they begin.
  private var parts: (counts: [Int32], starts: [Int32])
  /// Its part of each rank's numbers, as they come in.
  private var incoming: (counts: [Int32], starts: [Int32])
  private let numbers: UnsafeMutableBufferPointer<Float>

  /// - Parameter longest: floats that are reduced at a time at most.
  public init(_ communicator: Communicator, longest: Int) {
    precondition(longest <= Communicator.longest, "\(longest) floats are more than MPI counts")
    (self.communicator, self.longest) = (communicator, longest)
    let zeros = [Int32](repeating: 0, count: communicator.size)
    (parts, incoming) = ((zeros, zeros), (zeros, zeros))
    numbers = .allocate(capacity: communicator.size > 1 ? longest + communicator.size : 0)
  }

  deinit { numbers.deallocate() }

  /// Replaces each float by its sum over all ranks, in place; the same bits on every rank. Collective.
  /// - Parameter floats: as many on every rank.
  /// - Throws: `CollectiveError`.
  public func run(_ floats: UnsafeMutableBufferPointer<Float>) throws {
    let (rank, ranks) = (communicator.rank, communicator.size)
    precondition(floats.count <= longest, "\(floats.count) floats where \(longest) were planned")
    guard ranks > 1, let start = floats.baseAddress, let numbers = numbers.baseAddress else { return }
    let own = communicator.share(of: floats.count, for: rank)
    for other in 0..<ranks {
      let share = communicator.share(of: floats.count, for: other)
      (parts.counts[other], parts.starts[other]) = (Int32(share.count), Int32(share.lowerBound))
      (incoming.counts[other], incoming.starts[other]) = (Int32(own.count), Int32(other * own.count))
    }
    let type = Float.mpiKind.datatype
    try communicator.run(.allReduce, count: floats.count) {
      MPI_Alltoallv(
        start, parts.counts, parts.starts, type, numbers, incoming.counts, incoming.starts, type, $0)
    }
    let sums = start + own.lowerBound
    sums.update(from: numbers, count: own.count)
    for other in 1..<ranks {
      let theirs = numbers + other * own.count
      for i in 0..<own.count { sums[i] += theirs[i] }
    }
    try communicator.run(.allReduce, count: floats.count) {
      MPI_Allgatherv(cmpi_in_place(), 0, type, start, parts.counts, parts.starts, type, $0)
    }
  }
}
