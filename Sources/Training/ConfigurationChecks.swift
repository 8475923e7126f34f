import Layers
import Methods

/// A part of the networks whose batch norms have one scope.
struct ScopedPart {
  /// The flag that the scope came from.
  let flag: String
  let scope: BatchNormScope
  let norms: [NormKind]
}

/// How a batch lies on the ranks, as far as it decides which samples share statistics.
struct BatchPlacement {
  let ranks: Int
  /// Images of a view on each rank.
  let localBatch: Int
  /// Ranks of the host that has the fewest; nil where it is not known yet.
  let fewestRanksOnHost: Int?

  /// The images that share statistics in a scope, the fewest of any rank's; nil where that is not known yet. That both
  /// views of one image may share them does not make it a batch.
  func images(_ scope: BatchNormScope) -> Int? {
    switch scope {
    case .sync: localBatch * ranks
    case .node: fewestRanksOnHost.map { localBatch * $0 }
    case .group(let size): localBatch * min(size, ranks)
    case .local: localBatch
    case .ghost(let size): min(size, localBatch)
    }
  }
}

extension Configuration {
  /// The encoder and the heads, or both as one where one flag speaks of both.
  var scopedParts: [ScopedPart] {
    // A predictor of less than two layers has no norm.
    let hasPredictorNorm = (predictorDepth ?? method.predictorDepth.rawValue) == PredictorDepth.mlp.rawValue
    let heads = [projectorNorm] + (hasPredictorNorm ? [predictorNorm] : [])
    if encoderBnScope == nil && headBnScope == nil {
      return [ScopedPart(flag: "--bn-scope", scope: bnScope, norms: [encoderNorm] + heads)]
    }
    func part(_ flag: String, _ scope: BatchNormScope?, _ norms: [NormKind]) -> ScopedPart {
      ScopedPart(flag: scope == nil ? "--bn-scope" : flag, scope: scope ?? bnScope, norms: norms)
    }
    return [
      part("--encoder-bn-scope", encoderBnScope, [encoderNorm]), part("--head-bn-scope", headBnScope, heads),
    ]
  }
}

extension Configuration {
  /// What flags alone cannot know: whether the ranks and the data fit the settings.
  /// - Parameters:
  ///   - ranks: of the run.
  ///   - fewestRanksOnHost: ranks of the host that has the fewest; nil where it is not known yet.
  ///   - samples: images in the training split; nil where they are not known yet.
  /// - Throws: `UsageError` naming values that would work.
  public func validate(ranks: Int, fewestRanksOnHost: Int? = nil, samples: Int? = nil) throws {
    precondition(ranks >= 1, "a run has ranks")
    if let fault = unsupported.first { throw UsageError(fault) }
    guard (epochs == nil) != (steps == nil) else { throw UsageError("one of --epochs and --steps should be given") }
    if let larsOn, optimizer != .lars {
      throw UsageError("--lars-on \(larsOn.text): is for --optimizer lars alone, not \(optimizer.rawValue)")
    }
    try validateMethod()
    try validateShares(ranks: ranks)
    let placement = BatchPlacement(
      ranks: ranks, localBatch: batch / ranks, fewestRanksOnHost: fewestRanksOnHost)
    for part in scopedParts { try validateScope(part, placement) }
    if let samples, samples < batch {
      let most = samples / ranks * ranks
      let right = most >= 2 ? "should be at most \(most)" : "the data set is too small for \(ranks) ranks"
      throw UsageError("--batch \(batch): \(data) has only \(samples) training images; \(right)")
    }
    if let total = samples.map({ totalSteps(samples: $0) }) ?? steps { try validateSchedule(total: total) }
  }

  private func validateShares(ranks: Int) throws {
    guard !batch.isMultiple(of: ranks) else { return }
    let choices = neighbours(of: batch, multipleOf: ranks)
    let right = choices.isEmpty ? "run on at most \(BatchNormScope.greatestCount) ranks" : choices
    throw UsageError("--batch \(batch): \(ranks) ranks cannot share it evenly; should be \(right)")
  }

  private func validateScope(_ part: ScopedPart, _ placement: BatchPlacement) throws {
    let (ranks, local) = (placement.ranks, placement.localBatch)
    let setting = "\(part.flag) \(part.scope)"
    if let count = part.scope.count, !(1...BatchNormScope.greatestCount).contains(count) {
      throw UsageError("\(setting): should have a count from 1 to \(BatchNormScope.greatestCount)")
    }
    switch part.scope {
    case .ghost(let samples) where !local.isMultiple(of: samples):
      let divisors = (2...max(2, local)).filter(local.isMultiple(of:))
      let scopes = around(samples, in: divisors).map { "ghost:\($0)" } + batches(samples * ranks)
      throw UsageError(
        "\(setting): does not divide the local batch of \(local) (\(batch) over \(ranks) ranks); "
          + "should be \(scopes.isEmpty ? "sync" : scopes.joined(separator: " or "))")
    case .group(let size) where !ranks.isMultiple(of: size):
      let divisors = (1...ranks).filter(ranks.isMultiple(of:))
      let scopes = around(size, in: divisors).map { "group:\($0)" }
      throw UsageError("\(setting): does not divide \(ranks) ranks; should be \(scopes.joined(separator: " or "))")
    default: break
    }
    guard part.norms.contains(where: \.usesBatch), placement.images(part.scope) == 1 else { return }
    // A batch norm over one sample has a variance of zero where the image is one pixel, and no unbiased variance at
    // all.
    var right = ["sync"] + (batches(2 * ranks).map { $0 + " or more" })
    switch part.scope {
    case .ghost(1): right = ["ghost:2 or more"]
    case .group: right[0] = (2...max(2, ranks)).first(where: ranks.isMultiple(of:)).map { "group:\($0)" } ?? "sync"
    case .node, .local, .sync, .ghost: break
    }
    throw UsageError(
      "\(setting): batch norm over a single image has no variance; should be \(right.joined(separator: ", or "))")
  }

  /// The least allowed batch from the present one on that is a multiple of `unit`, where there is one.
  private func batches(_ unit: Int) -> [String] {
    let next = (batch + unit - 1) / unit * unit
    return next <= BatchNormScope.greatestCount ? ["--batch \(next)"] : []
  }

  /// The multiples of `unit` nearest to `value` from below and above that a flag takes, which has them from 2 to
  /// `most`.
  func neighbours(of value: Int, multipleOf unit: Int, most: Int = BatchNormScope.greatestCount) -> String {
    let below = value / unit * unit
    return [below, below + unit].filter { (2...most).contains($0) }.map(String.init).joined(separator: " or ")
  }

  /// The values nearest to `value` from below and from above in an ascending list.
  private func around(_ value: Int, in ascending: [Int]) -> [Int] {
    [ascending.last { $0 < value }, ascending.first { $0 > value }].compactMap { $0 }
  }
}
