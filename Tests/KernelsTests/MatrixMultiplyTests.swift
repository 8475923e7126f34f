import Kernels
import XCTest

final class MatrixMultiplyTests: XCTestCase {
  /// All transpositions, with tails in every dimension, padded rows and more rows than a cache block holds.
  func testEveryTranspositionAgainstTheDefinition() {
    let sizes = [
      (1, 1, 1), (6, 16, 8), (5, 3, 7), (7, 17, 33), (64, 128, 96), (13, 100, 1030), (300, 20, 64), (129, 65, 257),
      (2, 1040, 5), (1000, 48, 9), (147, 64, 700),
    ]
    for threads in [1, 3] {
      let team = ThreadTeam(threads: threads, spins: 100)
      for (m, n, k) in sizes {
        for mode in 0..<8 {
          check(
            m, n, k, aTransposed: mode & 1 != 0, bTransposed: mode & 2 != 0, accumulate: mode & 4 != 0, team: team)
        }
      }
    }
  }

  private func check(
    _ m: Int, _ n: Int, _ k: Int, aTransposed: Bool, bTransposed: Bool, accumulate: Bool, team: ThreadTeam
  ) {
    let lda = (aTransposed ? m : k) + 3
    let ldb = (bTransposed ? k : n) + 5
    let ldc = n + 2
    let a = Noise.floats((aTransposed ? k : m) * lda, seed: 1)
    let b = Noise.floats((bTransposed ? n : k) * ldb, seed: 2)
    let before = Noise.floats(m * ldc, seed: 3)
    let c = AlignedBuffer(count: m * ldc)
    for index in 0..<c.count { c.pointer[index] = before[index] }
    MatrixMultiply.run(
      m: m, n: n, k: k, a: a, lda: lda, aTransposed: aTransposed, b: b, ldb: ldb, bTransposed: bTransposed,
      c: c.pointer, ldc: ldc, accumulate: accumulate, team: team, scratch: Scratch())
    var wanted = before.map(Double.init)
    for row in 0..<m {
      for column in 0..<n {
        var sum = accumulate ? wanted[row * ldc + column] : 0
        for index in 0..<k {
          let left = aTransposed ? a[index * lda + row] : a[row * lda + index]
          let right = bTransposed ? b[column * ldb + index] : b[index * ldb + column]
          sum += Double(left) * Double(right)
        }
        wanted[row * ldc + column] = sum
      }
    }
    let error = Noise.relativeError(c, wanted)
    XCTAssert(
      error <= 5e-6, "\(m) x \(n) x \(k), transposed \(aTransposed) \(bTransposed), \(accumulate): error \(error)")
  }
}
