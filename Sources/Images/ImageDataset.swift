/// Labelled colour images of one size, read by index from any thread.
public protocol ImageDataset: Sendable {
  /// What messages and files call this set, for example `shapes train`.
  var name: String { get }
  /// Images.
  var count: Int { get }
  /// A name for each label.
  var classes: [String] { get }
  /// Pixels of every image.
  var height: Int { get }
  var width: Int { get }
  /// How the set's literature shows its images to a probe.
  var framing: EvaluationFraming { get }
  /// Writes image `index` of 0..<count as height x width x 3 bytes, red first.
  /// - Throws: `FileError` where the image is read when it is asked for and cannot be.
  func copyImage(_ index: Int, into rgb: UnsafeMutablePointer<UInt8>) throws
  /// The label of image `index`, in 0..<classes.count; -1 for a training image that has none.
  func label(_ index: Int) -> Int
}

extension ImageDataset {
  public var framing: EvaluationFraming { .whole }
}

/// What of an image a probe sees.
public enum EvaluationFraming: Sendable {
  /// All of it, resized.
  case whole
  /// The centre of the image, 3/4 of its sides: the study's evaluation of STL-10 resizes to 128 and cuts out 96.
  case centre

  /// The size to resize to before the central `imageSize` x `imageSize` is cut out.
  public func resize(for imageSize: Int) -> Int {
    switch self {
    case .whole: imageSize
    case .centre: imageSize * 4 / 3
    }
  }
}

/// The images to learn from and those that judge.
public struct DatasetSplits: Sendable {
  public let train: any ImageDataset
  public let test: any ImageDataset
  /// Notes on how the data was understood, a line each: files that are not used, or missing.
  public internal(set) var notes: [String]

  public init(train: any ImageDataset, test: any ImageDataset, notes: [String] = []) {
    self.train = train
    self.test = test
    self.notes = notes
  }
}

/// Turns what `--data` says into images.
public enum DatasetSource {
  /// The name of the embedded data set.
  public static let embedded = "shapes"

  /// Opens `shapes`, or the directory at a path, whose format is recognised from the files that are there.
  ///
  /// - Parameters:
  ///   - data: `shapes` or a path; a directory of that name is reached as `./shapes`.
  ///   - seed: what `shapes` is drawn from; files do not depend on it.
  ///   - limit: at most so many images of each split, the first ones.
  /// - Throws: `ImageError` naming what is wrong and what would be right; `FileError`.
  public static func open(_ data: String, seed: UInt64, limit: Int? = nil) throws -> DatasetSplits {
    if let limit, limit < 1 { throw ImageError.badLimit(limit: limit) }
    if data == embedded {
      return DatasetSplits(
        train: Shapes(seed: seed, split: .train, count: min(Shapes.trainCount, limit ?? .max)),
        test: Shapes(seed: seed, split: .test, count: min(Shapes.testCount, limit ?? .max)))
    }
    return try DatasetRecognition.open(data, limit: limit)
  }
}
