/// The residual networks of He et al. (2016): basic blocks for 10, 18 and 34 layers, bottlenecks for 50.
public enum EncoderKind: String, CaseIterable, Codable, Sendable {
  case resnet10, resnet18, resnet34, resnet50
}

/// The layers before the first residual stage.
public enum Stem: String, CaseIterable, Codable, Sendable {
  /// 7x7 stride 2 and 3x3 max-pooling stride 2: torchvision's.
  case imagenet
  /// 3x3 stride 1.
  case cifar
  /// 3x3 stride 2.
  case small

  /// Whether a max-pooling follows.
  public var pools: Bool { self == .imagenet }
}

/// What normalises a layer's outputs.
public enum NormKind: String, CaseIterable, Codable, Sendable {
  /// Batch norm (Ioffe & Szegedy 2015) over the samples of the batch-norm scope.
  case bn
  /// Layer norm (Ba et al. 2016) over a sample's own activations.
  case ln
  /// Group norm (Wu & He 2018) over groups of a sample's own channels.
  case gn
  /// Batch renormalisation (Ioffe 2017) over the samples of the batch-norm scope.
  case brn
  case none

  /// Whether other images of the batch enter.
  public var usesBatch: Bool { self == .bn || self == .brn }
}

/// What the views of an image are to batch norm.
public enum ViewNormalization: String, CaseIterable, Codable, Sendable {
  /// Each view is normalised by itself, as where the network sees one view after the other.
  case apart
  /// All views of the scope's images share statistics, as where the network sees them in one batch.
  case joint
}

/// The images that share batch-norm statistics; of one view, or of all where views are normalised jointly.
public enum BatchNormScope: Hashable, Sendable {
  /// All ranks.
  case sync
  /// The ranks of one host.
  case node
  /// This many consecutive ranks.
  case group(Int)
  /// One rank.
  case local
  /// This many samples inside a rank.
  case ghost(Int)
}
