import Files
import Foundation
import Images
import XCTest

final class STL10Tests: XCTestCase {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures/"
  private var directory = ""

  override func setUpWithError() throws {
    directory = NSTemporaryDirectory() + "byol-stl10-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try? FileManager.default.removeItem(atPath: directory) }

  private func write(_ name: String, _ bytes: [UInt8]) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
  }

  /// What image `number` has at a place: no two of column, row, channel and number can be mixed up.
  private static func value(_ number: Int, x: Int, y: Int, channel: Int) -> UInt8 {
    UInt8((x + 3 * y + 60 * channel + 17 * number) % 256)
  }

  /// A file of images: planes of columns.
  private func images(_ numbers: Range<Int>) -> [UInt8] {
    numbers.flatMap { number in
      (0..<3).flatMap { channel in
        (0..<96).flatMap { x in (0..<96).map { y in Self.value(number, x: x, y: y, channel: channel) } }
      }
    }
  }

  private func writeAll() throws {
    try write("train_X.bin", images(0..<3))
    try write("train_y.bin", [1, 10, 4])
    try write("test_X.bin", images(10..<12))
    try write("test_y.bin", [2, 9])
    try write("unlabeled_X.bin", images(20..<24))
  }

  private func message(_ limit: Int? = nil) -> String {
    do {
      _ = try DatasetSource.open(directory, seed: 0, limit: limit)
      return "opened"
    } catch { return "\(error)" }
  }

  private static func image(_ set: any ImageDataset, _ index: Int) throws -> [UInt8] {
    var rgb = [UInt8](repeating: 0, count: 96 * 96 * 3)
    try set.copyImage(index, into: &rgb)
    return rgb
  }

  private func expected(_ number: Int) -> [UInt8] {
    (0..<96).flatMap { y in
      (0..<96).flatMap { x in (0..<3).map { Self.value(number, x: x, y: y, channel: $0) } }
    }
  }

  func testTrainingImagesAreTheLabelledThenTheUnlabelled() throws {
    try writeAll()
    let splits = try DatasetSource.open(directory, seed: 0)
    XCTAssertEqual(splits.train.count, 7)
    XCTAssertEqual((0..<7).map(splits.train.label), [0, 9, 3, -1, -1, -1, -1])
    XCTAssertEqual([splits.train.height, splits.train.width], [96, 96])
    for (index, number) in [(0, 0), (2, 2), (3, 20), (6, 23), (1, 1)] {
      XCTAssert(try Self.image(splits.train, index) == expected(number), "image \(index)")
    }
    XCTAssertEqual(splits.test.count, 2)
    XCTAssertEqual((0..<2).map(splits.test.label), [1, 8])
    XCTAssert(try Self.image(splits.test, 1) == expected(11))
    XCTAssertEqual(splits.test.classes[7], "monkey")
    let few = try DatasetSource.open(directory, seed: 0, limit: 2)
    XCTAssertEqual([few.train.count, few.test.count], [2, 2])

    try FileManager.default.removeItem(atPath: directory + "/unlabeled_X.bin")
    try write("class_names.txt", Array("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n".utf8))
    let labelled = try DatasetSource.open(directory, seed: 0).train
    XCTAssertEqual(labelled.count, 3)
    XCTAssertEqual(labelled.classes.last, "j")
  }

  func testThreadsReadTheSameImages() throws {
    try writeAll()
    let set = try DatasetSource.open(directory, seed: 0).train
    let wanted = try (0..<7).map { try Self.image(set, $0) }
    DispatchQueue.concurrentPerform(iterations: 70) { turn in
      XCTAssert((try? Self.image(set, turn % 7)) == wanted[turn % 7])
    }
  }

  func testWhatIsWrongIsNamed() throws {
    try writeAll()
    let (train, labels) = (directory + "/train_X.bin", directory + "/train_y.bin")
    try write("train_X.bin", images(0..<3).dropLast(5))
    XCTAssertEqual(
      message(),
      "\(train): has 82939 bytes; expected a multiple of 27648, the bytes of an image; the published file has 138240000"
    )
    try write("train_X.bin", [])
    XCTAssert(message().hasPrefix("\(train): has 0 bytes; expected a multiple of 27648"), message())
    try write("train_X.bin", images(0..<2))
    XCTAssertEqual(message(), "\(labels): has 3 bytes; expected 2, a label for each image of \(train)")
    try write("train_X.bin", images(0..<3))
    try write("unlabeled_X.bin", Array(repeating: 0, count: 27649))
    XCTAssertEqual(
      message(),
      "\(directory)/unlabeled_X.bin: has 27649 bytes; expected a multiple of 27648, the bytes of an image; the published "
        + "file has 2764800000")
    try write("unlabeled_X.bin", images(0..<1))
    for label: UInt8 in [0, 11] {
      try write("test_y.bin", [2, label])
      XCTAssertEqual(message(), "\(directory)/test_y.bin: record 1 has label \(label); expected 1 to 10")
    }
    for name in ["test_y.bin", "train_X.bin"] {
      try FileManager.default.removeItem(atPath: directory + "/" + name)
      XCTAssertEqual(
        message(),
        "data \(directory): has no \(name); expected train_X.bin, train_y.bin, test_X.bin, test_y.bin there")
    }
    try FileManager.default.createDirectory(atPath: train, withIntermediateDirectories: false)
    try write("test_y.bin", [2, 3])
    XCTAssertEqual(message(), "\(train): is a directory; should be a regular file")
  }

  /// A disk that fails in the middle of a run, here a file that is cut back: the loader says so instead of waiting.
  func testAnImageThatCannotBeReadAnyMoreEndsTheLoader() throws {
    try writeAll()
    let set = try DatasetSource.open(directory, seed: 0).train
    let sampler = try ShardedSampler(count: 7, batch: 7, rank: 0, ranks: 1, shuffle: false, seed: 0)
    try write("unlabeled_X.bin", images(20..<22))
    for workers in [0, 2] {
      let loader = ViewLoader(
        dataset: set, sampler: sampler, recipe: ViewRecipe(policy: .none, imageSize: 32, seed: 0), startStep: 0,
        endStep: 3, workers: workers, ahead: 1)
      defer { loader.stop() }
      for _ in 0..<2 {
        XCTAssertThrowsError(try loader.next()) {
          XCTAssert("\($0)".hasPrefix("\(directory)/unlabeled_X.bin: ends before byte "), "\($0)")
        }
      }
    }
  }

  /// Against torchvision's reader, Resize and CenterCrop (Fixtures/make_stl10.py).
  func testImagesAndEvaluationAreTorchvisions() throws {
    let file = try SafetensorsFile(path: Self.fixtures + "stl10.safetensors")
    let splits = try DatasetSource.open(Self.fixtures + "stl10", seed: 0)
    XCTAssertEqual((0..<2).map(splits.train.label), [6, -1])
    for index in 0..<2 {
      XCTAssert(
        try Self.image(splits.train, index).map(Int64.init) == file.integers("train.\(index)"), "image \(index)")
    }
    for size in [96, 64] {
      var floats = [Float](repeating: .nan, count: size * size * 3)
      try evaluationImages(
        splits.test, samples: 0..<1, imageSize: size, into: &floats,
        scratch: evaluationScratch(splits.test, imageSize: size))
      let (found, wanted) = (Normalisation.bytes(floats).map(Int64.init), try file.integers("evaluation.\(size)"))
      XCTAssertEqual(found.count, wanted.count)
      let differing = zip(found, wanted).count { $0 != $1 }
      XCTAssertEqual(differing, 0, "bytes of \(size) x \(size)")
    }
  }
}
