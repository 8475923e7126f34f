import Layers

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
    try validateMethod()
    try validateShares(ranks: ranks)
    try validateScope(ranks: ranks)
    if let samples, samples < batch {
      let most = samples / ranks * ranks
      let right = most >= 2 ? "should be at most \(most)" : "the data set is too small for \(ranks) ranks"
      throw UsageError("--batch \(batch): \(data) has only \(samples) training images; \(right)")
    }
  }

  private func validateShares(ranks: Int) throws {
    guard !batch.isMultiple(of: ranks) else { return }
    let choices = neighbours(of: batch, multipleOf: ranks)
    throw UsageError("--batch \(batch): \(ranks) ranks cannot share it evenly; should be \(choices)")
  }

  private func validateScope(ranks: Int) throws {
    let local = batch / ranks
    switch bnScope {
    case .ghost(let samples) where !local.isMultiple(of: samples):
      let divisors = (2...max(2, local)).filter(local.isMultiple(of:))
      let scopes = around(samples, in: divisors).map { "ghost:\($0)" } + ["--batch \(nextBatch(samples * ranks))"]
      throw UsageError(
        "--bn-scope ghost:\(samples): does not divide the local batch of \(local) (\(batch) over \(ranks) ranks); "
          + "should be \(scopes.joined(separator: " or "))")
    case .group(let size) where !ranks.isMultiple(of: size):
      let divisors = (1...ranks).filter(ranks.isMultiple(of:))
      let scopes = around(size, in: divisors).map { "group:\($0)" }
      throw UsageError(
        "--bn-scope group:\(size): does not divide \(ranks) ranks; should be \(scopes.joined(separator: " or "))")
    default: try validateVariance(local: local, ranks: ranks)
    }
  }

  /// A batch norm over one image has a variance of zero where the image is one pixel, and no unbiased variance at all.
  private func validateVariance(local: Int, ranks: Int) throws {
    guard [encoderNorm, projectorNorm, predictorNorm].contains(.bn) else { return }
    let message = "--bn-scope \(bnScope): batch norm over a single image has no variance; should be "
    switch bnScope {
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
