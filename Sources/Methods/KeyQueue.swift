import Kernels

/// The last keys of earlier batches (He et al. 2020, section 3.2): a ring of unit vectors, the same on every rank.
///
/// Every step puts in the keys of the whole batch, view 0's and then view 1's, in the order of the ranks; the oldest go.
/// It starts from random unit vectors.
public final class KeyQueue {
  public let count: Int
  public let dimensions: Int
  /// [count x dimensions].
  public let keys: AlignedBuffer
  /// Where the next batch goes, in keys.
  public private(set) var next = 0

  public init(count: Int, dimensions: Int) {
    self.count = count
    self.dimensions = dimensions
    keys = AlignedBuffer(count: count * dimensions, for: "the queue's keys")
  }

  /// Fills the queue with random unit vectors, a function of (seed, place) alone.
  public func initialize(seed: UInt64) {
    next = 0
    for key in 0..<count {
      var random = CounterRandom(seed, 0x7175_6575, UInt64(key))
      let row = keys.pointer + key * dimensions
      var square = 0.0
      for d in 0..<dimensions {
        row[d] = Float(random.normal())
        square += Double(row[d]) * Double(row[d])
      }
      let inverse = Float(1 / max(square.squareRoot(), BYOLLoss.shortest))
      for d in 0..<dimensions { row[d] *= inverse }
    }
  }

  /// Puts in one view's keys, [batch x dimensions]; `batch` divides `count`.
  public func push(_ batch: UnsafePointer<Float>, count added: Int) {
    precondition(count.isMultiple(of: added), "\(added) keys do not go evenly into a queue of \(count)")
    (keys.pointer + next * dimensions).update(from: batch, count: added * dimensions)
    next = (next + added) % count
  }

  /// Goes on where a checkpoint's queue stood.
  public func restore(next: Int) { self.next = next }
}
