import Collectives
import Kernels
import Layers

/// Who computes the target's update.
public enum EMAPlacement: String, CaseIterable, Codable, Sendable {
  /// On rank 0, which sends it to all others, or leaves it in memory that they read too.
  case rank0
  /// On every rank from its own replica, or a share of it where ranks have one copy: the same bits without the message.
  case everyRank = "every-rank"
}

/// The EMA target: xi <- tau xi + (1 - tau) theta (Grill et al. 2020, equation 1). Its message may be under way while the
/// next step begins.
public final class MovingAverageTarget {
  /// Floats that rank 0 updates and sends at a time.
  private let pieceFloats: Int
  private let target: ParameterStore
  private let online: ParameterStore
  private let placement: EMAPlacement
  private let communicator: Communicator
  private var messages: [Pending] = []

  /// - Parameter pieceFloats: of a message of rank 0's; four megabytes unless said.
  public init(
    target: ParameterStore, online: ParameterStore, placement: EMAPlacement, communicator: Communicator,
    pieceFloats: Int = 1 << 20
  ) {
    self.pieceFloats = pieceFloats
    self.target = target
    self.online = online
    self.placement = placement
    self.communicator = communicator
  }

  /// Moves the target's parameters towards the online network's, whose encoder and projector come first in its flat
  /// buffer; they are there after `settle`. Collective where the place is rank 0. Running statistics are the target's own
  /// and stay.
  /// - Throws: `CollectiveError`.
  public func update(tau: Double, team: ThreadTeam) throws {
    try settle()
    let count = target.values.count
    guard placement == .rank0 && communicator.size > 1 else { return move(0..<count, tau, team) }
    // Piece by piece, so that the ranks fetch one while rank 0 computes the next.
    for first in stride(from: 0, to: count, by: pieceFloats) {
      let piece = first..<min(first + pieceFloats, count)
      if communicator.rank == 0 { move(piece, tau, team) }
      let values = UnsafeMutableBufferPointer(start: target.values.pointer + first, count: piece.count)
      messages.append(try communicator.startBroadcast(values, from: 0))
    }
  }

  /// Waits until this rank has, or has sent, the target of the last update. The parameters are not to be touched before.
  /// - Throws: `CollectiveError`.
  public func settle() throws {
    for message in messages { try message.wait() }
    messages.removeAll(keepingCapacity: true)
  }

  private func move(_ range: Range<Int>, _ tau: Double, _ team: ThreadTeam) {
    ParameterUpdates.movingAverage(
      target: target.values.pointer + range.lowerBound, online: online.values.pointer + range.lowerBound,
      count: range.count, tau: tau, team: team)
  }
}
