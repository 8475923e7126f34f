import Files

/// Whether a run has ended in a collapse, and what came before: what its last lines, summary.json and a study's table say.
package struct CollapseVerdict: Equatable {
  package let isCollapsed: Bool
  /// The first collapse that lasted; nil for none.
  package let firstStep: Int?
  /// The measure that showed the first collapse, or the end's where none lasted long enough to be one.
  package let measure: CollapseMeasure?
  package let escapedAt: Int?
  package let collapses: Int

  /// - Parameters:
  ///   - watch: after the last step.
  ///   - last: the reading of the last step.
  package init(_ watch: CollapseWatch, last: CollapseReading) {
    let end = CollapseMeasure.allCases.first { $0.holds(last) }
    isCollapsed = watch.isCollapsed || end != nil
    firstStep = watch.firstStep
    measure = watch.firstMeasure ?? end
    escapedAt = watch.escapedAt
    collapses = watch.collapses
  }

  /// Members of summary.json.
  var members: [JSON.Member] {
    [
      .init("collapsed", JSON(isCollapsed)), .init("collapsed_at", JSON(firstStep)),
      .init("collapse_measure", JSON(measure?.rawValue)), .init("escaped_at", JSON(escapedAt)),
      .init("collapses", JSON(collapses)),
    ]
  }

  /// - Parameter summary: a run's; what it lacks is unknown.
  package init(summary: JSON) {
    isCollapsed = summary["collapsed"]?.bool ?? false
    firstStep = summary["collapsed_at"]?.int
    measure = summary["collapse_measure"]?.string.flatMap(CollapseMeasure.init(rawValue:))
    escapedAt = summary["escaped_at"]?.int
    collapses = summary["collapses"]?.int ?? 0
  }

  /// A run's last line.
  package var text: String {
    let verdict =
      isCollapsed
      ? "collapsed: projections of different images are the same" : "not collapsed: images can be told apart"
    guard let measure else { return verdict }
    guard let firstStep else { return "\(verdict) (by \(measure.rawValue) in the last step)" }
    let escape = escapedAt.map { ", left at step \($0)" } ?? ""
    let again = isCollapsed && escapedAt != nil ? ", and collapsed again" : ""
    return "\(verdict) (collapsed at step \(firstStep) by \(measure.rawValue)\(escape)\(again))"
  }
}
