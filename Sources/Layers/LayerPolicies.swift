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
}

/// What normalises a layer's outputs.
public enum NormKind: String, CaseIterable, Codable, Sendable {
  /// Batch norm (Ioffe & Szegedy 2015) over the samples of the batch-norm scope.
  case bn
  /// Layer norm (Ba et al. 2016) over a sample's own activations.
  case ln
  /// Group norm (Wu & He 2018) over groups of a sample's own channels.
  case gn
  case none
}

/// The samples that share batch-norm statistics, always of one view.
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
