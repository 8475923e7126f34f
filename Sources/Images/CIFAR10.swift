import Files

/// Images in CIFAR-10's binary format (Krizhevsky 2009): records of a label byte and 32 x 32 red, green and blue planes,
/// any number of them in a file.
public struct CIFAR10: ImageDataset {
  public static let recordBytes = 1 + 3 * planeBytes
  private static let planeBytes = 32 * 32
  private static let defaultClasses = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
  ]
  /// The published files, in order.
  static let trainFiles = (1...5).map { "data_batch_\($0).bin" }
  static let testFile = "test_batch.bin"
  private static let namesFile = "batches.meta.txt"

  public let name: String
  public let count: Int
  public let classes: [String]
  public let height = 32
  public let width = 32
  private let files: RecordFiles
  private let labels: [UInt8]

  /// Whether a directory's file names are those of this format.
  static func recognises(_ names: [String]) -> Bool { names.contains { trainFiles.contains($0) || $0 == testFile } }

  /// The first training files alone are a smaller data set of its own, and said to be; one that is missing between others is
  /// a mistake.
  static func open(directory: String, names: [String], limit: Int?) throws -> DatasetSplits {
    let train = trainFiles.filter(names.contains)
    guard let last = train.last else {
      throw ImageError.missingSplit(path: directory, split: "train", expected: "\(trainFiles[0]) to \(trainFiles[4])")
    }
    if let missing = trainFiles.first(where: { !train.contains($0) }), missing < last {
      throw ImageError.mistaken(
        path: directory, found: "has \(last) and no \(missing)", right: "all of \(trainFiles[0]) to \(last)")
    }
    guard names.contains(testFile) else {
      throw ImageError.missingSplit(path: directory, split: "test", expected: testFile)
    }
    let classes = try classNames(directory: directory, names: names)
    func split(_ split: String, _ files: [String]) throws -> CIFAR10 {
      try CIFAR10(
        name: "cifar-10 \(split)", paths: files.map { directory + "/" + $0 }, classes: classes, limit: limit)
    }
    var notes: [String] = []
    if train.count < trainFiles.count {
      notes.append("\(directory): \(train.count) of CIFAR-10's 5 training files are there, up to \(last)")
    }
    return DatasetSplits(train: try split("train", train), test: try split("test", [testFile]), notes: notes)
  }

  /// - Throws: `FileError` for a file that cannot be read; `ImageError` for one that is empty or cut short, or has a label
  ///   past the classes.
  public init(name: String, paths: [String], classes: [String], limit: Int? = nil) throws {
    var labels: [UInt8] = []
    files = try RecordFiles(paths, recordBytes: Self.recordBytes) { file, bytes in
      labels += try Self.labels(of: file, bytes: bytes, classes: classes.count)
    }
    self.name = name
    self.classes = classes
    self.labels = labels
    count = min(files.count, limit ?? .max)
  }

  public func copyImage(_ index: Int, into rgb: UnsafeMutablePointer<UInt8>) throws {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    try files.withRecord(index) { record in
      for pixel in 0..<Self.planeBytes {
        rgb[3 * pixel] = record[1 + pixel]
        rgb[3 * pixel + 1] = record[1 + pixel + Self.planeBytes]
        rgb[3 * pixel + 2] = record[1 + pixel + 2 * Self.planeBytes]
      }
    }
  }

  public func label(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    return Int(labels[index])
  }

  /// A file's labels, read a few hundred records at a time.
  private static func labels(of file: OpenFile, bytes: Int, classes: Int) throws -> [UInt8] {
    if bytes == 0 { throw ImageError.empty(file: file.path, recordBytes: recordBytes) }
    let records = bytes / recordBytes
    let atOnce = 256
    var labels: [UInt8] = []
    labels.reserveCapacity(records)
    var chunk = [UInt8](repeating: 0, count: atOnce * recordBytes)
    for first in stride(from: 0, to: records, by: atOnce) {
      let some = min(atOnce, records - first)
      try chunk.withUnsafeMutableBytes {
        try file.read(
          at: first * recordBytes, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<(some * recordBytes)]))
      }
      labels += (0..<some).map { chunk[$0 * recordBytes] }
    }
    if let bad = labels.firstIndex(where: { Int($0) >= classes }) {
      throw ImageError.badLabel(file: file.path, record: bad, label: Int(labels[bad]), expected: 0...classes - 1)
    }
    let rest = bytes % recordBytes
    if rest != 0 { throw ImageError.truncated(file: file.path, record: records, bytes: rest, expected: recordBytes) }
    return labels
  }

  /// The names in batches.meta.txt, one a line; CIFAR-10's own where that file is absent or names others than ten.
  private static func classNames(directory: String, names: [String]) throws -> [String] {
    guard names.contains(namesFile) else { return defaultClasses }
    let lines = try smallText(directory + "/" + namesFile).split(whereSeparator: \.isNewline)
    let found = lines.map { String($0).trimmedOfSpaces }.filter { !$0.isEmpty }
    // Labels are CIFAR-10's ten whatever this file lacks.
    return found.count == defaultClasses.count ? found : defaultClasses
  }
}
