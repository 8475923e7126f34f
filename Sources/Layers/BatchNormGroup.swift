import Collectives

/// The scope of one part's batch norms as one rank sees it: the ranks that pool their sums, and the pieces that a view
/// is cut into.
public struct BatchNormGroup {
  /// The ranks whose samples share statistics; nil where that is this rank alone.
  let communicator: Communicator?
  /// Samples that share statistics within this rank; nil where that is the whole of a view.
  let ghost: Int?
  /// Whether the views of an image share statistics, or each view has its own.
  let views: ViewNormalization

  public var ranks: Int { communicator?.size ?? 1 }
  /// Whether ranks of the world hold running statistics of their own, which differ.
  public let isNarrowerThanWorld: Bool

  /// Collective over `world`.
  /// - Throws: `CollectiveError` where the ranks cannot be grouped.
  public init(_ scope: BatchNormScope, views: ViewNormalization = .apart, world: Communicator) throws {
    switch scope {
    case .sync:
      self.init(communicator: world, views: views)
    case .node:
      let host = try world.splitByHost()
      self.init(communicator: host, views: views, narrow: host.size < world.size)
    case .group(let ranks):
      let group = try world.split(color: world.rank / ranks, key: world.rank)
      self.init(communicator: group, views: views, narrow: group.size < world.size)
    case .local:
      self.init(communicator: nil, views: views, narrow: world.size > 1)
    case .ghost(let samples):
      self.init(communicator: nil, ghost: samples, views: views, narrow: world.size > 1)
    }
  }

  init(communicator: Communicator?, ghost: Int? = nil, views: ViewNormalization = .apart, narrow: Bool = false) {
    self.communicator = communicator.flatMap { $0.size > 1 ? $0 : nil }
    self.ghost = ghost
    self.views = views
    isNarrowerThanWorld = narrow
  }

  /// The number of images that share statistics within this rank.
  func samples(_ layout: BatchLayout) -> Int { min(ghost ?? layout.imagesPerView, layout.imagesPerView) }

  /// Whether a view's images of all `ranks` share statistics, so that who has which image does not matter.
  public func coversBatch(_ layout: BatchLayout, ranks: Int) -> Bool {
    self.ranks == ranks && samples(layout) == layout.imagesPerView
  }
}

/// How the batch norms of a model take their statistics: the encoder's and the heads' scope, whether views share them,
/// and how far batch renormalisation corrects. All networks of a model are given the same.
public struct BatchNormScopes {
  public let encoder: BatchNormGroup
  public let heads: BatchNormGroup
  public let renorm: BatchRenormLimits
  /// Whether the views of an image share statistics.
  public var views: ViewNormalization { encoder.views }

  /// Collective over `world`.
  /// - Throws: `CollectiveError` where the ranks cannot be grouped.
  public init(
    encoder: BatchNormScope, heads: BatchNormScope, views: ViewNormalization = .apart,
    renorm: BatchRenormLimits = BatchRenormLimits(), world: Communicator
  ) throws {
    self.encoder = try BatchNormGroup(encoder, views: views, world: world)
    self.heads = heads == encoder ? self.encoder : try BatchNormGroup(heads, views: views, world: world)
    self.renorm = renorm
  }

  /// One scope for the whole model.
  public init(_ scope: BatchNormScope, views: ViewNormalization = .apart, world: Communicator) throws {
    try self.init(encoder: scope, heads: scope, views: views, world: world)
  }

  /// Statistics over all of one rank's samples of a view: what tests of single layers use.
  public static var local: BatchNormScopes { BatchNormScopes(local: .apart) }

  /// The same with the views of an image together or apart.
  public init(local views: ViewNormalization) {
    encoder = BatchNormGroup(communicator: nil, views: views)
    heads = encoder
    renorm = BatchRenormLimits()
  }

  /// Whether every part's statistics are those of the whole batch.
  public func coverBatch(_ layout: BatchLayout, ranks: Int) -> Bool {
    encoder.coversBatch(layout, ranks: ranks) && heads.coversBatch(layout, ranks: ranks)
  }

  /// The number of batches that a pass is to a batch norm: PyTorch's num_batches_tracked moves by it.
  public func batches(_ layout: BatchLayout) -> Int64 { views == .joint ? 1 : Int64(layout.views) }
}
