internal import CMPI

/// A collective under way. Its buffer belongs to MPI, neither read nor written nor freed by the program, until `wait`
/// returns or `poll` gives true. MPI moves it on inside MPI calls only: a program that computes long polls in between.
///
/// Every rank starts its collectives in the same order; they may be waited for in any. One that is dropped without a
/// wait, on the way out of an error, is left to MPI.
public final class Pending: @unchecked Sendable {
  /// nil once it is over.
  private var communicator: Communicator?
  private var operation = CollectiveOperation.waitAllReduce
  private var count = 0
  private var requests: [MPI_Request?] = []
  /// What goes through memory that the ranks share instead, and where its sums are wanted.
  private var posted: (mailbox: Mailbox, message: Mailbox.Message, sums: UnsafeMutableBufferPointer<Double>)?

  fileprivate init() {}

  fileprivate func begin(_ communicator: Communicator, _ operation: CollectiveOperation, count: Int) {
    self.communicator = communicator
    self.operation = operation
    self.count = count
  }

  /// Whether the object may serve another collective, once nobody else holds it.
  fileprivate var isOver: Bool { communicator == nil }

  fileprivate func endIfNothingIsUnderWay() { if requests.isEmpty && posted == nil { communicator = nil } }

  /// Posts the numbers where the ranks share memory that has room for them.
  /// - Returns: whether it did, the same on all ranks.
  func post(_ numbers: UnsafeMutableBufferPointer<Double>) throws -> Bool {
    guard let communicator, let mailbox = try communicator.mailbox() else { return false }
    try communicator.run(.allReduce, count: count) {
      posted = mailbox.post(UnsafeBufferPointer(numbers), over: $0).map { (mailbox, $0, numbers) }
      return cmpi_success()
    }
    return posted != nil
  }

  func add(_ start: (MPI_Comm, UnsafeMutablePointer<MPI_Request?>) -> Int32) throws {
    guard let communicator else { preconditionFailure("a message of a collective that is over") }
    var request: MPI_Request? = cmpi_request_null()
    try communicator.run(operation, count: count) { start($0, &request) }
    requests.append(request)
  }

  /// Returns when the result is in the buffer. A second call returns at once.
  /// - Parameter meanwhile: does a little of what else there is to do, and says whether there was anything; called while
  ///   ranks that share memory are waited for.
  /// - Throws: `CollectiveError`.
  public func wait(meanwhile: () -> Bool = { false }) throws {
    guard let communicator else { return }
    if let (mailbox, message, sums) = posted {
      try communicator.run(operation, count: count) {
        mailbox.take(message, into: sums, over: $0, meanwhile: meanwhile)
        return cmpi_success()
      }
      posted = nil
    }
    while var request = requests.last {
      try communicator.run(operation, count: count) { _ in MPI_Wait(&request, cmpi_status_ignore()) }
      requests.removeLast()
    }
    self.communicator = nil
  }

  /// Lets MPI work on it and says whether the result is in the buffer.
  /// - Throws: `CollectiveError`.
  public func poll() throws -> Bool {
    guard let communicator else { return true }
    if let (mailbox, message, _) = posted {
      guard let handle = communicator.handle, mailbox.isComplete(message, over: handle) else { return false }
      try wait()
    }
    while var request = requests.last {
      var done: Int32 = 0
      let status = MPI_Test(&request, &done, cmpi_status_ignore())
      guard status == cmpi_success() else {
        throw communicator.failure(operation, count: count, mpiMessage(status))
      }
      guard done != 0 else { return false }
      requests.removeLast()
    }
    self.communicator = nil
    return true
  }
}

extension Communicator {
  /// Starts an all-reduce in place that goes on while the program computes. The sum may be taken in another order
  /// than the blocking one's, so the last bits of the two may differ; each agrees with itself from run to run. Short sums
  /// of doubles go through the `Mailbox` of the ranks of one host, to the same bits.
  public func startAllReduce<T: MPIElement>(_ buffer: UnsafeMutableBufferPointer<T>, _ op: Reduction) throws -> Pending
  {
    let pending = pending(.waitAllReduce, count: buffer.count)
    if case .sum = op, let numbers = buffer as? UnsafeMutableBufferPointer<Double>, try pending.post(numbers) {
      return pending
    }
    try forEachPart(of: buffer) { part in
      try pending.add {
        MPI_Iallreduce(
          cmpi_in_place(), part.baseAddress, Int32(part.count), T.mpiKind.datatype, op.operation, $0, $1)
      }
    }
    pending.endIfNothingIsUnderWay()
    return pending
  }

  /// Starts a broadcast that goes on while the program computes.
  public func startBroadcast<T: MPIElement>(_ buffer: UnsafeMutableBufferPointer<T>, from root: Int) throws -> Pending {
    check(root: root)
    let pending = pending(.waitBroadcast, count: buffer.count)
    try forEachPart(of: buffer) { part in
      try pending.add { MPI_Ibcast(part.baseAddress, Int32(part.count), T.mpiKind.datatype, Int32(root), $0, $1) }
    }
    pending.endIfNothingIsUnderWay()
    return pending
  }

  /// One that is over and that nobody holds any more, so that a step allocates none, or else a new one.
  private func pending(_ operation: CollectiveOperation, count: Int) -> Pending {
    // By place: a copy of the reference would be a second holder.
    let free = pendings.indices.first { isKnownUniquelyReferenced(&pendings[$0]) && pendings[$0].isOver }
    let pending = free.map { pendings[$0] } ?? Pending()
    if free == nil { pendings.append(pending) }
    pending.begin(self, operation, count: count)
    return pending
  }

  private func forEachPart<T>(
    of buffer: UnsafeMutableBufferPointer<T>, _ body: (UnsafeMutableBufferPointer<T>) throws -> Void
  ) throws {
    guard size > 1 else { return }
    var start = 0
    while start < buffer.count {
      let end = min(start + Self.longest, buffer.count)
      try body(UnsafeMutableBufferPointer(rebasing: buffer[start..<end]))
      start = end
    }
  }
}
