import Collectives
import Foundation
import Images
import Kernels

/// Refuses what a host has no memory for, before any of it is asked for.
public enum MemoryCheck {
  /// Of a training run. Each host judges its own ranks, and all agree. Collective.
  /// - Parameter settings: resolved.
  /// - Throws: `SharedError` with what is needed, what is there and which setting to lower, on all ranks;
  ///   `CollectiveError`.
  public static func run(
    _ settings: Configuration, splits: DatasetSplits, threads: Int, ranksOnHost: Int, world: Communicator
  ) throws {
    var use = MemoryUse()
    use.testImages = splits.test.count
    if settings.data == DatasetSource.embedded {
      let shown = settings.totalSteps(samples: splits.train.count).multipliedReportingOverflow(
        by: settings.batch / world.size)
      use.drawnImages = min(shown.overflow ? .max : shown.partialValue, splits.train.count)
      use.drawnImages += splits.test.count / world.size
    }
    use.classes = splits.test.classes.count
    use.solvesProbe = world.rank == 0
    try judge(settings, use, threads: threads, ranksOnHost: ranksOnHost, world: world)
  }

  /// Of training steps on one batch of views.
  /// - Throws: as `run`.
  public static func ofSteps(
    _ settings: Configuration, threads: Int, ranksOnHost: Int, world: Communicator
  ) throws {
    var use = MemoryUse()
    use.batchesOfViews = 1
    try judge(settings.withMethodResolved(samples: nil), use, threads: threads, ranksOnHost: ranksOnHost, world: world)
  }

  /// Of the convolutions of a network on one process, each by itself; before they are planned.
  /// - Parameter images: of a pass.
  /// - Throws: `UsageError`.
  public static func ofConvolutions(_ settings: Configuration, images: Int) throws {
    let needed = NetworkSizes(settings, localBatch: 1).largestConvolution(images: Double(images)) * MemoryEstimate.float
    let available = MemoryAvailable.now()
    let there = min(available.host, available.process ?? .infinity)
    guard needed > there else { return }
    throw UsageError(
      "--batch \(settings.batch) with --image-size \(settings.imageSize): a convolution's maps need about "
        + "\(text(needed)); \(text(there)) are available; should be a smaller --batch, --image-size or --width")
  }

  private static func judge(
    _ settings: Configuration, _ use: MemoryUse, threads: Int, ranksOnHost: Int, world: Communicator
  ) throws {
    var use = use
    (use.ranks, use.ranksOnHost, use.threads) = (world.size, ranksOnHost, threads)
    use.sharesParameters = ranksOnHost > 1 && world.sharesMemory
    let available = MemoryAvailable.now()
    try world.together {
      if let fault = fault(settings, use, available) { throw UsageError(fault) }
    }
    if available.process != nil { OpenBLASMemory.take() }
  }

  /// What a message says where there is too little memory; nil where it may be enough.
  package static func fault(
    _ settings: Configuration, _ use: MemoryUse, _ available: MemoryAvailable
  ) -> String? {
    let estimate = MemoryEstimate(settings, use)
    let all = estimate.hostBytes(ranks: use.ranksOnHost)
    let isHost = all > available.host
    // A limit is on addresses, of which OpenBLAS takes many and uses few.
    let ofProcess = estimate.ownBytes + OpenBLASMemory.bufferBytes
    guard isHost || ofProcess > available.process ?? .infinity else { return nil }
    let ranks = isHost ? use.ranksOnHost : 1
    let (part, most) = estimate.largest(ranks: ranks)
    let (blamed, lower) = part.settings(settings)
    let needed = isHost ? all : ofProcess
    let holder =
      !isHost ? "a rank needs" : ranks == 1 ? "1 rank of this host needs" : "\(ranks) ranks of this host need"
    let there =
      isHost
      ? "\(text(available.host)) are available"
      : "\(text(available.process ?? 0)) are available to a process (ulimit -v, ulimit -d)"
    return "\(blamed): \(holder) about \(text(needed)), of which \(text(most)) are \(part.name); \(there); should be "
      + "a smaller \(lower)"
  }

  /// Bytes in the largest unit that leaves a number of at least 1.
  package static func text(_ bytes: Double) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"]
    var (value, unit) = (bytes, 0)
    while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
    return String(format: value < 9.95 && unit > 0 ? "%.1f" : "%.0f", value) + " " + units[unit]
  }
}

extension MemoryEstimate.Part {
  var name: String {
    switch self {
    case .parameters: "parameters"
    case .activations: "activations"
    case .workspaces: "working memory of convolutions"
    case .views: "views"
    case .loss: "the loss's keys and logits"
    case .measures: "measures of the projections"
    case .probe: "the probe's features"
    }
  }

  /// The settings that it grows with, with their values and as a list.
  fileprivate func settings(_ settings: Configuration) -> (values: String, names: String) {
    let batch = ("batch", settings.batch)
    let size = ("image-size", settings.imageSize)
    let width = ("width", settings.width)
    let dim = ("dim", settings.dim)
    let hidden = ("hidden", settings.hidden)
    let (first, second, third): ((String, Int), (String, Int), (String, Int)?) =
      switch self {
      case .activations where settings.hidden > 16_384: (batch, hidden, size)
      case .activations: (batch, size, width)
      case .parameters: (width, hidden, dim)
      case .workspaces: (width, size, nil)
      case .views: (batch, size, nil)
      case .loss: settings.queue ?? 0 > 0 ? (("queue", settings.queue ?? 0), dim, batch) : (batch, dim, nil)
      case .measures: (batch, dim, nil)
      case .probe: (width, size, nil)
      }
    let names = [first, second, third].compactMap { $0.map { "--\($0.0)" } }
    return (
      "--\(first.0) \(first.1) with --\(second.0) \(second.1)",
      names.dropLast().joined(separator: ", ") + " or " + names.last!
    )
  }
}
