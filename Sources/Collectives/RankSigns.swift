/// The part of a rank's entry that its host's watchdogs look at all the time.
package struct RankSigns: Equatable, Sendable {
  /// Whether a rank takes part in collectives.
  package enum Life: UInt64, Sendable {
    /// It has not come to the board yet.
    case absent
    case running
    /// On its way out by itself: its process may be gone at any time.
    case leaving
  }

  package var life: Life
  /// Moved on by the rank's watchdog, whatever the rank does: a process that is stopped does not move it.
  package var beat: UInt64
  /// Differs whenever the rank has entered or left a collective, a phase or a step, or has said that it makes progress.
  package var work: UInt64
  /// Odd in a collective.
  package var generation: UInt64

  package init(life: Life = .running, beat: UInt64 = 0, work: UInt64 = 0, generation: UInt64 = 0) {
    (self.life, self.beat, self.work, self.generation) = (life, beat, work, generation)
  }

  package var isWaiting: Bool { generation % 2 == 1 }
}
