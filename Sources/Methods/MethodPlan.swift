/// What is compared with what in a step, and how: a method as a value. The networks' sizes are `ModelShape`'s.
public struct MethodPlan: Sendable, Equatable {
  /// Where the keys that predictions are compared with come from.
  public enum Keys: Sendable, Equatable {
    /// A target network, the EMA of the online one; no gradient goes there.
    case target
    /// The online network's own projections of the other view.
    case online(stopsGradient: Bool)
  }

  /// The loss, summed over both directions where it has two.
  public enum Loss: Sendable, Equatable {
    /// 2 - 2 cos of prediction and key: `BYOLLoss`.
    case l2
    /// A prediction's own key among others: `KeyComparison`.
    case comparison(ComparisonPlan)
    /// `BarlowTwinsLoss`, with its lambda.
    case barlowTwins(lambda: Double)
    /// `VICRegLoss`.
    case vicreg(VICRegCoefficients)
  }

  public var keys: Keys
  public var loss: Loss
  /// Shuffled batch norm (He et al. 2020, section 3.3): the images of the keys change places over all ranks.
  public var shufflesKeys: Bool

  public init(keys: Keys, loss: Loss, shufflesKeys: Bool = false) {
    precondition(!shufflesKeys || keys == .target, "keys are shuffled where a network of their own makes them")
    self.keys = keys
    self.loss = loss
    self.shufflesKeys = shufflesKeys
  }

  public static let byol = MethodPlan(keys: .target, loss: .l2)

  public var hasTarget: Bool { keys == .target }

  /// Keys in the queue; 0 where there is none.
  public var queue: Int {
    if case .comparison(let plan) = loss, case .queue(let count) = plan.negatives { return count }
    return 0
  }
}

/// How predictions are told from negatives.
public struct ComparisonPlan: Sendable, Equatable {
  /// What a prediction's key is told from.
  public enum Negatives: Sendable, Equatable {
    /// The keys of the batch's other images, of the key's view.
    case batch
    /// The keys of the batch's other images, of both views, as in SimCLR.
    case bothViews
    /// This many keys of earlier batches, as in MoCo.
    case queue(Int)
  }

  public enum Loss: Sendable, Equatable {
    /// - Parameter alpha: EqCo's margin; nil where negatives count as they are.
    case crossEntropy(alpha: Double?)
    case binaryCrossEntropy
  }

  public var negatives: Negatives
  public var loss: Loss
  /// T of the logits cos/T.
  public var temperature: Double

  public init(negatives: Negatives, loss: Loss = .crossEntropy(alpha: nil), temperature: Double) {
    self.negatives = negatives
    self.loss = loss
    self.temperature = temperature
  }
}
