import Collectives
import Images
import Kernels
import Methods

/// Frozen features of a whole split, computed by all ranks, each a contiguous share.
public enum FeatureExtraction {
  /// The online encoder's features with its running statistics, averaged over ranks where the scope is narrower.
  ///
  /// Collective. Images are resized, not augmented.
  /// - Returns: [dataset.count x features] on rank 0, nothing elsewhere.
  /// - Throws: `CollectiveError`.
  public static func features(
    _ method: Siamese, dataset: any ImageDataset, imageSize: Int, communicator: Communicator
  ) throws -> [Float] {
    let low = dataset.count * communicator.rank / communicator.size
    let high = dataset.count * (communicator.rank + 1) / communicator.size
    let dimensions = method.shape.encoder.features
    let chunk = method.layout.images
    let pixels = AlignedBuffer(count: chunk * imageSize * imageSize * 3)
    let scratch = evaluationScratch(dataset, imageSize: imageSize)
    var own: [Float] = []
    own.reserveCapacity((high - low) * dimensions)
    try RunningStatistics.averaged(method, communicator: communicator) {
      var at = low
      while at < high {
        let samples = at..<min(at + chunk, high)
        evaluationImages(dataset, samples: samples, imageSize: imageSize, into: pixels.pointer, scratch: scratch)
        let features = try method.features(of: pixels.pointer, images: samples.count)
        own.append(contentsOf: UnsafeBufferPointer(start: features, count: samples.count * dimensions))
        at = samples.upperBound
      }
    }
    return try communicator.gather(own, at: 0).flatMap { $0 }
  }
}
