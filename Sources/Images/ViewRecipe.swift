import Foundation
import Kernels

/// How views are made: a pure function of (seed, epoch, sample, view), whatever rank or thread computes it.
public struct ViewRecipe: Sendable {
  public let policy: AugmentPolicy
  /// Pixels of a view's sides.
  public let imageSize: Int
  public let seed: UInt64
  /// Blurring an image smaller than this would leave too little of it.
  private static let smallestBlurred = 64

  public init(policy: AugmentPolicy, imageSize: Int, seed: UInt64) {
    precondition(imageSize >= 1, "views of \(imageSize) pixels")
    self.policy = policy
    self.imageSize = imageSize
    self.seed = seed
  }

  /// Floats of one view: imageSize x imageSize x 3.
  public var viewCount: Int { imageSize * imageSize * 3 }

  /// Writes one view of an image.
  ///
  /// - Parameters:
  ///   - source: height x width x 3 bytes.
  ///   - sample: the image's index in its data set.
  ///   - view: 0 or 1.
  ///   - floats: `viewCount` normalised floats, height x width x channel.
  ///   - scratch: made for at least this height and width, and this image size; one thread at a time.
  public func makeView(
    source: UnsafePointer<UInt8>, height: Int, width: Int, epoch: Int, sample: Int, view: Int,
    into floats: UnsafeMutablePointer<Float>, scratch: ViewScratch
  ) {
    let parameters = parameters(height: height, width: width, epoch: epoch, sample: sample, view: view)
    makeView(parameters, source: source, height: height, width: width, into: floats, scratch: scratch)
  }

  /// What is random about a view.
  package func parameters(height: Int, width: Int, epoch: Int, sample: Int, view: Int) -> ViewParameters {
    switch policy {
    case .none: return ViewParameters(height: height, width: width)
    case .moco:
      var random = CounterRandom(seed, RandomPurpose.view.rawValue, UInt64(epoch), UInt64(sample), UInt64(view))
      return .moco(height: height, width: width, blur: imageSize >= Self.smallestBlurred, random: &random)
    }
  }

  /// Writes the view that `parameters` describe, or the part of it inside `window`.
  package func makeView(
    _ parameters: ViewParameters, source: UnsafePointer<UInt8>, height: Int, width: Int,
    window: ViewParameters.Crop? = nil, into floats: UnsafeMutablePointer<Float>, scratch: ViewScratch
  ) {
    precondition(scratch.fits(height: height, width: width, imageSize: imageSize), "scratch made for another size")
    let crop = parameters.crop
    let cropped = Pixels(start: scratch.cropped, height: crop.height, width: crop.width)
    cropped.load(rgb: source + 3 * (crop.top * width + crop.left), rowBytes: 3 * width)
    let pixels = Pixels(start: scratch.pixels, height: imageSize, width: imageSize)
    resize(
      cropped, into: pixels, between: scratch.spare, horizontal: &scratch.horizontal, vertical: &scratch.vertical)
    if let jitter = parameters.jitter { pixels.jitter(jitter) }
    if parameters.grey { pixels.makeGrey() }
    // The blur is symmetric, so the flip can wait until the pixels are written anyway.
    if let sigma = parameters.sigma { pixels.blur(sigma: sigma, spare: scratch.spare) }
    let shown = window ?? ViewParameters(height: imageSize, width: imageSize).crop
    pixels.normalise(shown, flipped: parameters.flip, table: scratch.table, into: floats)
  }
}

/// Working memory for one thread that makes views, allocated once.
public final class ViewScratch {
  /// Room for one source image of height x width x 3 bytes.
  public let source: UnsafeMutablePointer<UInt8>
  let cropped: UnsafeMutablePointer<UInt32>
  let spare: UnsafeMutablePointer<UInt32>
  let pixels: UnsafeMutablePointer<UInt32>
  let table: UnsafeMutablePointer<Float>
  var horizontal: ResizeTaps
  var vertical: ResizeTaps
  private let height: Int
  private let width: Int
  private let imageSize: Int

  /// - Parameters:
  ///   - height, width: of the largest source image.
  ///   - imageSize: of the views.
  public init(height: Int, width: Int, imageSize: Int) {
    precondition(height >= 1 && width >= 1 && imageSize >= 1, "an image of \(height)x\(width) to \(imageSize)")
    self.height = height
    self.width = width
    self.imageSize = imageSize
    source = .allocate(capacity: height * width * 3)
    cropped = Self.pixels(height * width)
    spare = Self.pixels(max(height, width, imageSize) * imageSize)
    pixels = Self.pixels(imageSize * imageSize)
    table = .allocate(capacity: Normalisation.table.count)
    table.initialize(from: Normalisation.table, count: Normalisation.table.count)
    horizontal = ResizeTaps(maximumInput: width, output: imageSize)
    vertical = ResizeTaps(maximumInput: height, output: imageSize)
  }

  deinit {
    source.deallocate()
    cropped.deallocate()
    spare.deallocate()
    pixels.deallocate()
    table.deallocate()
    horizontal.deallocate()
    vertical.deallocate()
  }

  func fits(height: Int, width: Int, imageSize: Int) -> Bool {
    height <= self.height && width <= self.width && imageSize == self.imageSize
  }

  private static func pixels(_ count: Int) -> UnsafeMutablePointer<UInt32> {
    let pointer = UnsafeMutablePointer<UInt32>.allocate(capacity: Pixels.padded(count))
    pointer.initialize(repeating: 0, count: Pixels.padded(count))
    return pointer
  }
}
