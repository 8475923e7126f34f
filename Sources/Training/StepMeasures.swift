import Collectives
import Evaluation
import Foundation
import Kernels

/// What one step is known by, over the global batch.
public struct StepMeasures: Sendable {
  /// The sum of both directions' means, before the update.
  public var loss: Double
  /// Mean cosine of z and z' between the two views of one image.
  public var positiveCosine: Double
  /// Mean cosine of z and z' between different images.
  public var negativeCosine: Double
  /// Standard deviation of each dimension of the projections z scaled to length 1, over both views of all images, and
  /// its mean over the dimensions (Chen & He 2021, figure 2): 0 where all are the same, at most 1/√dimensions, which
  /// projections spread over the sphere come near.
  public var projectionStd: Double
  /// RankMe of the same projections, [2 batch x dimensions]; on rank 0 alone, and where it was asked for.
  public var effectiveRank: Double?
  /// Mean of |z₀ - z₁|² between the two views of one image, both of length 1 (Wang & Isola 2020, equation 1 with α = 2).
  public var alignment: Double?
  /// Log of the mean of exp(-2 |z - z|²) over pairs of different images (equation 2 with t = 2), each view by itself,
  /// and the mean of both views, as in the authors' code.
  public var uniformity: Double?
  /// Whether a rank was told to stop.
  public var stops: Bool
}

/// What a step is measured for beyond what each is.
public struct MeasureDetail: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The effective rank: eigenvalues of a matrix whose side is the smaller of 2 batch and dimensions.
  public static let effectiveRank = MeasureDetail(rawValue: 1)
  /// Alignment and uniformity: every rank gets all projections.
  public static let pairs = MeasureDetail(rawValue: 2)
}

