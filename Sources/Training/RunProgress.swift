/// What a run's end is told from: kept in checkpoints, so that a resumed run ends with the whole run's figures.
struct RunProgress {
  /// Percent; of the encoder as it starts from the seed.
  var randomAccuracy = 0.0
  var positiveCosine = 0.0
  var negativeCosine = 0.0
  /// This process's steps and the time they took: not the checkpoint's, whose bytes must not depend on time.
  private(set) var steps = 0
  private(set) var seconds = 0.0

  mutating func add(_ measures: StepMeasures, seconds: Double) {
    positiveCosine = measures.positiveCosine
    negativeCosine = measures.negativeCosine
    steps += 1
    self.seconds += seconds
  }

  /// Both cosines above this: images can no longer be told apart (Fetterman & Albrecht 2020 saw 0.9999).
  static let collapseCosine = 0.99

  var collapsed: Bool { positiveCosine > Self.collapseCosine && negativeCosine > Self.collapseCosine }
}
