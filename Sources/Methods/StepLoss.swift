import Collectives
import Kernels
import Layers

/// What a loss is given of one step, and where its gradients go: rows of both views of this rank's images, view 0's first.
public struct LossRows {
  /// Predictions, or projections where there is no predictor, [2 * rows x dimensions].
  public let queries: UnsafePointer<Float>
  /// Projections, [2 * rows x dimensions]: a query's own key is the same image's of the other view.
  public let keys: UnsafePointer<Float>
  /// Images of this rank.
  public let rows: Int
  public let dimensions: Int
  /// dloss/dqueries; overwritten.
  public let queryGradient: UnsafeMutablePointer<Float>
  /// dloss/dkeys, overwritten; nil where the gradient stops there.
  public let keyGradient: UnsafeMutablePointer<Float>?

  public init(
    queries: UnsafePointer<Float>, keys: UnsafePointer<Float>, rows: Int, dimensions: Int,
    queryGradient: UnsafeMutablePointer<Float>, keyGradient: UnsafeMutablePointer<Float>?
  ) {
    self.queries = queries
    self.keys = keys
    self.rows = rows
    self.dimensions = dimensions
    self.queryGradient = queryGradient
    self.keyGradient = keyGradient
  }
}

/// A loss with what it keeps from step to step.
public protocol StepLoss: AnyObject {
  /// The loss and its gradients, which are of the loss over the images of all ranks. Collective where images of other
  /// ranks are compared with.
  /// - Returns: this rank's share: the ranks' sum is the loss.
  /// - Throws: `CollectiveError`.
  func evaluate(_ rows: LossRows, globalRows: Int) throws -> Double
}

/// BYOL's distance in both directions; without stop-gradient the keys move towards the predictions too.
final class DistanceLoss: StepLoss {
  func evaluate(_ rows: LossRows, globalRows: Int) throws -> Double {
    var loss = 0.0
    for view in 0..<2 {
      let own = view * rows.rows * rows.dimensions
      let other = (1 - view) * rows.rows * rows.dimensions
      loss += BYOLLoss.direction(
        predictions: rows.queries + own, projections: rows.keys + other, rows: rows.rows, dimensions: rows.dimensions,
        globalRows: globalRows, gradient: rows.queryGradient + own)
      // The cosine does not know which of its two is the prediction.
      if let keyGradient = rows.keyGradient {
        _ = BYOLLoss.direction(
          predictions: rows.keys + other, projections: rows.queries + own, rows: rows.rows,
          dimensions: rows.dimensions, globalRows: globalRows, gradient: keyGradient + other)
      }
    }
    return loss
  }
}

extension MethodPlan {
  /// Whether queries are compared with keys, rather than both views' projections with each other.
  var comparesWithKeys: Bool {
    switch loss {
    case .l2, .comparison: true
    case .barlowTwins, .vicreg: false
    }
  }

  /// Makes the loss with the memory that it works in.
  /// - Parameters:
  ///   - rows: images of this rank.
  ///   - keyGradient: whether the gradient of the keys will be asked for.
  package func makeLoss(
    rows: Int, dimensions: Int, keyGradient: Bool, world: Communicator, context: NetworkContext
  ) -> any StepLoss {
    switch loss {
    case .l2: DistanceLoss()
    case .comparison(let plan):
      KeyComparison(
        plan, rows: rows, dimensions: dimensions, keyGradient: keyGradient, world: world, context: context)
    case .barlowTwins(let lambda):
      BarlowTwinsLoss(lambda: lambda, rows: rows, dimensions: dimensions, world: world, context: context)
    case .vicreg(let coefficients):
      VICRegLoss(coefficients, rows: rows, dimensions: dimensions, world: world, context: context)
    }
  }
}
