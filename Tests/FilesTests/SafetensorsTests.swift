import Files
import Foundation
import XCTest

final class SafetensorsTests: XCTestCase {
  let directory = TemporaryDirectory()

  func testReadsEveryTypeThatTheReferenceLibraryWrote() throws {
    let file = try SafetensorsFile(path: fixture("types.safetensors"))
    XCTAssertEqual(file.metadata, ["format": "pt", "note": "a \"quoted\" é"])
    XCTAssertEqual(file.names.count, 12)
    XCTAssertEqual(try file.shape("online.encoder.conv1.weight"), [2, 3, 2, 2])
    XCTAssertEqual(try file.floats("online.encoder.conv1.weight"), (0..<24).map { Float($0) / 7 })
    XCTAssertEqual(try file.floats("half"), [0, 1, -2.5, 65504, 0.099975586, -3])
    XCTAssertEqual(try file.floats("brain"), [0, 1, -2.5, 3.140625])
    XCTAssertEqual(try file.doubles("double"), [0.1, -1e300])
    XCTAssertEqual(try file.floats("double"), [0.1, -.infinity])
    XCTAssertEqual(try file.integers("long"), [1 << 62 + 1, -5])
    XCTAssertEqual(try file.integers("int"), [Int64(Int32.max), Int64(Int32.min)])
    XCTAssertEqual(try file.floats("short"), [-7, 300])
    XCTAssertEqual(try file.integers("byte"), [0, 255, 7])
    XCTAssertEqual(try file.integers("signed"), [-128, 127])
    XCTAssertEqual(try file.integers("flags"), [1, 0, 1])
    XCTAssertEqual(try file.shape("steps"), [])
    XCTAssertEqual(try file.integers("steps"), [12345])
    XCTAssertEqual(try file.shape("empty"), [0, 4])
    XCTAssertEqual(try file.floats("empty"), [])
  }

  func testWrongQuestionsNameFileAndTensor() throws {
    let path = fixture("types.safetensors")
    let file = try SafetensorsFile(path: path)
    XCTAssertEqual(message { try file.floats("absent") }, "\(path): has no tensor \"absent\"")
    XCTAssertEqual(
      message { try file.integers("half") }, "\(path): tensor \"half\" is of type F16, not of an integer type")
    var five = [Float](repeating: 0, count: 5)
    XCTAssertEqual(
      message { try five.withUnsafeMutableBufferPointer { try file.read("half", into: $0) } },
      "\(path): tensor \"half\" of shape [2, 3] has 6 elements, not 5")
  }

  /// Three tensors from three kinds of sources, in two orders of adding.
  private func write(_ name: String, reversed: Bool = false) throws -> String {
    let floats = UnsafeMutablePointer<Float>.allocate(capacity: 6)
    defer { floats.deallocate() }
    for i in 0..<6 { floats[i] = Float(i) + 0.25 }
    let parts: [(inout SafetensorsWriter) -> Void] = [
      { $0.add("b.weight", shape: [2, 3], floats: floats) },
      { $0.add("a.filled", shape: [3]) { target in for i in 0..<3 { target[i] = -Float(i) } } },
      { $0.add("z.step", shape: [], values: [Int64(7)]) },
      { $0.add("hash", values: [UInt64.max]) },
      { $0.add("mean", values: [0.1, 0.2]) },
    ]
    var writer = SafetensorsWriter(metadata: ["format": "pt", "a": "b"])
    for part in reversed ? parts.reversed() : parts { part(&writer) }
    let stamp = try writer.write(to: directory(name))
    XCTAssertEqual(stamp, try FileStamp.of(file: directory(name)))
    return directory(name)
  }

  func testWritesWhatItReads() throws {
    let file = try SafetensorsFile(path: try write("x.safetensors"))
    XCTAssertEqual(try file.floats("b.weight"), [0.25, 1.25, 2.25, 3.25, 4.25, 5.25])
    XCTAssertEqual(try file.floats("a.filled"), [0, -1, -2])
    XCTAssertEqual(try file.integers("z.step"), [7])
    XCTAssertEqual(try file.shape("z.step"), [])
    XCTAssertEqual(try file.unsignedIntegers("hash"), [.max])
    XCTAssertEqual(try file.doubles("mean"), [0.1, 0.2])
    XCTAssertTrue(message { try file.integers("hash") }.contains("beyond 64-bit signed"))
    for (name, entry) in file.tensors { XCTAssertEqual(entry.bytes.lowerBound % (entry.type?.width ?? 0), 0, name) }
  }

