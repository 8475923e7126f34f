import Files
import Foundation

/// Images in CIFAR-10's binary format (Krizhevsky 2009): records of a label byte and 32x32 red, green and blue planes,
/// any number of them in a file.
public struct CIFAR10: ImageDataset {
  public static let recordBytes = 1 + 3 * planeBytes
  private static let planeBytes = 32 * 32
  private static let defaultClasses = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
  ]

  public let name: String
  public let count: Int
  public let classes: [String]
  public let height = 32
  public let width = 32
  /// Whole files, in order, and the index of each one's first image.
  private let files: [Data]
  private let firsts: [Int]

  /// Whether a directory's file names are those of this format.
  static func recognises(_ names: [String]) -> Bool { names.contains { isTrain($0) || $0 == "test_batch.bin" } }

  private static func isTrain(_ name: String) -> Bool { name.hasPrefix("data_batch_") && name.hasSuffix(".bin") }

  static func open(directory: String, names: [String], limit: Int?) throws -> DatasetSplits {
    let train = names.filter(isTrain).sorted { $0.localizedStandardCompare($1) == .orderedAscending }
    guard !train.isEmpty else {
      throw ImageError.missingSplit(path: directory, split: "train", expected: "data_batch_*.bin")
    }
    guard names.contains("test_batch.bin") else {
      throw ImageError.missingSplit(path: directory, split: "test", expected: "test_batch.bin")
    }
    let classes = try classNames(directory: directory, names: names)
    func split(_ split: String, _ files: [String]) throws -> CIFAR10 {
      try CIFAR10(
        name: "cifar-10 \(split)", paths: files.map { directory + "/" + $0 }, classes: classes, limit: limit)
    }
    return DatasetSplits(train: try split("train", train), test: try split("test", ["test_batch.bin"]))
  }

  /// - Throws: `ImageError` for a file that cannot be read, is empty or cut short, or has a label past the classes.
  public init(name: String, paths: [String], classes: [String], limit: Int? = nil) throws {
    var files: [Data] = []
    var firsts: [Int] = []
    var total = 0
    for path in paths {
      let data: Data
      do {
        // Refuses what is no regular file: a FIFO would be waited for.
        _ = try OpenFile(reading: path)
        data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
      } catch {
        throw ImageError.unreadable(path: path, reason: readableReason(error))
      }
      try Self.check(data, path: path, classes: classes.count)
      firsts.append(total)
      files.append(data)
      total += data.count / Self.recordBytes
    }
    self.name = name
    self.classes = classes
    self.files = files
    self.firsts = firsts
    count = min(total, limit ?? .max)
  }

  public func copyImage(_ index: Int, into rgb: UnsafeMutablePointer<UInt8>) {
    withRecord(index) { record in
      let planes = record + 1
      for pixel in 0..<Self.planeBytes {
        rgb[3 * pixel] = planes[pixel]
        rgb[3 * pixel + 1] = planes[pixel + Self.planeBytes]
        rgb[3 * pixel + 2] = planes[pixel + 2 * Self.planeBytes]
      }
    }
  }

  public func label(_ index: Int) -> Int { withRecord(index) { Int($0[0]) } }

  private func withRecord<Result>(_ index: Int, _ body: (UnsafePointer<UInt8>) -> Result) -> Result {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    var file = firsts.count - 1
    while firsts[file] > index { file -= 1 }
    return files[file].withUnsafeBytes { bytes in
      body(bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) + (index - firsts[file]) * Self.recordBytes)
    }
  }

  private static func check(_ data: Data, path: String, classes: Int) throws {
    let records = data.count / recordBytes
    let rest = data.count % recordBytes
    if data.isEmpty { throw ImageError.empty(file: path, recordBytes: recordBytes) }
    try data.withUnsafeBytes { bytes in
      for record in 0..<records where Int(bytes[record * recordBytes]) >= classes {
        throw ImageError.badLabel(
          file: path, record: record, label: Int(bytes[record * recordBytes]), expected: 0...classes - 1)
      }
    }
    if rest != 0 { throw ImageError.truncated(file: path, record: records, bytes: rest, expected: recordBytes) }
  }

  /// The names in batches.meta.txt, one a line; CIFAR-10's own where that file is absent.
  private static func classNames(directory: String, names: [String]) throws -> [String] {
    guard names.contains("batches.meta.txt") else { return defaultClasses }
    let path = directory + "/batches.meta.txt"
    let bytes: [UInt8]
    do { bytes = try OpenFile.bytes(of: path, atMost: 1 << 16) } catch {
      throw ImageError.unreadable(path: path, reason: readableReason(error))
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
    let found = lines.filter { !$0.isEmpty }
    // Labels are CIFAR-10's ten whatever this file lacks.
    return found.count == defaultClasses.count ? found : defaultClasses
  }
}
