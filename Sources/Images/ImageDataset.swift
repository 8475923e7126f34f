import Files
import Foundation

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

  public init(train: any ImageDataset, test: any ImageDataset) {
    self.train = train
    self.test = test
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
  /// - Throws: `ImageError` naming what is wrong.
  public static func open(_ data: String, seed: UInt64, limit: Int? = nil) throws -> DatasetSplits {
    if let limit, limit < 1 { throw ImageError.badLimit(limit: limit) }
    if data == embedded {
      return DatasetSplits(
        train: Shapes(seed: seed, split: .train, count: min(Shapes.trainCount, limit ?? .max)),
        test: Shapes(seed: seed, split: .test, count: min(Shapes.testCount, limit ?? .max)))
    }
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: data, isDirectory: &isDirectory) else {
      throw ImageError.missing(path: data)
    }
    guard isDirectory.boolValue else { throw ImageError.notADirectory(path: data) }
    let names: [String]
    do { names = try AtomicDirectory.entries(of: data) } catch {
      throw ImageError.unreadable(path: data, reason: readableReason(error))
    }
    if CIFAR10.recognises(names) { return try CIFAR10.open(directory: data, names: names, limit: limit) }
    if STL10.recognises(names) { return try STL10.open(directory: data, names: names, limit: limit) }
    throw ImageError.unknownFormat(path: data, found: names)
  }
}

/// The operating system's words for what Foundation throws, which are shorter and clearer than Foundation's own.
func readableReason(_ error: any Error) -> String {
  if let error = error as? FileError { return error.reason }
  let outer = error as NSError
  let inner = outer.userInfo[NSUnderlyingErrorKey] as? NSError ?? outer
  if inner.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(inner.code))) }
  if outer.code == CocoaError.fileReadNoPermission.rawValue { return String(cString: strerror(EACCES)) }
  return outer.localizedDescription
}
