import Collectives
import Kernels

/// Sums the flat gradient buffer over the ranks, bucket by bucket, each as soon as the backward pass has filled it.
///
/// The backward pass fills the buffer from its end, so a bucket is a range of it; all ranks cut it alike. Ranks'
/// gradients are shares of the mean over the global batch, so the sum is that mean's gradient. Where all ranks share a host's
/// memory, `HostUpdate` adds up in the same order instead.
public final class GradientAllReduce {
  private let allReduce: OrderedAllReduce
  private let gradients: AlignedBuffer
  private let bucketFloats: Int
  private let clock: PhaseClock
  /// Everything from here on has been handed to an all-reduce.
  private var sent: Int

  /// - Parameter bucketBytes: large enough that latency does not matter, small enough to be cached still.
  public init(
    _ gradients: AlignedBuffer, communicator: Communicator, clock: PhaseClock, bucketBytes: Int = 4 << 20
  ) {
    self.clock = clock
    self.gradients = gradients
    bucketFloats = max(1, bucketBytes / MemoryLayout<Float>.stride)
    // The last one is what is left.
    allReduce = OrderedAllReduce(communicator, longest: min(bucketFloats, gradients.count))
    sent = gradients.count
  }

  /// Told that all gradients from `offset` on are complete; reduces the buckets that this fills.
  /// - Throws: `CollectiveError`.
  public func ready(from offset: Int) throws {
    while sent - offset >= bucketFloats { try reduce(from: sent - bucketFloats) }
    if offset == 0 {
      if sent > 0 { try reduce(from: 0) }
      sent = gradients.count
    }
  }

  private func reduce(from low: Int) throws {
    let bucket = UnsafeMutableBufferPointer(start: gradients.pointer + low, count: sent - low)
    try clock.measure(.communication) { try allReduce.run(bucket) }
    sent = low
  }
}
