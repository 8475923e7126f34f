import Foundation

/// Views per second that one core makes from a data set's images, decoding not counted: the number to hold against
/// torchvision's.
///
/// - Parameters:
///   - images: how many different images to use.
///   - seconds: how long to measure at least.
public func viewsPerSecond(
  dataset: any ImageDataset, recipe: ViewRecipe, images: Int = 200, seconds: Double = 0.5
) throws -> Double {
  let used = min(images, dataset.count)
  let bytes = dataset.height * dataset.width * 3
  let scratch = ViewScratch(height: dataset.height, width: dataset.width, imageSize: recipe.imageSize)
  var sources = [UInt8](repeating: 0, count: used * bytes)
  var view = [Float](repeating: 0, count: recipe.viewCount)
  return try sources.withUnsafeMutableBufferPointer { sources in
    try view.withUnsafeMutableBufferPointer { view in
      let (first, into) = (sources.baseAddress!, view.baseAddress!)
      for image in 0..<used { try dataset.copyImage(image, into: first + image * bytes) }
      func makeViews(epoch: Int) {
        for image in 0..<used {
          recipe.makeView(
            source: first + image * bytes, height: dataset.height, width: dataset.width, epoch: epoch, sample: image,
            view: 0, into: into, scratch: scratch)
        }
      }
      makeViews(epoch: 0)
      let start = processorSeconds()
      var epochs = 0
      repeat {
        epochs += 1
        makeViews(epoch: epochs)
      } while processorSeconds() - start < seconds
      let duration = processorSeconds() - start
      return Double(epochs * used) / duration
    }
  }
}

/// What the calling thread has had of a core, which other load does not blur as it does the clock on the wall.
private func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
