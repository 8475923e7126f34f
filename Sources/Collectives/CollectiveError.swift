internal import CMPI

/// What a rank can be doing when it waits for the others.
public enum CollectiveOperation: UInt8, CaseIterable, Sendable, CustomStringConvertible {
  case start, finish, split, barrier, allReduce, broadcast, allGather, gather, exchange, waitAllReduce, waitBroadcast,
    waitShared

  public var description: String {
    switch self {
    case .start: "start"
    case .finish: "finish"
    case .split: "split"
    case .barrier: "barrier"
    case .allReduce: "all-reduce"
    case .broadcast: "broadcast"
    case .allGather: "all-gather"
    case .gather: "gather"
    case .exchange: "exchange"
    case .waitAllReduce: "wait for all-reduce"
    case .waitBroadcast: "wait for broadcast"
    case .waitShared: "wait in shared memory"
    }
  }

  /// The collective itself, in a sentence about a rank that waits in it.
  package var place: String {
    switch self {
    case .waitAllReduce: "all-reduce"
    case .waitBroadcast: "broadcast"
    case .waitShared: "the host's shared memory"
    case .start, .finish: "MPI's \(self)"
    default: description
    }
  }
}

/// A collective that failed on this rank: the network, MPI, or counts that do not fit. The other ranks may still be
/// inside it, so there is nothing to agree on any more; the program's one answer is `Communicator.abort`.
public struct CollectiveError: Error, CustomStringConvertible {
  public let operation: CollectiveOperation
  /// The rank, in the communicator of the collective, that saw the failure.
  public let rank: Int
  /// Elements that this rank passed.
  public let count: Int
  public let message: String

  package init(operation: CollectiveOperation, rank: Int, count: Int, message: String) {
    self.operation = operation
    self.rank = rank
    self.count = count
    self.message = message
  }

  public var description: String { "\(operation) of \(count) elements failed on rank \(rank): \(message)" }
}

/// The text that MPI has for one of its error codes.
func mpiMessage(_ code: Int32) -> String {
  var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING))
  var length: Int32 = 0
  guard MPI_Error_string(code, &text, &length) == cmpi_success() else { return "MPI error \(code)" }
  return String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
