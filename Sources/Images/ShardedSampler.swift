import Kernels

/// Which images a rank sees at each step: pure functions of (seed, epoch), the same global batches for any number of
/// ranks.
///
/// Batch k of an epoch is the epoch's order at k B ..< (k + 1) B, where the order is a permutation of the whole set (or
/// the file order); rank r of N holds the r-th contiguous N-th of each batch. An epoch's last short batch is dropped.
public struct ShardedSampler: Sendable {
  /// Images in the set, in a global batch, and in this rank's share of it.
  public let count: Int
  public let batch: Int
  public let localBatch: Int
  public let rank: Int
  public let ranks: Int
  public let shuffle: Bool
  public let seed: UInt64

  /// - Parameter batch: global, at most `count`, a multiple of `ranks`.
  /// - Throws: `ImageError.badBatch`.
  public init(count: Int, batch: Int, rank: Int, ranks: Int, shuffle: Bool, seed: UInt64) throws {
    precondition(ranks >= 1 && rank >= 0 && rank < ranks, "rank \(rank) of \(ranks)")
    guard batch >= 1, batch <= count, batch % ranks == 0 else {
      throw ImageError.badBatch(batch: batch, count: count, ranks: ranks)
    }
    self.count = count
    self.batch = batch
    self.rank = rank
    self.ranks = ranks
    self.shuffle = shuffle
    self.seed = seed
    localBatch = batch / ranks
  }

  /// Whole batches in an epoch.
  public var stepsPerEpoch: Int { count / batch }

  /// Writes this rank's `localBatch` image indices for a step of 0..<stepsPerEpoch.
  public func localIndices(epoch: Int, step: Int, into indices: UnsafeMutableBufferPointer<Int>) {
    precondition(step >= 0 && step < stepsPerEpoch, "step \(step) of an epoch of \(stepsPerEpoch)")
    precondition(indices.count >= localBatch, "room for \(indices.count) of \(localBatch) indices")
    let first = step * batch + rank * localBatch
    guard shuffle else {
      for position in 0..<localBatch { indices[position] = first + position }
      return
    }
    let order = EpochOrder(count: count, seed: seed, epoch: epoch)
    for position in 0..<localBatch { indices[position] = order[first + position] }
  }
}

/// A pseudo-random permutation of 0..<count whose elements are computed one by one, so that no rank keeps the order of a
/// large set or replays it on resume: a Feistel network (Luby & Rackoff 1988) over the next even power of two, walked
/// until it falls inside the set (Black & Rogaway 2002).
struct EpochOrder {
  private static let rounds = 8
  private let count: UInt64
  private let halfBits: UInt64
  private let keys: SIMD8<UInt64>

  init(count: Int, seed: UInt64, epoch: Int) {
    precondition(count >= 1, "an order of nothing")
    self.count = UInt64(count)
    var half: UInt64 = 1
    while (1 as UInt64) << (2 * half) < UInt64(count) { half += 1 }
    halfBits = half
    var random = CounterRandom(seed, RandomPurpose.order.rawValue, UInt64(epoch))
    var keys = SIMD8<UInt64>()
    for round in 0..<Self.rounds { keys[round] = random.next() }
    self.keys = keys
  }

  subscript(position: Int) -> Int {
    var value = UInt64(position)
    repeat { value = encrypt(value) } while value >= count
    return Int(value)
  }

  private func encrypt(_ value: UInt64) -> UInt64 {
    let mask = (1 as UInt64) << halfBits - 1
    var left = value >> halfBits
    var right = value & mask
    for round in 0..<Self.rounds {
      var z = (right &+ keys[round]) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 29)) &* 0x94D0_49BB_1331_11EB
      (left, right) = (right, left ^ ((z ^ (z >> 32)) & mask))
    }
    return left << halfBits | right
  }
}

/// What a random number is for: the second word of every `CounterRandom` key of this floor. Values are part of the
/// meaning of a seed, so they never change.
enum RandomPurpose: UInt64 {
  case order = 1
  case view = 2
  case shapesTrain = 3
  case shapesTest = 4
}
