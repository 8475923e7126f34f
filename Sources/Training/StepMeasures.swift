import Collectives
import Evaluation
import Kernels

/// What one step is known by, over the global batch.
public struct StepMeasures: Sendable {
  /// The sum of both directions' means, before the update.
  public var loss: Double
  /// Mean cosine of z and z' between the two views of one image.
  public var positiveCosine: Double
  /// Mean cosine of z and z' between different images.
  public var negativeCosine: Double
  /// Whether a rank was told to stop.
  public var stops: Bool
}

/// Measures a step over all ranks in one all-reduce, on which the ranks' agreement to stop rides too.
final class StepMeter {
  private let dimensions: Int
  private let rows: Int
  private let sums: UnsafeMutableBufferPointer<Double>
  private static let head = 3

  init(imagesPerView rows: Int, dimensions: Int) {
    self.rows = rows
    self.dimensions = dimensions
    sums = .allocate(capacity: Self.head + 4 * dimensions)
  }

  deinit { sums.deallocate() }

  /// Collective.
  /// - Parameters:
  ///   - loss: this rank's share.
  ///   - z: online projections [2 * rows x dimensions], view 0 first; z' (`targets`) likewise.
  ///   - stop: whether this rank was told to stop.
  /// - Throws: `CollectiveError`.
  func measure(
    loss: Double, z: UnsafePointer<Float>, targets: UnsafePointer<Float>, stop: Bool, communicator: Communicator
  ) throws -> StepMeasures {
    sums.update(repeating: 0)
    sums[0] = loss
    sums[1] = stop ? 1 : 0
    for view in 0..<2 { add(z + view * rows * dimensions, targets + (1 - view) * rows * dimensions, view) }
    try communicator.allReduce(sums, .sum)
    let batch = Double(rows * communicator.size)
    let positive = sums[2]
    var all = 0.0
    for view in 0..<2 {
      let mine = Self.head + 2 * view * dimensions
      for d in 0..<dimensions { all += sums[mine + d] * sums[mine + dimensions + d] }
    }
    return StepMeasures(
      loss: sums[0], positiveCosine: positive / (2 * batch),
      negativeCosine: batch > 1 ? (all - positive) / (2 * batch * (batch - 1)) : 0, stops: sums[1] > 0)
  }

  /// Adds the pairs of one direction: Σ ẑ·ẑ' of the same image, and the two sums of unit rows whose product has every
  /// pair's cosine in it.
  private func add(_ z: UnsafePointer<Float>, _ target: UnsafePointer<Float>, _ direction: Int) {
    let zSums = sums.baseAddress! + Self.head + 2 * direction * dimensions
    let targetSums = zSums + dimensions
    for row in 0..<rows {
      let a = z + row * dimensions
      let b = target + row * dimensions
      var (aa, bb, ab) = (0.0, 0.0, 0.0)
      for d in 0..<dimensions {
        let (x, y) = (Double(a[d]), Double(b[d]))
        aa += x * x
        bb += y * y
        ab += x * y
      }
      let aScale = 1 / max(aa.squareRoot(), 1e-12)
      let bScale = 1 / max(bb.squareRoot(), 1e-12)
      sums[2] += ab * aScale * bScale
      for d in 0..<dimensions {
        zSums[d] += Double(a[d]) * aScale
        targetSums[d] += Double(b[d]) * bScale
      }
    }
  }
}
