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
  /// Moves the target's parameters towards the online network's, whose encoder and projector come first in its flat
  /// buffer. Collective where the place is rank 0. Running statistics are the target's own and stay.
  /// - Throws: `CollectiveError`.
  public static func update(
    target: ParameterStore, online: ParameterStore, tau: Double, placement: EMAPlacement,
    communicator: Communicator, team: ThreadTeam
  ) throws {
    if placement == .everyRank || communicator.rank == 0 {
      ParameterUpdates.movingAverage(
        target: target.values.pointer, online: online.values.pointer, count: target.values.count, tau: tau, team: team)
    }
    if placement == .rank0 { try communicator.broadcast(target.values.floats, from: 0) }
  }
}
