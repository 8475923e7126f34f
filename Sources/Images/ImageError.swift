/// What can be wrong with image data; `description` is one line that names the file, the record and what would be right.
public enum ImageError: Error, Equatable, CustomStringConvertible {
  /// Nothing is at the path.
  case missing(path: String)
  /// Something else than a data set that can be read, which is known for what it is.
  case mistaken(path: String, found: String, right: String)
  /// A directory without any format that is known; `found` names some of what it holds.
  case unknownFormat(path: String, found: [String])
  /// A data set without one of its two splits.
  case missingSplit(path: String, split: String, expected: String)
  /// A file that ends inside a record.
  case truncated(file: String, record: Int, bytes: Int, expected: Int)
  /// A file without any record.
  case empty(file: String, recordBytes: Int)
  /// A label outside of the classes.
  case badLabel(file: String, record: Int, label: Int, expected: ClosedRange<Int>)
  /// A data set without one of its files.
  case missingFile(path: String, file: String, of: [String])
  /// A file that is no whole number of images; `whole` are the bytes of the published file.
  case badSize(file: String, bytes: Int, imageBytes: Int, whole: Int)
  /// A file of labels that are not as many as the images of another.
  case badLabelCount(file: String, labels: Int, imageFile: String, images: Int)
  /// A limit that leaves no image.
  case badLimit(limit: Int)
  /// A batch that the data set or the ranks cannot share.
  case badBatch(batch: Int, count: Int, ranks: Int)
  /// No further batch: the loader has stopped or has given out its last step.
  case noMoreBatches(step: Int)
  /// A file could not be written.
  case unwritable(path: String, reason: String)

  public var description: String {
    switch self {
    case .missing(let path):
      "data \(path): nothing is there; expected 'shapes' or a directory of CIFAR-10's or STL-10's binary files"
    case .mistaken(let path, let found, let right):
      "data \(path): \(found); should be \(right)"
    case .unknownFormat(let path, let found):
      "data \(path): no known format: found \(Self.list(found)); "
        + "expected CIFAR-10's \(CIFAR10.trainFiles[0]) to 5 and \(CIFAR10.testFile), or STL-10's \(STL10.required.joined(separator: ", "))"
    case .missingSplit(let path, let split, let expected):
      "data \(path): has no \(split) split; expected \(expected) there"
    case .truncated(let file, let record, let bytes, let expected):
      "\(file): record \(record) is cut short: \(bytes) of \(expected) bytes"
    case .empty(let file, let recordBytes):
      "\(file): holds no record; expected records of \(recordBytes) bytes"
    case .badLabel(let file, let record, let label, let expected):
      "\(file): record \(record) has label \(label); expected \(expected.lowerBound) to \(expected.upperBound)"
    case .missingFile(let path, let file, let all):
      "data \(path): has no \(file); expected \(all.joined(separator: ", ")) there"
    case .badSize(let file, let bytes, let imageBytes, let whole):
      "\(file): has \(bytes) bytes; expected a multiple of \(imageBytes), the bytes of an image; the published file has "
        + "\(whole)"
    case .badLabelCount(let file, let labels, let imageFile, let images):
      "\(file): has \(labels) bytes; expected \(images), a label for each image of \(imageFile)"
    case .badLimit(let limit):
      "an image limit of \(limit) leaves nothing; expected at least 1"
    case .badBatch(let batch, let count, let ranks):
      Self.badBatch(batch, count, ranks)
    case .noMoreBatches(let step):
      "no views for step \(step): the loader has stopped"
    case .unwritable(let path, let reason):
      "\(path): cannot be written: \(reason)"
    }
  }

  private static func badBatch(_ batch: Int, _ count: Int, _ ranks: Int) -> String {
    if batch > count { return "batch \(batch): is more than the data set's \(count) images; expected at most that" }
    let below = batch / ranks * ranks
    let near = below > 0 ? "\(below) or \(below + ranks)" : "\(ranks)"
    return "batch \(batch): \(ranks) ranks cannot share it evenly; expected a multiple of \(ranks), such as \(near)"
  }

  private static func list(_ names: [String]) -> String {
    if names.isEmpty { return "nothing" }
    return names.prefix(4).joined(separator: ", ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
  }
}
