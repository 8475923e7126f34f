/// What is left open in settings and depends on the method, the data, the length or the machine.
extension Configuration {
  /// The longest warm-up that is not asked for.
  static let longestUsualWarmup = 50

  /// Every open setting with the value that is in force.
  ///
  /// A run's config.json keeps both: what was asked for, so that it can be repeated on another machine, and this.
  /// - Parameters:
  ///   - samples: images in the training split.
  ///   - side: the longer side of the data's images, pixels.
  ///   - threads: of a rank on this machine.
  public func resolved(samples: Int, side: Int, threads: Int) -> Configuration {
    var settings = withMethodResolved(samples: samples)
    settings.warmupSteps = warmup(total: totalSteps(samples: samples))
    if imageSize == 0 { settings.imageSize = side }
    settings.threads = threads
    return settings
  }

  /// Steps of the learning rate's rise: as asked for, else a tenth of the run and at most 50.
  public func warmup(total: Int) -> Int { warmupSteps ?? min(Self.longestUsualWarmup, total / 10) }

  /// - Parameter total: steps of the run.
  /// - Throws: `UsageError` for a rise that the run would not live to see the end of.
  func validateSchedule(total: Int) throws {
    for (name, steps) in [("warmup-steps", warmupSteps ?? 0), ("brn-warmup-steps", brnWarmupSteps)] where steps > total
    {
      throw UsageError(
        "--\(name) \(steps): the run has only \(total) steps, which end before the rise does; should be at most \(total)"
      )
    }
  }
}

// MARK: - Batch-norm scopes that depend on the number of ranks

extension Configuration {
  /// Where a rank's own images are the scope of a batch norm, another number of ranks is another experiment.
  /// - Parameters:
  ///   - then: ranks of the run that is gone on with or repeated.
  ///   - now: ranks of this one.
  ///   - source: names that run at the beginning of the message.
  /// - Throws: `UsageError` that names the scope, and the one that is the same on `now` ranks where there is one.
  func validateScopes(ranksThen then: Int, now: Int, source: String, offersSame: Bool) throws {
    guard then != now else { return }
    for part in scopedParts where part.norms.contains(where: \.usesBatch) {
      let same: String?
      switch part.scope {
      case .sync, .ghost: continue
      case .local: same = Self.localScope(of: then, ranks: now, batch: batch)
      case .group(let size):
        same = then.isMultiple(of: size) ? Self.localScope(of: then / size, ranks: now, batch: batch) : nil
      case .node: same = nil
      }
      let other = offersSame ? same.map { ", or with \(part.flag) \($0), which is the same" } ?? "" : ""
      throw UsageError(
        "\(part.flag) \(part.scope): \(source) has \(then) ranks, and with \(now) its batch-norm scope would be another; "
          + "should be started with \(then) ranks\(other)")
    }
  }

  /// The scope that on `ranks` ranks is what `local` is on `wanted`: as many samples share statistics. On fewer ranks
  /// that is `ghost:N`, on more `group:K`; the results are the same to rounding.
  /// - Returns: nil where ranks' shares cannot be cut or joined so.
  package static func localScope(of wanted: Int, ranks: Int, batch: Int) -> String? {
    if ranks == wanted { return "local" }
    if ranks > wanted { return ranks.isMultiple(of: wanted) ? "group:\(ranks / wanted)" : nil }
    let samples = batch / wanted
    guard batch.isMultiple(of: wanted), batch.isMultiple(of: ranks), (batch / ranks).isMultiple(of: samples) else {
      return nil
    }
    return "ghost:\(samples)"
  }
}
