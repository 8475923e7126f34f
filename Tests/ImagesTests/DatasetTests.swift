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
    try write("data_batch_2.bin", records(2, label: { _ in 9 }))
    try write("data_batch_1.bin", records(3))
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
      "data \(directory): no known format: found nothing; expected CIFAR-10's data_batch_1.bin to 5 and "
        + "test_batch.bin, or STL-10's train_X.bin, train_y.bin, test_X.bin, test_y.bin")
    try write("notes.txt", Data())
    XCTAssert(message().contains("found notes.txt;"), message())
    try write("data_batch_1.bin", records(2))
    XCTAssertEqual(message(), "data \(directory): has no test split; expected test_batch.bin there")
    XCTAssertEqual(
      message(directory + "/data_batch_1.bin"),
      "data \(directory)/data_batch_1.bin: is one file of CIFAR-10; should be its folder, \(directory)")
    XCTAssertEqual(message(limit: 0), "an image limit of 0 leaves nothing; expected at least 1")
    try write("test_batch.bin", records(3, label: { $0 == 2 ? 10 : 0 }))
    XCTAssertEqual(message(), "\(directory)/test_batch.bin: record 2 has label 10; expected 0 to 9")
    try write("test_batch.bin", records(3).dropLast(73))
    XCTAssertEqual(message(), "\(directory)/test_batch.bin: record 2 is cut short: 3000 of 3073 bytes")
    try write("test_batch.bin", Data())
    XCTAssertEqual(message(), "\(directory)/test_batch.bin: holds no record; expected records of 3073 bytes")
    try FileManager.default.removeItem(atPath: directory + "/data_batch_1.bin")
    XCTAssertEqual(
      message(), "data \(directory): has no train split; expected data_batch_1.bin to data_batch_5.bin there")
  }

  func testAFileThatCannotBeReadIsNamed() throws {
    try write("data_batch_1.bin", records(1))
    try FileManager.default.createDirectory(
      atPath: directory + "/test_batch.bin", withIntermediateDirectories: false)
    XCTAssert(message().hasPrefix("\(directory)/test_batch.bin: is "), message())
  }

  /// The format's own names alone are used, and what is missing or left over is said.
  func testTheFormatsOwnNames() throws {
    try write("test_batch.bin", records(2))
    func opened(_ names: String...) throws -> (count: Int, notes: [String]) {
      for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name != "test_batch.bin" {
        try FileManager.default.removeItem(atPath: directory + "/" + name)
      }
      for name in names { try write(name, records(2)) }
      let splits = try DatasetSource.open(directory, seed: 0)
      return (splits.train.count, splits.notes)
    }
    let whole = (1...5).map { "data_batch_\($0).bin" }
    XCTAssertEqual(try opened(whole[0], whole[1], whole[2], whole[3], whole[4]).notes, [])
    XCTAssertEqual(
      try opened(whole[0], whole[1]).notes,
      ["\(directory): 2 of CIFAR-10's 5 training files are there, up to data_batch_2.bin"])
    for other in [
      "data_batch_1 (1).bin", "data_batch_10.bin", "data_batch_.bin", "test_batch (1).bin", "x.bin", "X.BIN",
    ] {
      let (count, notes) = try opened(whole[0], whole[1], whole[2], whole[3], whole[4], other)
      XCTAssertEqual(count, 10, other)
      XCTAssertEqual(notes, ["\(directory): not used, since they are none of CIFAR-10's files: \(other)"])
    }
    for missing in 0..<4 {
      let names = whole.indices.filter { $0 != missing }.map { whole[$0] }
      XCTAssertThrowsError(try opened(names[0], names[1], names[2], names[3])) {
        XCTAssertTrue("\($0)".contains("and no \(whole[missing]); should be all of"), "\($0)")
      }
    }
    XCTAssertThrowsError(try opened(whole[0], "train_X.bin")) {
      XCTAssertTrue("\($0)".contains("holds files of both CIFAR-10 and STL-10; should be"), "\($0)")
    }
  }

  /// What people hand over by mistake is told for what it is.
  func testOtherThingsAreToldForWhatTheyAre() throws {
    let empty = Data()
    let folders: [(String, [String], String)] = [
      ("python", ["batches.meta", "data_batch_1", "data_batch_2", "test_batch"], "CIFAR-10's Python version"),
      ("matlab", ["batches.meta.mat", "data_batch_1.mat", "test_batch.mat"], "CIFAR-10's Matlab version"),
      ("hundred", ["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"], "CIFAR-100's binary"),
      ("hundred-python", ["train", "test", "meta"], "CIFAR-100's Python version"),
      ("hundred-matlab", ["train.mat", "test.mat", "meta.mat"], "CIFAR-100's Matlab version"),
      ("both", ["data_batch_1.bin", "test_batch.bin", "train.bin", "test.bin"], "both CIFAR-10 and CIFAR-100"),
      ("digits", ["test_batch.bin", "train-images-idx3-ubyte"], "both CIFAR-10 and MNIST's kind"),
      ("stl-matlab", ["train.mat", "test.mat", "unlabeled.mat"], "STL-10's Matlab version"),
      ("mnist", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"], "IDX files"),
      ("shards", ["train-000000.tar", "train-000001.tar"], "tar files"),
      ("download", ["cifar-10-binary.tar.gz"], "holds the archive cifar-10-binary.tar.gz"),
      ("capitals", ["DATA_BATCH_1.BIN", "TEST_BATCH.BIN"], "small letters, data_batch_1.bin"),
      ("photographs", ["IMG_1.JPG", "b.png"], "image files such as IMG_1.JPG"),
    ]
    for (name, files, text) in folders {
      try FileManager.default.createDirectory(atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
      for file in files { try write("\(name)/\(file)", empty) }
      let message = message("\(directory)/\(name)")
      XCTAssertTrue(message.contains(text) && message.contains("should be"), message)
      XCTAssertFalse(message.contains("\n"))
    }
    try FileManager.default.createDirectory(
      atPath: directory + "/up/down/cifar", withIntermediateDirectories: true)
    try write("up/down/cifar/data_batch_1.bin", records(1))
    for path in ["/up/down", "/up", "/up/"] {
      XCTAssertTrue(
        message(directory + path).contains(
          "the folder above CIFAR-10's files; should be --data \(directory)/up/down/cifar"),
        message(directory + path))
    }
    try FileManager.default.createDirectory(atPath: directory + "/classes/cat", withIntermediateDirectories: true)
    try write("classes/cat/1.jpeg", empty)
    XCTAssertTrue(message(directory + "/classes").contains("image files such as cat/1.jpeg"))
    try write("a.tar.gz", empty)
    try write("b.tar", empty)
    try write("c.txt", empty)
    try FileManager.default.createSymbolicLink(atPath: directory + "/link", withDestinationPath: "/nowhere")
    mkfifo(directory + "/fifo", 0o600)
    for (path, text) in [
      (directory + "/a.tar.gz", "is an archive; should be the folder that it unpacks to"),
      (directory + "/b.tar", "is a tar file"), (directory + "/c.txt", "is a file; should be a folder"),
      (directory + "/link", "is a link to nothing"), (directory + "/fifo", "is no file and no folder"),
      ("~/data", "no shell has replaced"), ("file:///data", "is an address"), ("s3://bucket/data", "is an address"),
      ("/dev/null", "is no file and no folder"), (directory + "/c.txt/below", "nothing is there"),
    ] { XCTAssertTrue(message(path).contains(text), message(path)) }
  }

  // MARK: - The digest

  private func digest(_ train: [(String, Data)], test: Data? = nil) throws -> String {
    for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
      try FileManager.default.removeItem(atPath: directory + "/" + name)
    }
    for (name, data) in train { try write(name, data) }
    try write("test_batch.bin", test ?? records(4))
    return try DatasetSource.open(directory, seed: 0).digest()
  }

  func testTheDigestIsOfTheImages() throws {
    let (one, two) = ("data_batch_1.bin", "data_batch_2.bin")
    let all = records(50)
    let whole = try digest([(one, all)])
    XCTAssertTrue(whole.hasPrefix("train 50 test 4 "), whole)
    XCTAssertEqual(whole.count, "train 50 test 4 ".count + 16)
    let cut = 20 * CIFAR10.recordBytes
    XCTAssertEqual(try digest([(one, all.prefix(cut)), (two, all.dropFirst(cut))]), whole, "cut into other files")
    func changed(_ offset: Int, _ data: Data) -> Data {
      var data = data
      data[data.startIndex + offset] ^= 1
      return data
    }
    let record = CIFAR10.recordBytes
    let others: [(String, Data, Data?)] = [
      ("one less", all.dropLast(record), nil), ("the first image", changed(5, all), nil),
      ("the last image", changed(49 * record + 3000, all), nil), ("a label", changed(30 * record, all), nil),
      ("another order", Data(all.dropFirst(record)) + all.prefix(record), nil), ("the test split", all, records(5)),
      ("a test image", all, changed(record + 9, records(4))), ("a test label", all, changed(2 * record, records(4))),
    ]
    for (what, train, test) in others { XCTAssertNotEqual(try digest([(one, train)], test: test), whole, what) }
    XCTAssertNotEqual(
      try DatasetSource.open("shapes", seed: 1).digest(), try DatasetSource.open("shapes", seed: 2).digest())
  }

  func testAFileThatIsCutShortMeanwhileIsAnError() throws {
    try write("data_batch_1.bin", records(8))
    try write("test_batch.bin", records(2))
    let splits = try DatasetSource.open(directory, seed: 0)
    XCTAssertEqual(truncate(directory + "/data_batch_1.bin", off_t(3 * CIFAR10.recordBytes + 10)), 0)
    var rgb = [UInt8](repeating: 0, count: 3072)
    XCTAssertNoThrow(try splits.train.copyImage(2, into: &rgb))
    XCTAssertThrowsError(try splits.train.copyImage(3, into: &rgb)) {
      XCTAssertTrue("\($0)".hasPrefix("\(directory)/data_batch_1.bin: ends before byte"), "\($0)")
    }
    XCTAssertEqual(splits.train.label(7), 7, "labels were read at the start")
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
