/// Decides by the signs of the host's ranks, looked at again and again, whether this rank waits in vain.
///
/// Times are seconds during which this process itself ran: while it was stopped, or the machine slept, it saw nothing
/// and concludes nothing.
package struct StallDetector {
  package enum Finding: Equatable {
    case nothing
    /// These do not beat: each may be stopped, or dead.
    case silent([Int])
    /// This rank waits, and for longer than the limit no rank of the host has got on.
    case stalled
  }

  private struct Seen {
    var signs: RankSigns
    var beatAt: Double
    var workAt: Double
  }

  private var clock = 0.0
  private var seen: [Seen] = []
  /// Some beats long: a rank that has no core for a moment is not meant.
  package static let silence = 0.45

  package init() {}

  /// - Parameters:
  ///   - signs: of the host's ranks, by place.
  ///   - own: this rank's place.
  ///   - slept: seconds since the last look.
  ///   - asked: seconds that the watchdog meant to sleep; what is far above them it was stopped for.
  ///   - limit: seconds.
  package mutating func look(
    _ signs: [RankSigns], own: Int, slept: Double, asked: Double, limit: Double
  ) -> Finding {
    clock += min(slept, 2 * asked)
    if seen.count != signs.count { seen = signs.map { Seen(signs: $0, beatAt: clock, workAt: clock) } }
    for place in signs.indices {
      let (before, now) = (seen[place].signs, signs[place])
      if before.beat != now.beat || before.life != now.life { seen[place].beatAt = clock }
      if before.work != now.work || before.life != now.life { seen[place].workAt = clock }
      seen[place].signs = now
    }
    if signs[own].isWaiting, signs.indices.allSatisfy({ secondsWithoutWork($0) >= limit }) { return .stalled }
    let silent = signs.indices.filter { place in
      place != own && signs[place].life == .running && secondsWithoutBeat(place) > Self.silence
    }
    return silent.isEmpty ? .nothing : .silent(silent)
  }

  package func secondsWithoutBeat(_ place: Int) -> Double { clock - seen[place].beatAt }
  package func secondsWithoutWork(_ place: Int) -> Double { clock - seen[place].workAt }
}