/// Measures a step over all ranks in one all-reduce, on which the ranks' agreement to stop rides too. What `MeasureDetail`
/// asks for rides on it as well; only where every pair of projections counts are these gathered before.
package final class StepMeter {
  private let dimensions: Int
  private let rows: Int
  private let rank: Int
  private let ranks: Int
  /// Of one number each, then per dimension, then the product of the projections with themselves in packed rows.
  private let sums: UnsafeMutableBufferPointer<Double>
  /// All ranks' projections of length 1, [ranks][2 * rows x dimensions]; `units` are this rank's.
  private let everyone: UnsafeMutableBufferPointer<Double>
  private let units: UnsafeMutablePointer<Double>
  private let products: UnsafeMutablePointer<Double>
  private let eigenvalues: SymmetricEigenvalues
  /// The effective rank, under way to rank 0: the last rank computes it while rank 0 has the target to move.
  private let found: UnsafeMutableBufferPointer<Double>
  private var message: Pending?

  /// Places in `sums`.
  private enum Place {
    static let loss = 0
    static let stop = 1
    static let positive = 2
    static let alignment = 3
    static let pairs = 4
    /// Σz of direction 0, its Σz', and the same of direction 1.
    static let perDimension = 6
  }
  private var squares: Int { Place.perDimension + 4 * dimensions }
  private var matrix: Int { squares + dimensions }
  /// Whether the matrix of dimensions is the smaller one; it is a sum over ranks, the other needs all rows in one place.
  private var isTall: Bool { dimensions <= 2 * rows * ranks }

  /// - Parameters:
  ///   - rows: images of a view on this rank.
  ///   - dimensions: of a projection.
  package init(imagesPerView rows: Int, dimensions: Int, communicator: Communicator) {
    self.rows = rows
    self.dimensions = dimensions
    (rank, ranks) = (communicator.rank, communicator.size)
    let own = 2 * rows * dimensions
    everyone = .allocate(capacity: ranks * own)
    everyone.initialize(repeating: 0)
    units = everyone.baseAddress! + rank * own
    products = .allocate(capacity: Uniformity.scratch)
    eigenvalues = SymmetricEigenvalues(size: min(dimensions, 2 * rows * ranks))
    let packed = dimensions <= 2 * rows * ranks ? dimensions * (dimensions + 1) / 2 : 0
    sums = .allocate(capacity: Place.perDimension + 5 * dimensions + packed)
    found = .allocate(capacity: 1)
    found.initialize(repeating: 0)
  }

  deinit {
    sums.deallocate()
    everyone.deallocate()
    products.deallocate()
    found.deallocate()
  }

  /// Everything at once. Collective.
  package func measure(
    loss: Double, z: UnsafePointer<Float>, targets: UnsafePointer<Float>, stop: Bool, detail: MeasureDetail = [],
    communicator: Communicator
  ) throws -> StepMeasures {
    var measures = try start(
      loss: loss, z: z, targets: targets, stop: stop, detail: detail, communicator: communicator)
    measures.effectiveRank = try finishEffectiveRank()
    return measures
  }

  /// All but the effective rank. Collective.
  /// - Parameters:
  ///   - loss: this rank's share.
  ///   - z: online projections [2 * rows x dimensions], view 0 first; z' (`targets`) likewise.
  ///   - stop: whether this rank was told to stop.
  ///   - detail: the same on all ranks.
  /// - Throws: `CollectiveError`.
  package func start(
    loss: Double, z: UnsafePointer<Float>, targets: UnsafePointer<Float>, stop: Bool, detail: MeasureDetail,
    communicator: Communicator
  ) throws -> StepMeasures {
    sums.update(repeating: 0)
    sums[Place.loss] = loss
    sums[Place.stop] = stop ? 1 : 0
    for view in 0..<2 { add(z + view * rows * dimensions, targets + (1 - view) * rows * dimensions, view) }
    try addDetail(detail, communicator)
    let end = detail.contains(.effectiveRank) ? sums.count : matrix
    // Through memory where ranks share it: MPI's blocking one allocates.
    try communicator.startAllReduce(UnsafeMutableBufferPointer(rebasing: sums[..<end]), .sum).wait()
    let batch = Double(rows * ranks)
    let positive = sums[Place.positive]
    var all = 0.0
    for view in 0..<2 {
      let mine = Place.perDimension + 2 * view * dimensions
      for d in 0..<dimensions { all += sums[mine + d] * sums[mine + dimensions + d] }
    }
    let wantsPairs = detail.contains(.pairs)
    if detail.contains(.effectiveRank) {
      found[0] = rank == ranks - 1 ? effectiveRank() : 0
      message = try communicator.startAllReduce(found, .sum)
    }
    return StepMeasures(
      loss: sums[Place.loss], positiveCosine: positive / (2 * batch),
      negativeCosine: batch > 1 ? (all - positive) / (2 * batch * (batch - 1)) : 0,
      projectionStd: standardDeviation(batch: batch),
      alignment: wantsPairs ? sums[Place.alignment] / batch : nil,
      uniformity: wantsPairs ? uniformity(batch: batch) : nil,
      stops: sums[Place.stop] > 0)
  }

  /// Waits for what `start` left open. Collective.
  /// - Returns: on rank 0, and where it was asked for.
  package func finishEffectiveRank() throws -> Double? {
    guard let message else { return nil }
    self.message = nil
    try message.wait()
    return rank == 0 ? found[0] : nil
  }

  /// Adds the pairs of one direction: Σ ẑ·ẑ' of the same image, and the two sums of unit rows whose product has every
  /// pair's cosine in it; and keeps the view's unit rows.
  private func add(_ z: UnsafePointer<Float>, _ target: UnsafePointer<Float>, _ direction: Int) {
    let zSums = sums.baseAddress! + Place.perDimension + 2 * direction * dimensions
    let targetSums = zSums + dimensions
    let squareSums = sums.baseAddress! + squares
    for row in 0..<rows {
      let a = z + row * dimensions
      let b = target + row * dimensions
      let unit = units + (direction * rows + row) * dimensions
      var (aa, bb, ab) = (0.0, 0.0, 0.0)
      for d in 0..<dimensions {
        let (x, y) = (Double(a[d]), Double(b[d]))
        aa += x * x
        bb += y * y
        ab += x * y
      }
      let aScale = 1 / max(aa.squareRoot(), 1e-12)
      let bScale = 1 / max(bb.squareRoot(), 1e-12)
      sums[Place.positive] += ab * aScale * bScale
      for d in 0..<dimensions {
        let x = Double(a[d]) * aScale
        unit[d] = x
        zSums[d] += x
        squareSums[d] += x * x
        targetSums[d] += Double(b[d]) * bScale
      }
    }
  }

  private func addDetail(_ detail: MeasureDetail, _ communicator: Communicator) throws {
    if detail.contains(.pairs) || detail.contains(.effectiveRank) && !isTall {
      try communicator.allGather(UnsafeBufferPointer(start: units, count: 2 * rows * dimensions), into: everyone)
    }
    if detail.contains(.pairs) { addPairs() }
    guard detail.contains(.effectiveRank), isTall else { return }
    EffectiveRank.columnProducts(units, rows: 2 * rows, dimensions: dimensions, into: eigenvalues.matrix)
    eachMatrixElement { sums[$0] = eigenvalues.matrix[$1] }
  }

  /// Adds this rank's images' share of alignment and, against every rank's images, of uniformity.
  private func addPairs() {
    let view = rows * dimensions
    for place in 0..<view {
      let difference = units[place] - units[view + place]
      sums[Place.alignment] += difference * difference
    }
    for side in 0..<2 {
      for other in 0..<ranks {
        sums[Place.pairs + side] += Uniformity.pairSum(
          units + side * view, everyone.baseAddress! + (2 * other + side) * view, rows: rows, dimensions: dimensions,
          same: other == rank, products: products)
      }
    }
  }

  /// The place in `sums` and in the whole matrix of each element at and right of the diagonal.
  private func eachMatrixElement(_ body: (Int, Int) -> Void) {
    var packed = matrix
    for row in 0..<dimensions {
      for column in row..<dimensions {
        body(packed, row * dimensions + column)
        packed += 1
      }
    }
  }

  private func standardDeviation(batch: Double) -> Double {
    let (first, second) = (Place.perDimension, Place.perDimension + 2 * dimensions)
    var total = 0.0
    for d in 0..<dimensions {
      let mean = (sums[first + d] + sums[second + d]) / (2 * batch)
      let variance = sums[squares + d] / (2 * batch) - mean * mean
      // Written so that what is no number stays none.
      total += variance < 0 ? 0 : variance.squareRoot()
    }
    return total / Double(dimensions)
  }

  private func uniformity(batch: Double) -> Double {
    func ofView(_ view: Int) -> Double { log(sums[Place.pairs + view] / (batch * (batch - 1))) }
    return (ofView(0) + ofView(1)) / 2
  }

  private func effectiveRank() -> Double {
    if isTall {
      eachMatrixElement { eigenvalues.matrix[$1] = sums[$0] }
    } else {
      EffectiveRank.rowProducts(
        everyone.baseAddress!, rows: 2 * rows * ranks, dimensions: dimensions, into: eigenvalues.matrix)
    }
    return eigenvalues.solve() ? EffectiveRank.of(squares: eigenvalues.values) : .nan
  }
}
