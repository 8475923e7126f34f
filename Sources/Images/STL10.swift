import Files

/// Images in STL-10's binary format (Coates, Ng & Lee 2011): files of 96 x 96 colour images, each a red, a green and a
/// blue plane whose bytes go down the columns, and files of labels, a byte from 1 to 10 an image.
///
/// An image is read when it is asked for: 105,000 of them are 2.9 GB, which every rank would hold otherwise. The system
/// keeps in memory, once for a host's ranks, what of the files fits.
public struct STL10: ImageDataset {
  public static let size = 96
  private static let planeBytes = size * size
  public static let imageBytes = 3 * planeBytes
  private static let defaultClasses = [
    "airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
  ]
  /// The files that a data set has at least.
  static let required = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"]
  static let unlabelled = "unlabeled_X.bin"
  private static let namesFile = "class_names.txt"

  public let name: String
  public let count: Int
  public let classes: [String]
  public let height = STL10.size
  public let width = STL10.size
  public let framing = EvaluationFraming.centre
  private let files: RecordFiles
  /// 1 to 10, of the first images; those after them have none.
  private let labels: [UInt8]

  /// Whether a directory's file names are those of this format.
  static func recognises(_ names: [String]) -> Bool { names.contains { required.contains($0) || $0 == unlabelled } }

  /// The training split is that of the study: the labelled images, then the unlabelled ones where they are there.
  /// - Throws: `ImageError`, `FileError`.
  static func open(directory: String, names: [String], limit: Int?) throws -> DatasetSplits {
    for file in required where !names.contains(file) {
      throw ImageError.missingFile(path: directory, file: file, of: required)
    }
    let classes = try classNames(directory: directory, names: names)
    func split(_ split: String, _ imageFiles: [String]) throws -> STL10 {
      try STL10(
        name: "stl-10 \(split)", images: imageFiles.map { directory + "/" + $0 },
        labels: "\(directory)/\(split)_y.bin", classes: classes, limit: limit)
    }
    let hasUnlabelled = names.contains(unlabelled)
    return DatasetSplits(
      train: try split("train", ["train_X.bin"] + (hasUnlabelled ? [unlabelled] : [])),
      test: try split("test", ["test_X.bin"]),
      notes: hasUnlabelled ? [] : ["\(directory): has no \(unlabelled); training is on the labelled images alone"])
  }

  /// - Parameters:
  ///   - images: paths of image files, one after the other.
  ///   - labels: path of the labels of the first one's.
  /// - Throws: `ImageError` for a file that is no whole number of images, and labels that are too few, too many or none
  ///   of the classes; `FileError` for a file that cannot be read.
  public init(name: String, images: [String], labels: String, classes: [String], limit: Int? = nil) throws {
    files = try RecordFiles(images, recordBytes: Self.imageBytes) { file, bytes in
      guard bytes > 0, bytes.isMultiple(of: Self.imageBytes) else {
        throw ImageError.badSize(
          file: file.path, bytes: bytes, imageBytes: Self.imageBytes,
          whole: Self.publishedImages(file.path) * Self.imageBytes)
      }
    }
    self.name = name
    self.classes = classes
    self.labels = try Self.readLabels(labels, of: images[0], images: files.countOfFirst, classes: classes.count)
    count = min(files.count, limit ?? .max)
  }

  /// How many images the published file of that name has.
  private static func publishedImages(_ path: String) -> Int {
    path.hasSuffix("train_X.bin") ? 5_000 : path.hasSuffix("test_X.bin") ? 8_000 : 100_000
  }

  private static func readLabels(_ path: String, of imageFile: String, images: Int, classes: Int) throws -> [UInt8] {
    let bytes = try OpenFile(reading: path).size()
    guard bytes == images else {
      throw ImageError.badLabelCount(file: path, labels: bytes, imageFile: imageFile, images: images)
    }
    let labels = try OpenFile.bytes(of: path, atMost: images)
    if let bad = labels.firstIndex(where: { !(1...classes).contains(Int($0)) }) {
      throw ImageError.badLabel(file: path, record: bad, label: Int(labels[bad]), expected: 1...classes)
    }
    return labels
  }

  public func copyImage(_ index: Int, into rgb: UnsafeMutablePointer<UInt8>) throws {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    try files.withRecord(index) { record in
      for channel in 0..<3 {
        let plane = record.baseAddress! + channel * Self.planeBytes
        for x in 0..<Self.size {
          var into = rgb + (3 * x + channel)
          for y in 0..<Self.size {
            into.pointee = plane.load(fromByteOffset: x * Self.size + y, as: UInt8.self)
            into += 3 * Self.size
          }
        }
      }
    }
  }

  public func label(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    return index < labels.count ? Int(labels[index]) - 1 : -1
  }

  /// The names in class_names.txt, one a line; STL-10's own where that file is absent or has others than ten.
  private static func classNames(directory: String, names: [String]) throws -> [String] {
    guard names.contains(namesFile) else { return defaultClasses }
    let text = try smallText(directory + "/" + namesFile)
    let found = text.split(whereSeparator: \.isWhitespace).map(String.init)
    return found.count == defaultClasses.count ? found : defaultClasses
  }
}