  func testBytesDoNotDependOnTheOrderOfAdding() throws {
    let one = try Data(contentsOf: URL(fileURLWithPath: try write("one")))
    let other = try Data(contentsOf: URL(fileURLWithPath: try write("other", reversed: true)))
    XCTAssertEqual(one, other)
    XCTAssertEqual(one[0] % 8, 0, "the data begin at a multiple of 8")
  }

  func testTheReferenceLibraryReadsWhatIsWritten() throws {
    let python = try pythonWithSafetensors()
    let program = """
      import sys, numpy as np
      from safetensors.numpy import load_file
      from safetensors import safe_open
      t = load_file(sys.argv[1])
      assert sorted(t) == ['a.filled', 'b.weight', 'hash', 'mean', 'z.step'], sorted(t)
      assert t['b.weight'].dtype == np.float32 and t['b.weight'].tolist() == [[0.25, 1.25, 2.25], [3.25, 4.25, 5.25]]
      assert t['a.filled'].tolist() == [0, -1, -2] and t['z.step'].shape == () and t['z.step'] == 7
      assert t['hash'][0] == 2**64 - 1 and t['mean'].tolist() == [0.1, 0.2]
      assert safe_open(sys.argv[1], 'np').metadata() == {'format': 'pt', 'a': 'b'}
      """
    let result = try launch(python, ["-c", program, try write("x.safetensors")])
    XCTAssertEqual(result.status, 0, result.output)
  }

