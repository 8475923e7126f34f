import Collectives
import Kernels
import Layers

/// Who computes the target's update.
public enum EMAPlacement: String, CaseIterable, Codable, Sendable {
  /// On rank 0, which sends it to all others.
  case rank0
  /// On every rank from its own replica: the same bits without the message.
  case everyRank = "every-rank"
}

/// The EMA target: xi <- tau xi + (1 - tau) theta (Grill et al. 2020, equation 1).
public enum MovingAverageTarget {
  /// Floats that rank 0 updates and sends at a time: four megabytes.
  private static let pieceFloats = 1 << 20

  /// Moves the target's parameters towards the online network's, whose encoder and projector come first in its flat
  /// buffer. Collective where the place is rank 0. Running statistics are the target's own and stay.
  /// - Throws: `CollectiveError`.
  public static func update(
    target: ParameterStore, online: ParameterStore, tau: Double, placement: EMAPlacement,
    communicator: Communicator, team: ThreadTeam
  ) throws {
    func move(_ range: Range<Int>) {
      ParameterUpdates.movingAverage(
        target: target.values.pointer + range.lowerBound, online: online.values.pointer + range.lowerBound,
        count: range.count, tau: tau, team: team)
    }
    let count = target.values.count
    guard placement == .rank0 && communicator.size > 1 else { return move(0..<count) }
    // Piece by piece, so that the ranks fetch one while rank 0 computes the next.
    var messages: [Pending] = []
    for first in stride(from: 0, to: count, by: pieceFloats) {
      let piece = first..<min(first + pieceFloats, count)
      if communicator.rank == 0 { move(piece) }
      let values = UnsafeMutableBufferPointer(start: target.values.pointer + first, count: piece.count)
      messages.append(try communicator.startBroadcast(values, from: 0))
    }
    for message in messages { try message.wait() }
  }
}
