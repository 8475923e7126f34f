import Files

/// What a run's end is told from: kept in checkpoints, so that a run resumed after its last step ends with its figures.
struct RunProgress {
  var positiveCosine = 0.0
  var negativeCosine = 0.0
  /// Of the latest steps that had them.
  var projectionStd: Double?
  var effectiveRank: Double?
  var alignment: Double?
  var uniformity: Double?
  var collapse = CollapseWatch()

  mutating func note(_ measures: StepMeasures) {
    positiveCosine = measures.positiveCosine
    negativeCosine = measures.negativeCosine
    projectionStd = measures.projectionStd
    effectiveRank = measures.effectiveRank ?? effectiveRank
    alignment = measures.alignment ?? alignment
    uniformity = measures.uniformity ?? uniformity
  }

  /// The one verdict of a run: from the watch, which wants a measure to hold for many steps, or from the last step, for
  /// runs that are shorter.
  /// - Parameter dimensions: of a projection.
  func verdict(dimensions: Int) -> CollapseVerdict {
    let reading = CollapseReading(
      positiveCosine: positiveCosine, negativeCosine: negativeCosine,
      stdShare: projectionStd.map { CollapseReading.stdShare($0, dimensions: dimensions) } ?? .infinity)
    return CollapseVerdict(collapse, last: reading)
  }

  init() {}

  /// - Parameter state: a checkpoint's; what it lacks is 0 or unknown.
  init(state: JSON) {
    positiveCosine = state["positive_cosine"]?.double ?? 0
    negativeCosine = state["negative_cosine"]?.double ?? 0
    projectionStd = state["projection_std"]?.double
    effectiveRank = state["effective_rank"]?.double
    alignment = state["alignment"]?.double
    uniformity = state["uniformity"]?.double
    collapse = CollapseWatch(json: state["collapse"] ?? .null)
  }

  /// The figures of the last step, as checkpoint and summary have them.
  var figures: [JSON.Member] {
    [
      .init("positive_cosine", JSON(positiveCosine)), .init("negative_cosine", JSON(negativeCosine)),
      .init("projection_std", JSON(projectionStd)), .init("effective_rank", JSON(effectiveRank)),
      .init("alignment", JSON(alignment)), .init("uniformity", JSON(uniformity)),
    ]
  }
}
