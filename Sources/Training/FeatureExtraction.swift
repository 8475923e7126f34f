import Collectives
import Images
import Kernels
import Methods

/// Frozen features of a whole split, computed by all ranks, each a contiguous share.
public enum FeatureExtraction {
  /// The online encoder's features with its running statistics, averaged over ranks where the scope is narrower.
  ///
  /// Collective. Images are framed as the data set says, not augmented.
  /// - Returns: [dataset.count x features] on rank 0, nothing elsewhere.
  /// - Throws: `SharedError` for an image that cannot be read; `CollectiveError`.
  public static func features(
    _ method: Siamese, dataset: any ImageDataset, imageSize: Int, communicator: Communicator
  ) throws -> [Float] {
    let share = communicator.share(of: dataset.count, for: communicator.rank)
    let dimensions = method.shape.encoder.features
    let chunk = method.layout.images
    let pixels = AlignedBuffer(count: chunk * imageSize * imageSize * 3)
    let scratch = evaluationScratch(dataset, imageSize: imageSize)
    var own: [Float] = []
    own.reserveCapacity(share.count * dimensions)
    try RunningStatistics.averaged(method, communicator: communicator) {
      // An image that one rank cannot read ends the probe on all; a pass in evaluation phase does not communicate.
      try communicator.together {
        for at in stride(from: share.lowerBound, to: share.upperBound, by: chunk) {
          CollectiveWatchdog.progress()
          let samples = at..<min(at + chunk, share.upperBound)
          try evaluationImages(dataset, samples: samples, imageSize: imageSize, into: pixels.pointer, scratch: scratch)
          let features = try method.features(of: pixels.pointer, images: samples.count)
          own.append(contentsOf: UnsafeBufferPointer(start: features, count: samples.count * dimensions))
        }
      }
    }
    return try communicator.gather(own, at: 0).flatMap { $0 }
  }
}
