/// The status of a rank when a wait is judged, wherever it runs.
package struct RankStatus: Equatable, Sendable {
  package enum Activity: Equatable, Sendable {
    case dead
    /// It has left the job by itself.
    case left
    /// Seconds since its process last ran, and what the system says of it.
    case stopped(Double, ProcessCondition)
    /// Seconds without a sign of progress.
    case busy(Double, ProcessCondition)
    case waiting(CollectiveOperation, count: Int)
  }

  package var rank: Int
  package var process: Int32
  package var host: String
  /// "step 12, backward".
  package var place: String
  package var activity: Activity

  package init(rank: Int, process: Int32, host: String, place: String, activity: Activity) {
    (self.rank, self.process, self.host) = (rank, process, host)
    (self.place, self.activity) = (place, activity)
  }

  var isWaiting: Bool {
    if case .waiting = activity { return true }
    return false
  }

  /// The gravest first: what is dead makes others wait, and what is stopped does.
  fileprivate var gravity: Int {
    switch activity {
    case .dead: 0
    case .stopped: 1
    case .left: 2
    case .busy: 3
    case .waiting: 4
    }
  }
}

/// The line that says which rank the others wait for.
package struct StallReport {
  /// Of all ranks that are known of.
  let ranks: [RankStatus]
  /// Ranks on other hosts, of which nothing is known.
  let elsewhere: Int
  /// Seconds.
  let limit: Double

  package init(ranks: [RankStatus], elsewhere: Int, limit: Double) {
    self.ranks = ranks.sorted { $0.rank < $1.rank }
    (self.elsewhere, self.limit) = (elsewhere, limit)
  }

  /// The ranks that are waited for, the gravest kind alone; none where all that are known of wait.
  package var culprits: [RankStatus] {
    let gravest = ranks.map(\.gravity).min() ?? 4
    return gravest == 4 ? [] : ranks.filter { $0.gravity == gravest }
  }

  /// - Parameter waited: seconds that the rank which speaks has waited.
  package func line(waited: Double) -> String {
    let culprits = culprits
    let waiting = ranks.filter(\.isWaiting)
    let bound = "ending the job (limit \(secondsText(limit)): BYOL_DIST_COLLECTIVE_TIMEOUT)"
    guard !culprits.isEmpty else { return "\(mutualWait(waiting, waited: waited)); \(bound)" }
    let named = culprits.prefix(4).map(description).joined(separator: "; ")
    let more = culprits.count > 4 ? "; \(culprits.count - 4) more ranks likewise" : ""
    let whom = culprits.count == 1 ? "it" : "them"
    let waits = Self.groups(waiting) { operation, _, _ in operation.place }.enumerated().map { index, group in
      let wait = index > 0 ? "" : group.ranks.count == 1 ? " waits for \(whom)" : " wait for \(whom)"
      return "; \(Self.list(group.ranks))\(wait) in \(group.text)"
    }
    let isDead = culprits.contains { $0.activity == .dead }
    return "\(named)\(more)\(waits.joined()); \(isDead ? "ending the job" : bound)"
  }

  /// All ranks that are known of are alive and wait.
  private func mutualWait(_ waiting: [RankStatus], waited: Double) -> String {
    let groups = Self.groups(waiting) { operation, count, place in
      "\(operation.place) of \(count) elements, \(place)"
    }
    let places = groups.map { "\(Self.list($0.ranks)) in \($0.text)" }.joined(separator: "; ")
    guard elsewhere > 0 else { return "the ranks have waited \(secondsText(waited)) for each other: \(places)" }
    let verb = waiting.count == 1 ? "has" : "have"
    return "\(Self.list(waiting.map(\.rank))) on \(waiting.first?.host ?? "this host") \(verb) waited "
      + "\(secondsText(waited)) for a rank of another host, all alive: \(places)"
  }

  private func description(_ status: RankStatus) -> String {
    let name = "rank \(status.rank) (pid \(status.process) on \(status.host))"
    let place = status.place.hasPrefix("step") ? "in \(status.place)" : status.place
    switch status.activity {
    case .dead: return "\(name) died \(place)"
    case .left: return "\(name) has left the job \(place)"
    case .stopped(let seconds, let condition):
      let verb =
        switch condition {
        case .stopped: "been stopped"
        case .traced: "been stopped by a debugger"
        default: "not run"
        }
      return "\(name) has \(verb) for \(secondsText(seconds)) \(place)"
    case .busy(let seconds, let condition):
      let reason = condition == .blocked ? ", waiting for a disk or network file system," : ""
      return "\(name) has been busy without progress\(reason) for \(secondsText(seconds)) \(place)"
    case .waiting(let operation, _): return "\(name) waits in \(operation.place) \(place)"
    }
  }

  /// The waiting ranks by what is said of their wait, in the order of the lowest of each.
  private static func groups(
    _ waiting: [RankStatus], _ text: (CollectiveOperation, Int, String) -> String
  ) -> [(text: String, ranks: [Int])] {
    var groups: [(text: String, ranks: [Int])] = []
    for status in waiting {
      guard case .waiting(let operation, let count) = status.activity else { continue }
      let text = text(operation, count, status.place)
      if let same = groups.firstIndex(where: { $0.text == text }) {
        groups[same].ranks.append(status.rank)
      } else {
        groups.append((text, [status.rank]))
      }
    }
    return groups
  }

  /// "rank 3", "ranks 0, 1 and 4 to 7".
  package static func list(_ ranks: [Int]) -> String {
    guard ranks.count != 1 else { return "rank \(ranks[0])" }
    var parts: [String] = []
    var rest = ranks.sorted()[...]
    while let first = rest.popFirst() {
      var last = first
      while rest.first == last + 1 { last = rest.removeFirst() }
      if last - first > 1 {
        parts.append("\(first) to \(last)")
      } else {
        parts += (first...last).map { "\($0)" }
      }
    }
    guard let last = parts.popLast() else { return "no rank" }
    return "ranks " + (parts.isEmpty ? last : parts.joined(separator: ", ") + " and " + last)
  }
}

/// "61 s", "2.5 s": tenths where they count.
func secondsText(_ seconds: Double) -> String {
  let tenths = (seconds * 10).rounded() / 10
  return tenths >= 10 || tenths == tenths.rounded() ? "\(Int(tenths.rounded())) s" : "\(tenths) s"
}
