import Collectives
import Kernels
import Layers

/// The weights of VICReg's three terms; the paper's unless said.
public struct VICRegCoefficients: Sendable, Equatable {
  public var invariance: Double
  public var variance: Double
  public var covariance: Double

  public init(invariance: Double = 25, variance: Double = 25, covariance: Double = 1) {
    self.invariance = invariance
    self.variance = variance
    self.covariance = covariance
  }
}

/// VICReg (Bardes et al. 2022, algorithm 1) between the two views' projections Z and Z', [batch x d]:
/// invariance · mean (z - z')² + variance · Σ_views mean_j max(0, 1 - sqrt(var_j + 1e-4))
/// + covariance · Σ_views Σ_{i≠j} C_ij² / d, with the unbiased covariance C over the images of all ranks.
///
/// The terms of both views are summed, as everywhere; the invariance has no direction and counts once.
final class VICRegLoss: StepLoss {
  private static let epsilon = 1e-4
  private let coefficients: VICRegCoefficients
  private let rows: Int
  private let dimensions: Int
  private let world: Communicator
  private let context: NetworkContext
  /// Projections less their mean over all ranks, [2 * rows x dimensions].
  private let centred: AlignedBuffer
  /// For each view C times batch - 1, then the matrix that takes `centred` to its gradient, [dimensions x dimensions].
  private let covariance: AlignedBuffer
  private let means: UnsafeMutableBufferPointer<Double>
  private var batch: Int { rows * world.size }

  init(_ coefficients: VICRegCoefficients, rows: Int, dimensions: Int, world: Communicator, context: NetworkContext) {
    self.coefficients = coefficients
    self.rows = rows
    self.dimensions = dimensions
    self.world = world
    self.context = context
    centred = AlignedBuffer(count: 2 * rows * dimensions)
    covariance = AlignedBuffer(count: 2 * dimensions * dimensions, for: "covariance matrices")
    means = .allocate(capacity: 2 * dimensions)
  }

  deinit { means.deallocate() }

  func evaluate(_ input: LossRows, globalRows: Int) throws -> Double {
    precondition(globalRows == batch && input.rows == rows, "the covariance is over the batch's ranks")
    try centre(input.queries)
    for view in 0..<2 {
      let x = centred.pointer + view * rows * dimensions
      multiply(m: dimensions, k: rows, x, transposed: true, x, matrix(view))
    }
    try context.clock.measure(.communication) { try world.allReduce(covariance.floats, .sum) }
    var loss = 0.0
    for view in 0..<2 {
      loss += turnIntoGradient(matrix(view))
      let at = view * rows * dimensions
      multiply(m: rows, k: dimensions, centred.pointer + at, matrix(view), input.queryGradient + at)
    }
    return loss / Double(world.size) + addInvariance(input.queries, to: input.queryGradient)
  }

  private func centre(_ z: UnsafePointer<Float>) throws {
    means.update(repeating: 0)
    for row in 0..<2 * rows {
      let mean = means.baseAddress! + row / rows * dimensions
      for d in 0..<dimensions { mean[d] += Double(z[row * dimensions + d]) }
    }
    try context.clock.measure(.communication) { try world.allReduce(means, .sum) }
    for row in 0..<2 * rows {
      let mean = means.baseAddress! + row / rows * dimensions
      for d in 0..<dimensions {
        let place = row * dimensions + d
        centred.pointer[place] = Float(Double(z[place]) - mean[d] / Double(batch))
      }
    }
  }

  /// One view's variance and covariance terms. The matrix becomes the one that multiplies the centred projections into
  /// their gradient; centring itself adds nothing, since the rows' sum is zero.
  private func turnIntoGradient(_ matrix: UnsafeMutablePointer<Float>) -> Double {
    let unbiased = 1 / Double(batch - 1)
    let each = 1 / Double(dimensions)
    var loss = 0.0
    for i in 0..<dimensions {
      let row = matrix + i * dimensions
      for j in 0..<dimensions {
        let c = Double(row[j]) * unbiased
        if i == j {
          let deviation = (c + Self.epsilon).squareRoot()
          loss += coefficients.variance * each * max(0, 1 - deviation)
          row[j] = deviation < 1 ? Float(-coefficients.variance * each * unbiased / deviation) : 0
        } else {
          loss += coefficients.covariance * each * c * c
          row[j] = Float(4 * coefficients.covariance * each * unbiased * c)
        }
      }
    }
    return loss
  }

  /// This rank's part of the invariance term.
  private func addInvariance(_ z: UnsafePointer<Float>, to gradient: UnsafeMutablePointer<Float>) -> Double {
    let count = rows * dimensions
    let scale = coefficients.invariance / Double(batch * dimensions)
    var squares = 0.0
    for index in 0..<count {
      let difference = Double(z[index]) - Double(z[count + index])
      squares += difference * difference
      let slope = Float(2 * scale * difference)
      gradient[index] += slope
      gradient[count + index] -= slope
    }
    return squares * scale
  }

  private func matrix(_ view: Int) -> UnsafeMutablePointer<Float> {
    covariance.pointer + view * dimensions * dimensions
  }

  /// c[m x dimensions] = op(a) b.
  private func multiply(
    m: Int, k: Int, _ a: UnsafePointer<Float>, transposed: Bool = false, _ b: UnsafePointer<Float>,
    _ c: UnsafeMutablePointer<Float>
  ) {
    context.clock.measure(.gemm) {
      MatrixMultiply.run(
        m: m, n: dimensions, k: k, a: a, lda: dimensions, aTransposed: transposed, b: b, ldb: dimensions,
        bTransposed: false, c: c, ldc: dimensions, accumulate: false, team: context.team, scratch: context.scratch)
    }
  }
}
