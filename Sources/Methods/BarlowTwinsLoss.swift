import Collectives
import Kernels
import Layers

/// Barlow Twins (Zbontar et al. 2021, equations 1 and 2): the cross-correlation C of the two views' projections over the
/// batch is to be the identity: Σ_i (1 - C_ii)² + lambda Σ_i Σ_{j≠i} C_ij².
///
/// Projections are normalised over the batch as torch.nn.BatchNorm1d without affine does (the authors' code). Means,
/// variances and C are of all ranks' images, and so is the gradient. C of one direction is the other's transposed, so
/// there is one loss, not two to be summed.
final class BarlowTwinsLoss: StepLoss {
  private static let epsilon = 1e-5
  private let lambda: Double
  private let rows: Int
  private let dimensions: Int
  private let world: Communicator
  private let context: NetworkContext
  /// Normalised projections and their gradient, [2 * rows x dimensions].
  private let normal: AlignedBuffer
  private let normalGradient: AlignedBuffer
  /// C, then the loss's gradient with respect to the sums that make it, [dimensions x dimensions].
  private let correlation: AlignedBuffer
  /// For each view two sums a dimension: first of z and z², then of the gradient and its product with ẑ.
  private let sums: UnsafeMutableBufferPointer<Double>
  private let inverses: UnsafeMutablePointer<Double>
  private var batch: Int { rows * world.size }

  init(lambda: Double, rows: Int, dimensions: Int, world: Communicator, context: NetworkContext) {
    self.lambda = lambda
    self.rows = rows
    self.dimensions = dimensions
    self.world = world
    self.context = context
    normal = AlignedBuffer(count: 2 * rows * dimensions)
    normalGradient = AlignedBuffer(count: 2 * rows * dimensions)
    correlation = AlignedBuffer(count: dimensions * dimensions, for: "the correlation matrix")
    sums = .allocate(capacity: 4 * dimensions)
    inverses = .allocate(capacity: 2 * dimensions)
  }

  deinit {
    sums.deallocate()
    inverses.deallocate()
  }

  func evaluate(_ input: LossRows, globalRows: Int) throws -> Double {
    precondition(globalRows == batch && input.rows == rows, "the correlation is over the batch's ranks")
    try normalize(input.queries)
    let second = rows * dimensions
    multiply(
      m: dimensions, k: rows, normal.pointer, dimensions, transposed: true, normal.pointer + second,
      bTransposed: false, correlation.pointer)
    try context.clock.measure(.communication) { try world.allReduce(correlation.floats, .sum) }
    let loss = turnIntoGradient()
    // C = Σ ẑ ẑ'ᵀ, so that dẑ = ẑ' Gᵀ and dẑ' = ẑ G.
    multiply(
      m: rows, k: dimensions, normal.pointer + second, dimensions, correlation.pointer, bTransposed: true,
      normalGradient.pointer)
    multiply(
      m: rows, k: dimensions, normal.pointer, dimensions, correlation.pointer, bTransposed: false,
      normalGradient.pointer + second)
    try normalizeBackward(into: input.queryGradient)
    return loss / Double(world.size)
  }

  /// ẑ = (z - mean) / sqrt(variance + epsilon), each view by itself, over all ranks.
  private func normalize(_ z: UnsafePointer<Float>) throws {
    sums.update(repeating: 0)
    for view in 0..<2 {
      let (sum, squares) = viewSums(view)
      for row in view * rows..<(view + 1) * rows {
        for d in 0..<dimensions {
          let value = Double(z[row * dimensions + d])
          sum[d] += value
          squares[d] += value * value
        }
      }
    }
    try context.clock.measure(.communication) { try world.allReduce(sums, .sum) }
    for view in 0..<2 {
      let (sum, squares) = viewSums(view)
      for d in 0..<dimensions {
        let mean = sum[d] / Double(batch)
        let inverse = 1 / (max(0, squares[d] / Double(batch) - mean * mean) + Self.epsilon).squareRoot()
        inverses[view * dimensions + d] = inverse
        for row in view * rows..<(view + 1) * rows {
          let place = row * dimensions + d
          normal.pointer[place] = Float((Double(z[place]) - mean) * inverse)
        }
      }
    }
  }

  /// Turns the ranks' sum into the loss and, in place, into the loss's gradient.
  private func turnIntoGradient() -> Double {
    var loss = 0.0
    let share = 1 / Double(batch)
    for i in 0..<dimensions {
      let row = correlation.pointer + i * dimensions
      for j in 0..<dimensions {
        let c = Double(row[j]) * share
        let off = i == j ? c - 1 : c
        let weight = i == j ? 1 : lambda
        loss += weight * off * off
        row[j] = Float(2 * weight * off * share)
      }
    }
    return loss
  }

  /// Through the normalisation: dz = (dẑ - mean(dẑ) - ẑ mean(dẑ ẑ)) / deviation, the means over all ranks.
  private func normalizeBackward(into gradient: UnsafeMutablePointer<Float>) throws {
    sums.update(repeating: 0)
    for view in 0..<2 {
      let (sum, products) = viewSums(view)
      for row in view * rows..<(view + 1) * rows {
        for d in 0..<dimensions {
          let value = Double(normalGradient.pointer[row * dimensions + d])
          sum[d] += value
          products[d] += value * Double(normal.pointer[row * dimensions + d])
        }
      }
    }
    try context.clock.measure(.communication) { try world.allReduce(sums, .sum) }
    for view in 0..<2 {
      let (sum, products) = viewSums(view)
      for row in view * rows..<(view + 1) * rows {
        for d in 0..<dimensions {
          let place = row * dimensions + d
          let centred =
            Double(normalGradient.pointer[place])
            - (sum[d] + Double(normal.pointer[place]) * products[d]) / Double(batch)
          gradient[place] = Float(centred * inverses[view * dimensions + d])
        }
      }
    }
  }

  private func viewSums(_ view: Int) -> (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) {
    let first = sums.baseAddress! + 2 * view * dimensions
    return (first, first + dimensions)
  }

  /// c[m x dimensions] = op(a) op(b).
  private func multiply(
    m: Int, k: Int, _ a: UnsafePointer<Float>, _ lda: Int, transposed: Bool = false, _ b: UnsafePointer<Float>,
    bTransposed: Bool, _ c: UnsafeMutablePointer<Float>
  ) {
    context.clock.measure(.gemm) {
      MatrixMultiply.run(
        m: m, n: dimensions, k: k, a: a, lda: lda, aTransposed: transposed, b: b, ldb: dimensions,
        bTransposed: bTransposed, c: c, ldc: dimensions, accumulate: false, team: context.team,
        scratch: context.scratch)
    }
  }
}