  func testWriterRefusesTwoOfANameAndSourcesOfAnotherLength() throws {
    var twice = SafetensorsWriter()
    twice.add("w", values: [Float(1)])
    twice.add("w", values: [Float(2)])
    XCTAssertTrue(message { try twice.write(to: directory("t")) }.hasSuffix("two tensors are called \"w\""))
    var short = SafetensorsWriter()
    short.add("w", type: .float, shape: [2]) { put in try [Float(1)].withUnsafeBytes { try put($0) } }
    XCTAssertTrue(message { try short.write(to: directory("t")) }.hasSuffix("of shape [2] got 4 bytes, not 8"))
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory.path), [])
  }

  // MARK: - Damaged files

  private func open(header: String, data: Int, length: UInt64? = nil) throws -> SafetensorsFile {
    var bytes = withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Data($0) }
    bytes += Data(header.utf8) + Data(count: data)
    try bytes.write(to: URL(fileURLWithPath: directory("bad")))
    return try SafetensorsFile(path: directory("bad"))
  }

  func testEachFaultHasItsLine() throws {
    func fault(_ header: String, data: Int = 8, length: UInt64? = nil) -> String {
      let text = message { try open(header: header, data: data, length: length) }
      XCTAssertTrue(text.hasPrefix(directory("bad") + ": "), text)
      XCTAssertFalse(text.contains("\n"), text)
      return String(text.dropFirst(directory("bad").count + 2))
    }
    let good = #"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
    XCTAssertNoThrow(try open(header: good + "   ", data: 8))
    XCTAssertEqual(
      fault(good, data: 7), "tensor \"w\" ends at byte 8 of the data, where the file has 7: cut short?")
    XCTAssertEqual(fault(good, data: 9), "the last 1 bytes belong to no tensor")
    XCTAssertTrue(fault(good, length: 1 << 63).contains("a header of 9223372036854775808 bytes"))
    XCTAssertTrue(fault(good, length: 1000).hasPrefix("is cut short: a header of 1000 bytes"))
    XCTAssertTrue(fault("[1,2]").contains("no JSON header"))
    XCTAssertTrue(fault(String(good.dropLast())).hasPrefix("bad safetensors header: not valid JSON at byte"))
    XCTAssertTrue(fault(#"{"w":3}"#).contains("is not described by an object"))
    XCTAssertEqual(
      fault(#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#),
      "tensor \"w\" of type F32 and shape [3] needs 12 bytes, not 8")
    XCTAssertTrue(fault(#"{"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#).contains("no shape of whole"))
    XCTAssertTrue(fault(#"{"w":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#).contains("no shape of whole"))
    XCTAssertTrue(fault(#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#).contains("data_offsets"))
    XCTAssertTrue(
      fault(#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}}"#).contains("beyond all"))
    XCTAssertTrue(
      fault(
        #"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#
      )
      .contains("tensor \"v\" overlaps"))
    XCTAssertTrue(
      fault(#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#).contains(
        "4 bytes before tensor \"w\" belong to"))
    XCTAssertTrue(
      fault(
        #"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
      )
      .contains("the name \"w\" is there twice"))
    XCTAssertTrue(fault(#"{"__metadata__":{"a":1}}"#, data: 0).contains("is not a string"))
    XCTAssertTrue(
      message { try SafetensorsFile(path: directory("none")) }.hasSuffix("cannot open: No such file or directory"))
    XCTAssertTrue(
      message { try SafetensorsFile(path: directory.path) }.hasSuffix("is a directory; should be a regular file"))
  }

  /// A type that cannot be read is no fault of the other tensors.
  func testTensorsOfTypesThatCannotBeRead() throws {
    for type in ["F8_E4M3", "F8_E5M2", "F4", "F8_E8M0", "C64", "later", "a \\\"b\\\" c"] {
      let file = try open(
        header: """
          {"odd":{"dtype":"\(type)","shape":[3,2],"data_offsets":[0,3]},\
          "w":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}}
          """, data: 7)
      XCTAssertEqual(file.names, ["odd", "w"])
      XCTAssertEqual(try file.floats("w"), [0])
      XCTAssertEqual(try file.shape("odd"), [3, 2])
      XCTAssertEqual(try file.entry("odd").count, 6)
      XCTAssertEqual(try file.entry("odd").bytes.count, 3)
      XCTAssertNil(try file.firstNotFinite())
      let name = type.contains(" ") ? "\"\(type)\"" : type
      let texts = [
        message { try file.floats("odd") }, message { try file.doubles("odd") }, message { try file.integers("odd") },
      ]
      for text in texts {
        XCTAssertTrue(
          text.contains("tensor \"odd\" is of type \(name), which cannot be read; should be one of BOOL"), text)
      }
      XCTAssertTrue(message { try file.unsignedIntegers("odd") }.contains("not U64"))
    }
    XCTAssertTrue(
      message {
        try open(
          header: #"{"w":{"dtype":"F4","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, data: 8)
      }.contains("beyond all"))
  }

  func testNumbersThatAreNotFiniteAreFound() throws {
    let count = 1 << 18
    for (bad, place) in [(Float.nan, 0), (.infinity, count - 1), (-.infinity, count), (.nan, 2 * count + 4), (1, 5)] {
      var values = [Float](repeating: .greatestFiniteMagnitude, count: 2 * count + 5)
      values[place] = bad
      var writer = SafetensorsWriter()
      writer.add("a", values: [Float(0), -1, .leastNonzeroMagnitude])
      writer.add("b", values: values)
      writer.add("c", values: [UInt64.max])
      try writer.write(to: directory("f"))
      XCTAssertEqual(try SafetensorsFile(path: directory("f")).firstNotFinite(), bad.isFinite ? nil : "b")
    }
  }

  /// Every truncation is an error; every flipped bit of the header is an error or gives tensors that can be read.
  func testNoDamageCrashes() throws {
    let path = try write("damaged")
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    let file = Foundation.open(path, O_RDWR)
    defer { close(file) }
    var refused = 0
    let data = 8 + Int(whole[0]) + Int(whole[1]) << 8
    for place in 0..<data {
      for bit in 0..<8 {
        var byte = whole[place] ^ 1 << bit
        pwrite(file, &byte, 1, off_t(place))
        if let damaged = try? SafetensorsFile(path: path) {
          // A damaged type is one that cannot be read.
          for name in damaged.names {
            XCTAssertTrue(try damaged.entry(name).type == nil || damaged.floats(name).count >= 0)
          }
        } else {
          refused += 1
        }
      }
      var byte = whole[place]
      pwrite(file, &byte, 1, off_t(place))
    }
    XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: path)), whole)
    XCTAssertGreaterThan(refused, data * 4, "most damage to a header shows")
    for length in (0..<whole.count).reversed() {
      ftruncate(file, off_t(length))
      XCTAssertThrowsError(try SafetensorsFile(path: path), "cut to \(length) bytes")
    }
  }

  func testAFileThatShrinksWhileItIsOpenThrows() throws {
    let path = try write("x.safetensors")
    let file = try SafetensorsFile(path: path)
    truncate(path, 64)
    XCTAssertTrue(message { try file.floats("b.weight") }.contains("ends before byte"))
  }
}
