import Layers

/// A part of the networks whose batch norms have one scope.
struct ScopedPart {
  /// The flag that the scope came from.
  let flag: String
  let scope: BatchNormScope
  let norms: [NormKind]
}

extension Configuration {
  /// The encoder and the heads, or both as one where one flag speaks of both.
  var scopedParts: [ScopedPart] {
    let heads = [projectorNorm, predictorNorm]
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
  ///   - samples: images in the training split; nil where they are not known yet.
  /// - Throws: `UsageError` naming values that would work.
  public func validate(ranks: Int, samples: Int? = nil) throws {
    precondition(ranks >= 1, "a run has ranks")
    if let fault = unsupported.first { throw UsageError(fault) }
    guard (epochs == nil) != (steps == nil) else { throw UsageError("one of --epochs and --steps should be given") }
    if let larsOn, optimizer != .lars {
      throw UsageError("--lars-on \(larsOn.text): is for --optimizer lars alone, not \(optimizer.rawValue)")
    }
    try validateMethod()
    try validateShares(ranks: ranks)
    for part in scopedParts { try validateScope(part, ranks: ranks) }
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
    throw UsageError("--batch \(batch): \(ranks) ranks cannot share it evenly; should be \(choices)")
  }

  private func validateScope(_ part: ScopedPart, ranks: Int) throws {
    let local = batch / ranks
    let setting = "\(part.flag) \(part.scope)"
    switch part.scope {
    case .ghost(let samples) where !local.isMultiple(of: samples):
      let divisors = (2...max(2, local)).filter(local.isMultiple(of:))
      let scopes = around(samples, in: divisors).map { "ghost:\($0)" } + ["--batch \(nextBatch(samples * ranks))"]
      throw UsageError(
        "\(setting): does not divide the local batch of \(local) (\(batch) over \(ranks) ranks); "
          + "should be \(scopes.joined(separator: " or "))")
    case .group(let size) where !ranks.isMultiple(of: size):
      let divisors = (1...ranks).filter(ranks.isMultiple(of:))
      let scopes = around(size, in: divisors).map { "group:\($0)" }
      throw UsageError("\(setting): does not divide \(ranks) ranks; should be \(scopes.joined(separator: " or "))")
    default: break
    }
    guard part.norms.contains(where: \.usesBatch) else { return }
    // A batch norm over one image has a variance of zero where the image is one pixel, and no unbiased variance at all.
    let message = "\(setting): batch norm over a single image has no variance; should be "
    switch part.scope {
    case .ghost(1): throw UsageError(message + "ghost:2 or more")
    case .local where local == 1: throw UsageError(message + "sync, or --batch \(2 * ranks) or more")
    default: break
    }
  }

  /// The nearest allowed batches at and above the present one that are multiples of `unit`.
  private func nextBatch(_ unit: Int) -> Int { (batch + unit - 1) / unit * unit }

  func neighbours(of value: Int, multipleOf unit: Int) -> String {
    let below = value / unit * unit
    return (below >= 2 ? "\(below) or " : "") + "\(below + unit)"
  }

  /// The values nearest to `value` from below and from above in an ascending list.
  private func around(_ value: Int, in ascending: [Int]) -> [Int] {
    [ascending.last { $0 < value }, ascending.first { $0 > value }].compactMap { $0 }
  }
}
