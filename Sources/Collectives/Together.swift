/// An error that knows the exit status the program should end with: 2 for the user's mistake. Others end with 1.
public protocol StatusError: Error {
  var exitStatus: Int32 { get }
  /// Whether the same job would fail again the same way, so that `launch/run --restarts` does not start it again.
  var isPermanent: Bool { get }
}

extension StatusError {
  public var isPermanent: Bool { false }
}

/// The error that every rank throws when a body failed on at least one: the failure of the lowest such rank, in its words. Where
/// that is not rank 0, which speaks for all, they begin with the rank and its host.
public struct SharedError: StatusError, CustomStringConvertible {
  /// The lowest rank that failed, in the communicator that agreed on it.
  public let rank: Int
  public let exitStatus: Int32
  public let isPermanent: Bool
  public let message: String
  /// This rank's own error, if it failed too.
  public let underlying: (any Error)?

  public var description: String { message }
}

extension Communicator {
  /// Runs `body` on every rank and returns when it has succeeded on all; if it throws on any, all throw the lowest
  /// failing rank's message and exit status, so that no rank goes on, or away, alone.
  ///
  /// The body may communicate only if all ranks throw before, or none does. A `CollectiveError` is not shared: it is
  /// thrown on at once, for `abort`.
  /// - Throws: `SharedError`, the same on all ranks but for `underlying`.
  public func together<R>(_ body: () throws -> R) throws -> R {
    do {
      let result = try body()
      try agree(nil)
      return result
    } catch let error as CollectiveError {
      throw error
    } catch let error as Agreed {
      throw error.error
    } catch {
      try agree(error)
      preconditionFailure("a rank that failed was not heard")
    }
  }

  /// Lets rank 0 alone decide and gives every rank its bytes or its error.
  /// - Throws: `SharedError` on all ranks when the body threw.
  public func decideOnRoot(_ body: () throws -> [UInt8]) throws -> [UInt8] {
    let bytes = try together { rank == 0 ? try body() : [] }
    return try broadcast(bytes, from: 0)
  }

  /// Carries an agreed failure past the `catch` of failures still to be agreed on.
  private struct Agreed: Error {
    let error: SharedError
  }

  private func agree(_ own: (any Error)?) throws {
    let lowest = Int(try allReduce(Int32(own == nil ? size : rank), .min))
    guard lowest < size else { return }
    var told: [UInt8] = []
    if let own, rank == lowest {
      let error = own as? any StatusError
      told = withUnsafeBytes(of: (error?.exitStatus ?? 1).littleEndian) { Array($0) }
      told +=
        [error?.isPermanent ?? false ? 1 : 0]
        + Array((rank == 0 || own is SharedError ? "\(own)" : "rank \(rank) on \(Self.host): \(own)").utf8)
    }
    told = try broadcast(told, from: lowest)
    let status = told.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let shared = SharedError(
      rank: lowest, exitStatus: Int32(bitPattern: status), isPermanent: told[4] == 1,
      message: String(decoding: told.dropFirst(5), as: UTF8.self), underlying: own)
    if own == nil { throw Agreed(error: shared) }
    throw shared
  }
}
