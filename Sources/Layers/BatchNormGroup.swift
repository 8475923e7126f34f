import Collectives

/// The batch-norm scope as one rank sees it: the ranks that pool their sums, and the pieces that a view is cut into.
public struct BatchNormGroup {
  /// The ranks whose samples share statistics; nil where that is this rank alone.
  let communicator: Communicator?
  /// Samples that share statistics within this rank; nil where that is the whole of a view.
  let ghost: Int?

  public var ranks: Int { communicator?.size ?? 1 }
  /// Whether ranks of the world hold running statistics of their own, which differ.
  public let isNarrowerThanWorld: Bool

  /// Collective over `world`.
  /// - Throws: `CollectiveError` where the ranks cannot be grouped.
  public init(_ scope: BatchNormScope, world: Communicator) throws {
    switch scope {
    case .sync:
      self.init(communicator: world)
    case .node:
      let host = try world.splitByHost()
      self.init(communicator: host, narrow: host.size < world.size)
    case .group(let ranks):
      let group = try world.split(color: world.rank / ranks, key: world.rank)
      self.init(communicator: group, narrow: group.size < world.size)
    case .local:
      self.init(communicator: nil, narrow: world.size > 1)
    case .ghost(let samples):
      self.init(communicator: nil, ghost: samples, narrow: world.size > 1)
    }
  }

  private init(communicator: Communicator?, ghost: Int? = nil, narrow: Bool = false) {
    self.communicator = communicator.flatMap { $0.size > 1 ? $0 : nil }
    self.ghost = ghost
    isNarrowerThanWorld = narrow
  }

  /// Statistics over all of one rank's samples of a view: what tests of single layers use.
  public static var local: BatchNormGroup { BatchNormGroup(communicator: nil) }

  /// The number of images that share statistics within this rank.
  func samples(_ layout: BatchLayout) -> Int { min(ghost ?? layout.imagesPerView, layout.imagesPerView) }

  /// Whether a view's images of all `ranks` share statistics, so that who has which image does not matter.
  public func coversBatch(_ layout: BatchLayout, ranks: Int) -> Bool {
    self.ranks == ranks && samples(layout) == layout.imagesPerView
  }
}
