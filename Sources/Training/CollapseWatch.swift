import Files

/// What a collapse is told by.
public enum CollapseMeasure: String, CaseIterable, Sendable {
  /// Both cosines of z and z', within and between images, are above 0.99: online and target say one thing of all images.
  case cosine
  /// The projections' standard deviation is below a hundredth of 1/√dimensions: the online network says one thing of all
  /// images, whatever the target's.
  case std = "projection_std"

  static let largestCosine = 0.99
  static let smallestStdShare = 0.01

  func holds(_ reading: CollapseReading) -> Bool {
    switch self {
    case .cosine: reading.positiveCosine > Self.largestCosine && reading.negativeCosine > Self.largestCosine
    case .std: reading.stdShare < Self.smallestStdShare
    }
  }

  /// What is said of it.
  var reason: String {
    switch self {
    case .cosine: "cosines of z and z' above \(Self.largestCosine) within and between images"
    case .std: "standard deviation of the projections below \(Self.smallestStdShare) of its healthy value"
    }
  }
}

/// What of a step's measures a collapse is told by.
package struct CollapseReading {
  package var positiveCosine: Double
  package var negativeCosine: Double
  /// The projections' standard deviation over 1/√dimensions: about 1 where they are spread.
  package var stdShare: Double

  package init(positiveCosine: Double, negativeCosine: Double, stdShare: Double) {
    self.positiveCosine = positiveCosine
    self.negativeCosine = negativeCosine
    self.stdShare = stdShare
  }

  init(_ measures: StepMeasures, dimensions: Int) {
    self.init(
      positiveCosine: measures.positiveCosine, negativeCosine: measures.negativeCosine,
      stdShare: Self.stdShare(measures.projectionStd, dimensions: dimensions))
  }

  static func stdShare(_ deviation: Double, dimensions: Int) -> Double { deviation * Double(dimensions).squareRoot() }
}

/// Notices that a run collapses, and that it leaves the collapse again. A function of the steps' measures alone, which
/// are the same on all ranks, and kept in checkpoints.
///
/// A measure has to hold for `patience` steps on end, and those of the learning rate's warm-up do not count: a network
/// without norms begins with nearly equal projections, and learns to tell them apart.
package struct CollapseWatch: Equatable, Sendable {
  package static let patience = 100

  package enum Event: Equatable, Sendable {
    /// `step` is the first of the steps on end.
    case collapsed(step: Int, by: CollapseMeasure)
    case escaped(step: Int)
  }

  package private(set) var isCollapsed = false
  /// The first collapse.
  package private(set) var firstStep: Int?
  package private(set) var firstMeasure: CollapseMeasure?
  /// The first step after the latest collapse that a run left.
  package private(set) var escapedAt: Int?
  package private(set) var collapses = 0
  /// Steps on end on which each measure has held, and none.
  private var streaks = [Int](repeating: 0, count: CollapseMeasure.allCases.count)
  private var clear = 0

  package init() {}

  /// Whether the next step may be the one at which a collapse is certain.
  package var isNearlySure: Bool { !isCollapsed && streaks.contains(Self.patience - 1) }

  /// Takes the reading of a finished step, from 1.
  /// - Parameter warmup: steps of the learning rate's rise.
  package mutating func note(_ reading: CollapseReading, step: Int, warmup: Int) -> Event? {
    guard step > warmup else { return nil }
    clear += 1
    for (place, measure) in CollapseMeasure.allCases.enumerated() {
      let holds = measure.holds(reading)
      streaks[place] = holds ? streaks[place] + 1 : 0
      if holds { clear = 0 }
    }
    let began = step - Self.patience + 1
    if isCollapsed {
      guard clear >= Self.patience else { return nil }
      isCollapsed = false
      escapedAt = began
      return .escaped(step: began)
    }
    guard let place = streaks.firstIndex(where: { $0 >= Self.patience }) else { return nil }
    let measure = CollapseMeasure.allCases[place]
    isCollapsed = true
    collapses += 1
    firstStep = firstStep ?? began
    firstMeasure = firstMeasure ?? measure
    return .collapsed(step: began, by: measure)
  }
}

// MARK: Files

extension CollapseWatch {
  /// What a checkpoint keeps.
  package var json: JSON {
    [
      "collapsed": JSON(isCollapsed), "collapsed_at": .init(firstStep),
      "collapse_measure": .init(firstMeasure?.rawValue),
      "escaped_at": .init(escapedAt), "collapses": JSON(collapses), "streaks": .array(streaks.map { JSON($0) }),
      "clear": JSON(clear),
    ]
  }

  /// - Parameter json: null, or what lacks a part, gives a watch that has seen less.
  package init(json: JSON) {
    isCollapsed = json["collapsed"]?.bool ?? false
    firstStep = json["collapsed_at"]?.int
    firstMeasure = json["collapse_measure"]?.string.flatMap(CollapseMeasure.init(rawValue:))
    escapedAt = json["escaped_at"]?.int
    collapses = json["collapses"]?.int ?? 0
    let kept = (json["streaks"]?.array ?? []).compactMap(\.int)
    if kept.count == streaks.count { streaks = kept }
    clear = json["clear"]?.int ?? 0
  }
}

extension CollapseWatch.Event {
  /// Of a line in metrics.jsonl.
  package var members: [(String, JSON)] {
    switch self {
    case .collapsed(let step, let measure):
      [("collapsed_at", JSON(step)), ("collapse_measure", JSON(measure.rawValue))]
    case .escaped(let step): [("escaped_at", JSON(step))]
    }
  }

  /// The line that says so.
  package func text(_ policy: CollapsePolicy) -> String {
    switch self {
    case .collapsed(let step, let measure):
      "collapsed at step \(step): \(measure.reason), \(CollapseWatch.patience) steps on end; "
        + (policy == .stop ? "the run ends (--on-collapse stop)" : "the run goes on (--on-collapse warn)")
    case .escaped(let step):
      "left the collapse at step \(step): images can be told apart for \(CollapseWatch.patience) steps"
    }
  }
}

extension JSON {
  init(_ value: Int?) { self = value.map { JSON($0) } ?? .null }
  init(_ value: Double?) { self = value.map { JSON($0) } ?? .null }
  init(_ value: String?) { self = value.map { JSON($0) } ?? .null }
}
