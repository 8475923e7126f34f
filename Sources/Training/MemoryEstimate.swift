import Collectives
import Kernels
import Layers
import Methods

/// What a process allocates for training with some settings, in bytes, before any of it is: a lower bound that is
/// close, made of the shapes that the layers use. In Double, since products of what settings allow are beyond Int.
package struct MemoryEstimate: Equatable, Sendable {
  /// What memory is for.
  package enum Part: CaseIterable, Sendable {
    /// Parameters, gradients, velocity and the target.
    case parameters
    /// What the backward pass needs of the forward pass, and the gradients of maps.
    case activations
    /// What convolutions work in.
    case workspaces
    /// The batches of views that are made ahead, the images of a probe, and the embedded data set's that are drawn.
    case views
    /// Logits, keys, the queue, correlation matrices.
    case loss
    /// Projections of all ranks and the matrix of their effective rank.
    case measures
    /// Features of the test split and the solver's copies.
    case probe
  }

  /// Of each rank.
  package internal(set) var own: [Part: Double] = [:]
  /// Once for all ranks of a host.
  package internal(set) var shared = 0.0

  package var ownBytes: Double { own.values.reduce(0, +) }

  /// Of all ranks of a host.
  package func hostBytes(ranks: Int) -> Double { ownBytes * Double(ranks) + shared }

  /// The part that takes the most, and its bytes on a host.
  package func largest(ranks: Int) -> (part: Part, bytes: Double) {
    Part.allCases.map { part in
      (part, (own[part] ?? 0) * Double(ranks) + (part == .parameters ? shared : 0))
    }.max { $0.1 < $1.1 }!
  }
}

/// What beside the settings decides how much memory a rank takes.
package struct MemoryUse: Equatable, Sendable {
  package var ranks = 1
  package var ranksOnHost = 1
  package var threads = 1
  /// Whether the ranks of a host have one copy of the parameters.
  package var sharesParameters = false
  /// Batches of views that are in memory at once.
  package var batchesOfViews = 3
  /// Images of the test split that probes see, and their classes; 0 where nothing is probed.
  package var testImages = 0
  package var classes = 0
  /// Images of the embedded data set that this rank draws, of 32 x 32 pixels.
  package var drawnImages = 0
  /// Whether this rank solves the probe.
  package var solvesProbe = false

  package init() {}
}

extension MemoryEstimate {
  static let float = 4.0
  static let double = 8.0

  /// - Parameters:
  ///   - settings: with image size and method resolved, and checked for the ranks.
  package init(_ settings: Configuration, _ use: MemoryUse) {
    let sizes = NetworkSizes(settings, localBatch: settings.batch / use.ranks)
    let online = sizes.online * Self.float
    let target = settings.method.hasTarget ? sizes.target * Self.float : 0
    let standardized = settings.weightStandardization.isOn ? online + target : 0
    if use.sharesParameters {
      // A gradient for each rank; parameters, velocity and target for all.
      own[.parameters] = online + standardized
      shared = 2 * online + target
    } else {
      own[.parameters] = 3 * online + target + standardized
    }
    // The encoder as it started is probed beside the trained one.
    if use.testImages > 0 { own[.parameters]! += online }
    own[.activations] = sizes.activations * Self.float
    own[.workspaces] = sizes.workspaces(threads: use.threads) * Self.float
    own[.loss] = Self.loss(settings, sizes, ranks: use.ranks)
    own[.measures] = Self.measures(settings)
    let images = 2 * sizes.localBatch * sizes.viewFloats * Self.float
    let ring = Double(use.batchesOfViews) * images
    let solver = Self.probe(features: sizes.features, use)
    // The last probe comes after the last views; earlier ones find them there.
    if use.testImages == 0 || settings.probeEvery > 0 {
      own[.views] = ring + (use.testImages > 0 ? images : 0)
      own[.probe] = solver
    } else {
      own[.views] = max(ring, images)
      own[.probe] = max(0, solver - max(0, ring - images))
    }
    own[.views]! += Double(use.drawnImages) * Self.drawnBytes
  }

  /// Bytes of an image of the embedded data set.
  private static let drawnBytes = 3.0 * 32 * 32

  private static func loss(_ settings: Configuration, _ sizes: NetworkSizes, ranks: Int) -> Double {
    let (rows, dim) = (sizes.localBatch, Double(settings.dim))
    let batch = rows * Double(ranks)
    let plan = settings.methodPlan
    let keysHaveGradient = plan.keys == .online(stopsGradient: false)
    var floats = 2 * rows * dim * (keysHaveGradient ? 2 : 1)
    switch plan.loss {
    case .l2: break
    case .comparison(let comparison):
      floats += 3 * rows * dim + 2 * batch * dim * (keysHaveGradient ? 2 : 1)
      switch comparison.negatives {
      case .batch: floats += rows * batch
      case .bothViews: floats += rows * 2 * batch
      case .queue(let count): floats += rows * Double(count) + Double(count) * dim
      }
    case .barlowTwins: floats += 4 * rows * dim + dim * dim
    case .vicreg: floats += 2 * rows * dim + 2 * dim * dim
    }
    let scopes = [settings.encoderBnScope ?? settings.bnScope, settings.headBnScope ?? settings.bnScope]
    if plan.shufflesKeys, ranks > 1, scopes.contains(.local) { floats += 4 * rows * sizes.viewFloats }
    return floats * float
  }

  private static func measures(_ settings: Configuration) -> Double {
    let (batch, dim) = (Double(settings.batch), Double(settings.dim))
    let side = min(dim, 2 * batch)
    return double * (2 * batch * dim + side * side + (dim <= 2 * batch ? dim * dim / 2 : 0))
  }

  /// Of the rank that solves it: the features, a copy for the neighbours or their first half in doubles, and the
  /// solver's memory of ten steps.
  private static func probe(features: Double, _ use: MemoryUse) -> Double {
    let images = Double(use.testImages)
    let own = images / Double(use.ranks) * features * float
    guard use.solvesProbe else { return own }
    return own + images * features * (float + double / 2) + 20 * (features + 1) * Double(use.classes) * double
  }
}
