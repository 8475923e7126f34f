internal import CMPI

/// How many rows each rank sends to each other, as one rank knows it; made once and changed in place, so that a step
/// allocates nothing.
public final class ExchangePlan {
  /// Rows to and from each rank.
  public private(set) var sent: [Int32]
  public private(set) var received: [Int32]
  /// The same in elements, and where they begin, as MPI wants them: what goes out and what comes in.
  fileprivate var out: (counts: [Int32], starts: [Int32])
  fileprivate var back: (counts: [Int32], starts: [Int32])

  public init(ranks: Int) {
    let zeros = [Int32](repeating: 0, count: ranks)
    (sent, received, out, back) = (zeros, zeros, (zeros, zeros), (zeros, zeros))
  }

  public func clear() {
    for rank in sent.indices { (sent[rank], received[rank]) = (0, 0) }
  }

  public func addRow(to rank: Int) { sent[rank] += 1 }
  public func addRow(from rank: Int) { received[rank] += 1 }

  /// Elements to send and to receive.
  fileprivate func scale(by elements: Int, reversed: Bool) -> (out: Int, back: Int) {
    var (first, second) = (0, 0)
    for rank in sent.indices {
      let (to, from) = reversed ? (received[rank], sent[rank]) : (sent[rank], received[rank])
      (out.counts[rank], out.starts[rank]) = (to * Int32(elements), Int32(first))
      (back.counts[rank], back.starts[rank]) = (from * Int32(elements), Int32(second))
      first += Int(to) * elements
      second += Int(from) * elements
    }
    return (first, second)
  }
}

extension Communicator {
  /// Sends rows of `elements` numbers to the ranks that the plan says: `rows` has rank 0's first, then rank 1's, and so
  /// on; `into` gets rank 0's first likewise.
  /// - Parameter reversed: sends back as many rows as the plan receives.
  /// - Throws: `CollectiveError`, also when a length is not the plan's.
  public func exchange<T: MPIElement>(
    _ rows: UnsafeBufferPointer<T>, elements: Int, into result: UnsafeMutableBufferPointer<T>, plan: ExchangePlan,
    reversed: Bool = false
  ) throws {
    guard plan.sent.count == size, rows.count <= Self.longest, result.count <= Self.longest else {
      throw failure(.exchange, count: rows.count, "a plan of \(plan.sent.count) ranks, or more than \(Self.longest)")
    }
    let (out, back) = plan.scale(by: elements, reversed: reversed)
    guard rows.count == out, result.count == back else {
      throw failure(
        .exchange, count: rows.count, "the plan has \(out) elements to send and \(back) to receive, not \(result.count)"
      )
    }
    guard size > 1 else {
      if let source = rows.baseAddress { result.baseAddress?.update(from: source, count: rows.count) }
      return
    }
    let type = T.mpiKind.datatype
    try run(.exchange, count: rows.count) {
      MPI_Alltoallv(
        rows.baseAddress, plan.out.counts, plan.out.starts, type, result.baseAddress, plan.back.counts,
        plan.back.starts, type, $0)
    }
  }
}
