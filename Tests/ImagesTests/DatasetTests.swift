import Foundation
import Images
import XCTest

final class CIFAR10Tests: XCTestCase {
  private var directory = ""

  override func setUpWithError() throws {
    directory = NSTemporaryDirectory() + "byol-images-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  override func tearDownWithError() throws { try? FileManager.default.removeItem(atPath: directory) }

  /// Records whose planes are told apart: red counts up, green down, blue is the record's number.
  private func records(_ count: Int, label: (Int) -> Int = { $0 % 10 }) -> Data {
    var data = Data()
    for record in 0..<count {
      data.append(UInt8(label(record)))
      data.append(contentsOf: (0..<1024).map { UInt8($0 % 256) })
      data.append(contentsOf: (0..<1024).map { UInt8(255 - $0 % 256) })
      data.append(contentsOf: [UInt8](repeating: UInt8(record), count: 1024))
    }
    return data
  }

  private func write(_ name: String, _ data: Data) throws {
    try data.write(to: URL(fileURLWithPath: directory + "/" + name))
  }

  private func message(_ data: String? = nil, limit: Int? = nil) -> String {
    do {
      _ = try DatasetSource.open(data ?? directory, seed: 0, limit: limit)
      return "opened"
    } catch { return "\(error)" }
  }

  func testImagesAndLabelsOfSeveralFilesInOrder() throws {
    try write("data_batch_10.bin", records(2, label: { _ in 9 }))
    try write("data_batch_2.bin", records(3))
    try write("test_batch.bin", records(5))
    try write("batches.meta.txt", Data("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".utf8))
    let splits = try DatasetSource.open(directory, seed: 0)
    XCTAssertEqual(splits.train.count, 5)
    XCTAssertEqual(splits.test.count, 5)
    XCTAssertEqual(splits.train.classes, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"])
    XCTAssertEqual((0..<5).map(splits.train.label), [0, 1, 2, 9, 9])
    var rgb = [UInt8](repeating: 0, count: 3072)
    try splits.train.copyImage(4, into: &rgb)
    for pixel in [0, 1, 37, 1023] {
      XCTAssertEqual(Array(rgb[3 * pixel..<3 * pixel + 3]), [UInt8(pixel % 256), UInt8(255 - pixel % 256), 1])
    }
    XCTAssertEqual(try DatasetSource.open(directory, seed: 0, limit: 4).train.count, 4)
  }

  func testWhatIsWrongIsNamed() throws {
    XCTAssertEqual(
      message("/nowhere/cifar"),
      "data /nowhere/cifar: nothing is there; expected 'shapes' or a directory of CIFAR-10's or STL-10's "
        + "binary files")
    XCTAssertEqual(
      message(),
      "data \(directory): no known format: found nothing; expected CIFAR-10's data_batch_*.bin and "
        + "test_batch.bin, or STL-10's train_X.bin, train_y.bin, test_X.bin, test_y.bin")
    try write("notes.txt", Data())
    XCTAssert(message().contains("found notes.txt;"), message())
    try write("data_batch_1.bin", records(2))
    XCTAssertEqual(message(), "data \(directory): has no test split; expected test_batch.bin there")
    XCTAssertEqual(
      message(directory + "/data_batch_1.bin"),
      "data \(directory)/data_batch_1.bin: is a file; expected the directory that holds CIFAR-10's or STL-10's "
        + "binary files")
    XCTAssertEqual(message(limit: 0), "an image limit of 0 leaves nothing; expected at least 1")
    try write("test_batch.bin", records(3, label: { $0 == 2 ? 10 : 0 }))
    XCTAssertEqual(message(), "\(directory)/test_batch.bin: record 2 has label 10; expected 0 to 9")
    try write("test_batch.bin", records(3).dropLast(73))
    XCTAssertEqual(message(), "\(directory)/test_batch.bin: record 2 is cut short: 3000 of 3073 bytes")
    try write("test_batch.bin", Data())
    XCTAssertEqual(message(), "\(directory)/test_batch.bin: holds no record; expected records of 3073 bytes")
    try FileManager.default.removeItem(atPath: directory + "/data_batch_1.bin")
    XCTAssertEqual(message(), "data \(directory): has no train split; expected data_batch_*.bin there")
  }

  func testAFileThatCannotBeReadIsNamed() throws {
    try write("data_batch_1.bin", records(1))
    try FileManager.default.createDirectory(
      atPath: directory + "/test_batch.bin", withIntermediateDirectories: false)
    XCTAssert(message().hasPrefix("\(directory)/test_batch.bin: cannot be read: "), message())
  }
}

final class ShapesTests: XCTestCase {
  private func image(_ set: Shapes, _ index: Int) -> [UInt8] {
    var rgb = [UInt8](repeating: 0, count: 3072)
    set.copyImage(index, into: &rgb)
    return rgb
  }

  func testAnImageIsAFunctionOfSeedSplitAndIndex() {
    let set = Shapes(seed: 5, split: .train, count: 40)
    let other = Shapes(seed: 5, split: .train, count: 20)
    let late = image(set, 19)
    XCTAssertEqual(image(set, 3), image(other, 3))
    XCTAssertEqual(late, image(other, 19), "whatever was drawn before")
    XCTAssertEqual(late, image(set, 19), "drawn and kept are the same")
    XCTAssertNotEqual(image(set, 3), image(set, 13))
    XCTAssertNotEqual(image(set, 3), image(Shapes(seed: 6, split: .train, count: 20), 3))
    XCTAssertNotEqual(image(set, 3), image(Shapes(seed: 5, split: .test, count: 20), 3))
  }

  func testThreadsSeeTheSameImages() {
    let set = Shapes(seed: 2, split: .test, count: 64)
    let expected = (0..<64).map { image(Shapes(seed: 2, split: .test, count: 64), $0) }
    DispatchQueue.concurrentPerform(iterations: 256) { turn in
      var rgb = [UInt8](repeating: 0, count: 3072)
      set.copyImage(turn % 64, into: &rgb)
      XCTAssertEqual(rgb, expected[turn % 64])
    }
  }

  func testClassesAreBalancedAndNamed() throws {
    let splits = try DatasetSource.open("shapes", seed: 1, limit: 200)
    XCTAssertEqual(splits.test.classes.count, 10)
    for label in 0..<10 { XCTAssertEqual((0..<200).filter { splits.test.label($0) == label }.count, 20) }
  }

  /// A tint may not tell the class. (Brightness says a little: figures are lighter than what is behind them, and forms
  /// differ in area.)
  func testTintDoesNotTellTheClass() {
    let set = Shapes(seed: 1, split: .train, count: 3000)
    for channel in [0, 2] {
      let tints = (0..<set.count).map { index in
        let rgb = image(set, index)
        let sum = stride(from: 0, to: 3072, by: 3).reduce(0) { $0 + Int(rgb[$1 + channel]) - Int(rgb[$1 + 1]) }
        return Double(sum) / 1024
      }
      let overall = tints.reduce(0, +) / 3000
      let deviation = (tints.reduce(0) { $0 + ($1 - overall) * ($1 - overall) } / 3000).squareRoot()
      XCTAssertGreaterThan(deviation, 3, "images differ in tint")
      for label in 0..<10 {
        let mean = (0..<set.count).filter { set.label($0) == label }.reduce(0) { $0 + tints[$1] } / 300
        XCTAssertEqual(mean, overall, accuracy: 5 * deviation / 300.squareRoot(), "class \(label)")
      }
    }
  }
}
