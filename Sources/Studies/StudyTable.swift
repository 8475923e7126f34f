import Evaluation
import Foundation
import Training

/// A study's results: a row a variant with mean and sample deviation over its seeds, and the encoder as it starts.
public struct StudyTable: Sendable {
  public struct Row: Equatable, Sendable {
    public var name: String
    /// Runs of the row in all, those at their end, and of these those that diverged or collapsed.
    public var runs = 0
    public var finished = 0
    public var diverged = 0
    public var collapsed = 0
    /// Why runs of the row failed.
    public var failures: [String] = []
    public var probeAccuracy: SampleStatistics?
    public var positiveCosine: SampleStatistics?
    public var negativeCosine: SampleStatistics?
    public var imagesPerSecond: SampleStatistics?
    public var stepSeconds: SampleStatistics?
    public var published: Published?
    /// The row of encoders that nothing was learnt by has no runs of its own.
    public var isRandomEncoder = false
  }

  public let rows: [Row]
  let study: Study
  let ranks: Int
  let notes: [String]

  /// - Parameters:
  ///   - results: a row a variant, a value a seed, in the study's order.
  ///   - ranks: on which the study ran.
  ///   - notes: what else to say below the table.
  public init(_ study: Study, results: [[RunResult]], ranks: Int, notes: [String] = []) {
    precondition(
      results.count == study.variants.count && results.allSatisfy { $0.count == study.seeds.count },
      "a result a variant and seed")
    self.study = study
    self.ranks = ranks
    self.notes = notes
    rows =
      zip(study.variants, results).map { Self.row($0, $1) }
      + Self.randomEncoders(study, results)
  }

  private static func row(_ variant: Study.Variant, _ results: [RunResult]) -> Row {
    let figures = results.compactMap(\.figures)
    var row = Row(name: variant.name)
    row.runs = results.count
    row.diverged = results.count { if case .diverged = $0 { true } else { false } }
    row.finished = figures.count + row.diverged
    row.failures = results.compactMap { if case .failed(let reason) = $0 { reason } else { nil } }
    row.collapsed = figures.count(where: \.collapsed)
    row.probeAccuracy = SampleStatistics(figures.compactMap(\.probeAccuracy))
    row.positiveCosine = SampleStatistics(figures.compactMap(\.positiveCosine))
    row.negativeCosine = SampleStatistics(figures.compactMap(\.negativeCosine))
    row.imagesPerSecond = SampleStatistics(figures.compactMap(\.imagesPerSecond))
    row.stepSeconds = SampleStatistics(figures.compactMap(\.stepSeconds))
    row.published = variant.published
    return row
  }

  /// A row for each kind of encoder: variants whose encoders start with the same accuracy at every seed share one.
  private static func randomEncoders(_ study: Study, _ results: [[RunResult]]) -> [Row] {
    var kinds: [(names: [String], bySeed: [Double?])] = []
    for (variant, results) in zip(study.variants, results) {
      let bySeed = results.map { $0.figures?.randomEncoderAccuracy }
      guard bySeed.contains(where: { $0 != nil }) else { continue }
      let isSame = { (other: [Double?]) in zip(other, bySeed).allSatisfy { $0 == nil || $1 == nil || $0 == $1 } }
      if let kind = kinds.firstIndex(where: { isSame($0.bySeed) }) {
        kinds[kind].names.append(variant.name)
        kinds[kind].bySeed = zip(kinds[kind].bySeed, bySeed).map { $0 ?? $1 }
      } else {
        kinds.append(([variant.name], bySeed))
      }
    }
    if kinds.isEmpty { kinds = [([], [])] }
    return kinds.map { kind in
      var row = Row(name: "random encoder" + (kinds.count > 1 ? " of \(kind.names.joined(separator: " "))" : ""))
      row.isRandomEncoder = true
      row.probeAccuracy = SampleStatistics(kind.bySeed.compactMap { $0 })
      row.published = study.randomEncoder
      return row
    }
  }
}

extension RunResult {
  var figures: RunFigures? {
    if case .finished(let figures) = self { return figures }
    return nil
  }
}
