/// Fills normalised images of a range of samples, without any augmentation, for probes.
///
/// Each image is resized to `resize` x `resize` (the data set's own framing unless said), and then the central
/// `imageSize` x `imageSize` is cut out, as torchvision's Resize and CenterCrop on PIL images; the study's evaluation of
/// STL-10, for example, is `imageSize` 96 with `resize` 128.
///
/// - Parameters:
///   - samples: indices in the data set.
///   - floats: samples.count x imageSize x imageSize x 3.
///   - scratch: from `evaluationScratch` for the same sizes; one thread at a time.
/// - Throws: `FileError` for an image that cannot be read.
public func evaluationImages(
  _ dataset: any ImageDataset, samples: Range<Int>, imageSize: Int, resize: Int? = nil,
  into floats: UnsafeMutablePointer<Float>, scratch: ViewScratch
) throws {
  let resized = resize ?? dataset.framing.resize(for: imageSize)
  precondition(resized >= imageSize, "a crop of \(imageSize) from \(resized) pixels")
  let recipe = ViewRecipe(policy: .none, imageSize: resized, seed: 0)
  // Halves go to the even pixel, as in torchvision.
  let margin = Int((Double(resized - imageSize) / 2).rounded(.toNearestOrEven))
  let whole = ViewParameters(height: dataset.height, width: dataset.width)
  for (place, sample) in samples.enumerated() {
    try dataset.copyImage(sample, into: scratch.source)
    let into = floats + place * imageSize * imageSize * 3
    recipe.makeView(
      whole, source: scratch.source, height: dataset.height, width: dataset.width,
      window: ViewParameters.Crop(top: margin, left: margin, height: imageSize, width: imageSize), into: into,
      scratch: scratch)
  }
}

/// Working memory for `evaluationImages`.
public func evaluationScratch(_ dataset: any ImageDataset, imageSize: Int, resize: Int? = nil) -> ViewScratch {
  ViewScratch(
    height: dataset.height, width: dataset.width, imageSize: resize ?? dataset.framing.resize(for: imageSize))
}
