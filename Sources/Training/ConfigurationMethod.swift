import Methods

/// What a method means in settings: defaults, what does not go together, and the plan that is trained by.
extension Configuration {
  /// The loss in force; nil where the method has one of its own.
  private var effectiveLoss: LossKind? { loss ?? method.losses.first }

  /// Whether predictions are told from negatives.
  private var hasNegatives: Bool { effectiveLoss == .crossEntropy || effectiveLoss == .bce }

  /// The same with the method's value wherever none is given; what means nothing to the method stays unset.
  /// - Parameter samples: images in the training split; nil where they are not known.
  public func withMethodResolved(samples: Int?) -> Configuration {
    var settings = self
    settings.loss = effectiveLoss
    settings.predictorDepth = predictorDepth ?? method.predictorDepth.rawValue
    settings.stopGradient = stopGradient ?? (method.stopsGradient ? .on : .off)
    if method.hasTarget { settings.emaSchedule = emaSchedule ?? (method == .moco ? .constant : .cosine) }
    if hasNegatives {
      settings.temperature = temperature ?? method.temperature
      settings.queue = queue ?? usualQueue(samples: samples)
    }
    switch method {
    case .barlowTwins: settings.lambda = lambda ?? 0.005
    case .vicreg:
      let usual = VICRegCoefficients()
      settings.vicregInvariance = vicregInvariance ?? usual.invariance
      settings.vicregVariance = vicregVariance ?? usual.variance
      settings.vicregCovariance = vicregCovariance ?? usual.covariance
    case .byol, .contrastive, .simclr, .moco, .simsiam: break
    }
    return settings
  }

  /// The method's queue: whole batches, and not so many keys that an image would meet its own of half an epoch ago.
  private func usualQueue(samples: Int?) -> Int {
    let most = min(method.queue, samples ?? method.queue)
    return method.queue == 0 ? 0 : max(most / batch, 1) * batch
  }

  /// The method as the networks are trained by it; what is unset is the method's.
  public var methodPlan: MethodPlan {
    let settings = withMethodResolved(samples: nil)
    let keys = method.hasTarget ? MethodPlan.Keys.target : .online(stopsGradient: settings.stopGradient == .on)
    return MethodPlan(keys: keys, loss: settings.planLoss, shufflesKeys: method.hasTarget && shuffleBn.isOn)
  }

  /// Of resolved settings.
  private var planLoss: MethodPlan.Loss {
    let usual = VICRegCoefficients()
    switch (method, loss) {
    case (.barlowTwins, _): return .barlowTwins(lambda: lambda ?? 0)
    case (.vicreg, _):
      return .vicreg(
        VICRegCoefficients(
          invariance: vicregInvariance ?? usual.invariance, variance: vicregVariance ?? usual.variance,
          covariance: vicregCovariance ?? usual.covariance))
    case (_, .crossEntropy): return comparison(.crossEntropy(alpha: eqcoAlpha))
    case (_, .bce): return comparison(.binaryCrossEntropy)
    case (_, .l2), (_, nil): return .l2
    }
  }

  private func comparison(_ loss: ComparisonPlan.Loss) -> MethodPlan.Loss {
    let negatives: ComparisonPlan.Negatives =
      switch queue ?? 0 {
      case 0: method == .simclr ? .bothViews : .batch
      case let count: .queue(count)
      }
    return .comparison(
      ComparisonPlan(negatives: negatives, loss: loss, temperature: temperature ?? method.temperature))
  }
}

// MARK: - What does not go together

extension Configuration {
  /// - Throws: `UsageError` naming the setting that means nothing beside the others, and what would be right.
  func validateMethod() throws {
    try validateLoss()
    try validateGradientPath()
    try validateNegatives()
    let ofBarlow = lambda.map { ("lambda", $0, MethodKind.barlowTwins) }
    let ofVICReg = [
      ("vicreg-invariance", vicregInvariance), ("vicreg-variance", vicregVariance),
      ("vicreg-covariance", vicregCovariance),
    ].compactMap { name, value in value.map { (name, $0, MethodKind.vicreg) } }
    for (name, value, owner) in [ofBarlow].compactMap({ $0 }) + ofVICReg where method != owner {
      throw UsageError("--\(name) \(value): is \(owner.rawValue)'s alone; should be left out of \(method.rawValue)")
    }
  }

  private func validateLoss() throws {
    guard let loss, !method.losses.contains(loss) else { return }
    let choices = method.losses.map(\.rawValue).joined(separator: " or ")
    throw UsageError(
      "--loss \(loss.rawValue): "
        + (choices.isEmpty
          ? "\(method.rawValue) has a loss of its own; should be left out"
          : "\(method.rawValue) takes none of it; should be \(choices)"))
  }

  private func validateGradientPath() throws {
    if let predictorDepth, predictorDepth > 0, !method.comparesWithKeys {
      throw UsageError(
        "--predictor-depth \(predictorDepth): \(method.rawValue) compares projections with each other; should be 0")
    }
    if stopGradient == .off, method.hasTarget {
      throw UsageError(
        "--stop-gradient off: \(method.rawValue)'s keys come from an EMA target, which has no gradient; should be on, or "
          + "--method simsiam")
    }
    if stopGradient == .on, !method.comparesWithKeys {
      throw UsageError("--stop-gradient on: \(method.rawValue) has no keys; should be off")
    }
    if shuffleBn.isOn, !method.hasTarget {
      throw UsageError(
        "--shuffle-bn on: \(method.rawValue) has no target network whose images could change places; should be off, or "
          + "--method moco")
    }
  }

  private func validateNegatives() throws {
    let given = [
      temperature.map { "--temperature \($0)" }, queue.flatMap { $0 > 0 ? "--queue \($0)" : nil },
      eqcoAlpha.map { "--eqco-alpha \($0)" },
    ]
    if !hasNegatives, let flag = given.compactMap({ $0 }).first {
      let choice = method.comparesWithKeys ? ", or --loss cross-entropy" : ""
      throw UsageError("\(flag): \(method.rawValue) has no negatives; should be left out\(choice)")
    }
    if let eqcoAlpha, effectiveLoss != .crossEntropy {
      throw UsageError("--eqco-alpha \(eqcoAlpha): changes a softmax; should be left out, or --loss cross-entropy")
    }
    guard let queue, queue > 0 else { return }
    if method == .simclr {
      throw UsageError("--queue \(queue): simclr takes its negatives from the batch; should be 0, or --method moco")
    }
    if !queue.isMultiple(of: batch) {
      throw UsageError(
        "--queue \(queue): is not a multiple of the batch of \(batch); should be "
          + neighbours(of: queue, multipleOf: batch, most: 16_777_216))
    }
  }
}
