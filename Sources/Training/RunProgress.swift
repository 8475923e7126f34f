/// What a run's end is told from: kept in checkpoints, so that a run resumed after its last step ends with its figures.
struct RunProgress {
  var positiveCosine = 0.0
  var negativeCosine = 0.0

  mutating func note(_ measures: StepMeasures) {
    positiveCosine = measures.positiveCosine
    negativeCosine = measures.negativeCosine
  }

  /// Both cosines above this: images can no longer be told apart (Fetterman & Albrecht 2020 saw 0.9999).
  static let collapseCosine = 0.99

  var collapsed: Bool { positiveCosine > Self.collapseCosine && negativeCosine > Self.collapseCosine }
}
