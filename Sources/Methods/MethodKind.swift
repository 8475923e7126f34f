/// The self-supervised methods that `--method` names. Each is a `MethodPlan`; what a user does not set is the method's.
public enum MethodKind: String, CaseIterable, Codable, Sendable {
  /// Grill et al. 2020, "Bootstrap your own latent" (arXiv 2006.07733).
  case byol
  /// Fetterman & Albrecht 2020: BYOL's networks under a cross entropy with negatives.
  case contrastive
  /// Chen et al. 2020, "A simple framework for contrastive learning of visual representations" (arXiv 2002.05709).
  case simclr
  /// Chen et al. 2020, "Improved baselines with momentum contrastive learning", MoCo v2 (arXiv 2003.04297).
  case moco
  /// Chen & He 2021, "Exploring simple Siamese representation learning" (arXiv 2011.10566).
  case simsiam
  /// Zbontar et al. 2021, "Barlow Twins" (arXiv 2103.03230).
  case barlowTwins = "barlow-twins"
  /// Bardes et al. 2022, "VICReg" (arXiv 2105.04906).
  case vicreg
}

/// The losses between predictions and keys that `--loss` names.
public enum LossKind: String, CaseIterable, Codable, Sendable {
  /// The squared distance of unit vectors, 2 - 2 cos.
  case l2
  /// Softmax cross entropy of a prediction's own key among negatives.
  case crossEntropy = "cross-entropy"
  /// Binary cross entropy: the own key against 1, each negative against 0.
  case bce
}

/// The linear layers of a predictor.
public enum PredictorDepth: Int, CaseIterable, Sendable {
  /// Projections are compared as they are.
  case none = 0
  /// One linear layer.
  case linear = 1
  /// Linear, norm, ReLU, linear.
  case mlp = 2
}

extension MethodKind {
  /// Whether keys come from an EMA of the online network; the others have no second network.
  public var hasTarget: Bool {
    switch self {
    case .byol, .contrastive, .moco: true
    case .simclr, .simsiam, .barlowTwins, .vicreg: false
    }
  }

  /// Whether predictions are compared with keys; the others have a loss of their own on both views' projections.
  public var comparesWithKeys: Bool { self != .barlowTwins && self != .vicreg }

  /// The losses that this method can have, its own first.
  public var losses: [LossKind] {
    switch self {
    case .byol, .simsiam: [.l2, .crossEntropy, .bce]
    case .contrastive, .moco: [.crossEntropy, .bce, .l2]
    case .simclr: [.crossEntropy, .bce]
    case .barlowTwins, .vicreg: []
    }
  }

  /// Whether gradients stop at the keys, unless said otherwise.
  public var stopsGradient: Bool {
    switch self {
    case .byol, .contrastive, .moco, .simsiam: true
    case .simclr, .barlowTwins, .vicreg: false
    }
  }

  /// The predictor, unless said otherwise.
  public var predictorDepth: PredictorDepth {
    switch self {
    case .byol, .contrastive, .simsiam: .mlp
    case .simclr, .moco, .barlowTwins, .vicreg: .none
    }
  }

  /// T of the logits cos/T, unless said otherwise: MoCo v2's 0.2, and what SimCLR found best at its smaller sizes
  /// (appendix B.9).
  public var temperature: Double { self == .simclr ? 0.5 : 0.2 }

  /// Keys in the queue, unless said otherwise; 0: negatives from the batch.
  public var queue: Int { self == .moco ? 65_536 : 0 }
}
