import Files
import Foundation
import XCTest

final class AtomicFileTests: XCTestCase {
  let directory = TemporaryDirectory()

  private func names(_ path: String? = nil) throws -> [String] {
    try AtomicDirectory.entries(of: path ?? directory.path)
  }
  private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  func testWritesAndReplaces() throws {
    let stamp = try AtomicFile.write("123456789", to: directory("a"))
    XCTAssertEqual(stamp.checksum, "crc32:cbf43926", "CRC-32's check value")
    XCTAssertEqual(stamp.bytes, 9)
    try AtomicFile.write("second", to: directory("a"))
    XCTAssertEqual(try text(directory("a")), "second")
    XCTAssertEqual(try names(), ["a"])
  }

  func testAnErrorLeavesTheOldFileAndNothingElse() throws {
    struct Broken: Error {}
    try AtomicFile.write("old", to: directory("a"))
    XCTAssertThrowsError(
      try AtomicFile.write(to: directory("a")) { sink in
        try sink.write("new")
        throw Broken()
      }
    ) { XCTAssertTrue($0 is Broken) }
    XCTAssertEqual(try text(directory("a")), "old")
    XCTAssertEqual(try names(), ["a"])
    let lost = directory("no/such/file")
    XCTAssertEqual(message { try AtomicFile.write("x", to: lost) }, "\(lost): cannot create: No such file or directory")
  }

  func testStamps() throws {
    let long = String(repeating: "abcdefgh", count: 1 << 20)
    try AtomicFile.write(long, to: directory("long"))
    let stamp = try FileStamp.of(file: directory("long"))
    XCTAssertEqual(stamp, FileStamp.of(long))
    XCTAssertEqual(stamp.bytes, 8 << 20)
    XCTAssertEqual(FileStamp(bytes: 8 << 20, checksum: stamp.checksum), stamp)
    XCTAssertNotEqual(FileStamp.of(long.dropLast() + "i"), stamp)
    for bad in ["", "crc32:", "crc32:1234567", "crc32:1234567g", "md5:12345678", "crc32:123456789", "crc32:+1234567"] {
      XCTAssertNil(FileStamp(bytes: 1, checksum: bad), bad)
    }
  }

  func testADirectoryIsCompleteOrAbsent() throws {
    struct Broken: Error {}
    let path = directory("step-1")
    XCTAssertThrowsError(
      try AtomicDirectory.write(to: path) { temporary in
        _ = try AtomicFile.writeSynced(temporary + "/x") { try $0.write("half") }
        XCTAssertFalse(AtomicDirectory.exists(path))
        throw Broken()
      })
    XCTAssertEqual(try names(), [])
    try AtomicDirectory.write(to: path) { _ = try AtomicFile.writeSynced($0 + "/x") { try $0.write("one") } }
    XCTAssertEqual(try text(path + "/x"), "one")
    XCTAssertThrowsError(try AtomicDirectory.write(to: path) { _ in throw Broken() })
    XCTAssertEqual(try text(path + "/x"), "one", "a failed replacement leaves the old one")
    try AtomicDirectory.write(to: path) { _ = try AtomicFile.writeSynced($0 + "/y") { try $0.write("two") } }
    try AtomicDirectory.create(directory(".step-1.replaced/left by a failed removal"))
    try AtomicDirectory.write(to: path) { _ = try AtomicFile.writeSynced($0 + "/y") { try $0.write("three") } }
    XCTAssertEqual(try names(path), ["y"])
    XCTAssertEqual(try names(), ["step-1"])
  }

  func testErrorsInsideANewDirectoryCarryItsRealName() throws {
    let path = directory("step-1")
    XCTAssertEqual(
      message { try AtomicDirectory.write(to: path) { _ = try AtomicFile.writeSynced($0 + "/a/b") { _ in } } },
      "\(path)/a/b: cannot create: No such file or directory")
  }

  func testRecoveryRemovesLeftoversAndPutsBackWhatWasBeingReplaced() throws {
    try AtomicDirectory.create(directory(".step-1.partial-77/deep"))
    try AtomicFile.write("x", to: directory(".config.json.partial-78"))
    try AtomicDirectory.create(directory(".step-2.replaced"))
    try AtomicDirectory.create(directory(".step-3.replaced"))
    try AtomicDirectory.create(directory("step-3/new"))
    // Others' entries, some of which look alike.
    let others = [
      ".hidden", ".a.partial-b", ".step-1.partial-", ".step-1.partial-7x", ".step-1.partial-07",
      ".step-1.partial-7.bak",
      "step-1.partial-7", ".notes.partial-78", ".x.replaced", ".replaced", ".partial-78", ".step-1.partial-٧",
    ]
    for name in others { try AtomicDirectory.create(directory(name)) }
    try AtomicDirectory.recover(in: directory.path) { $0 == "config.json" || $0.hasPrefix("step-") }
    XCTAssertEqual(try names(), (others + ["step-2", "step-3"]).sorted())
    XCTAssertEqual(try names(directory("step-3")), ["new"])
  }

  func testDirectoriesMadeInVainGo() throws {
    let made = try AtomicDirectory.create(directory("a/b/c"))
    XCTAssertEqual(made, ["a", "a/b", "a/b/c"].map { directory($0) })
    XCTAssertEqual(try AtomicDirectory.create(directory("a/b/c")), [])
    try AtomicFile.write("x", to: directory("a/mine"))
    AtomicDirectory.removeEmpty(made)
    XCTAssertEqual(try names(directory("a")), ["mine"], "what is in use stays")
    XCTAssertThrowsError(try AtomicDirectory.create(directory("n/e/" + String(repeating: "w", count: 300))))
    XCTAssertEqual(try names(), ["a"], "those above a directory that cannot be made are not left")
    XCTAssertTrue(try AtomicDirectory.createExclusively(directory("one")))
    XCTAssertFalse(try AtomicDirectory.createExclusively(directory("one")))
  }

  /// A name is bytes: those that are not UTF-8 are listed and removed, and confuse nothing.
  func testNamesThatAreNotUTF8() throws {
    func make(_ bytes: [UInt8]) {
      let path = Array(directory("d/").utf8) + bytes + [0]
      let file = path.withUnsafeBytes {
        open($0.baseAddress!.assumingMemoryBound(to: CChar.self), O_CREAT | O_WRONLY, 0o644)
      }
      XCTAssertGreaterThanOrEqual(file, 0)
      close(file)
    }
    try AtomicDirectory.create(directory("d"))
    // Two that look the same once repaired, and one that would be a leftover without its last byte.
    make(Array("caf".utf8) + [0xE9])
    make(Array("caf".utf8) + [0xE8])
    make(Array(".a.partial-1".utf8) + [0xFF])
    XCTAssertEqual(try names(directory("d")), [".a.partial-1\u{FFFD}", "caf\u{FFFD}", "caf\u{FFFD}"])
    try AtomicDirectory.recover(in: directory("d")) { _ in true }
    XCTAssertEqual(try names(directory("d")).count, 3)
    try AtomicDirectory.remove(directory("d"))
    XCTAssertFalse(AtomicDirectory.exists(directory("d")))
  }

  func testAFileInTheWayOfADirectory() throws {
    try AtomicFile.write("x", to: directory("runs"))
    XCTAssertEqual(
      message { try AtomicDirectory.create(directory("runs/x/y")) },
      "\(directory("runs")): cannot make this directory: File exists")
  }

  /// A real file system of 64 KiB, so that the error comes from where it would.
  func testAFullDiskThrowsAndLeavesNothing() throws {
    guard geteuid() == 0 else { throw XCTSkip("needs root to mount a small tmpfs") }
    let small = directory("small")
    try AtomicDirectory.create(small)
    let mounted = try? launch("/bin/mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small])
    guard mounted?.status == 0 else { throw XCTSkip("cannot mount a tmpfs here") }
    defer { _ = try? launch("/bin/umount", [small]) }
    try AtomicFile.write("old", to: small + "/a")
    let big = String(repeating: "x", count: 1 << 17)
    XCTAssertEqual(
      message { try AtomicFile.write(big, to: small + "/a") }, "\(small)/a: cannot write: No space left on device")
    XCTAssertEqual(try text(small + "/a"), "old")
    var writer = SafetensorsWriter()
    writer.add("w", values: [Float](repeating: 1, count: 1 << 16))
    let model = message {
      try AtomicDirectory.write(to: small + "/step-1") { path in
        _ = try AtomicFile.writeSynced(path + "/m.safetensors") { try writer.write(to: &$0, path: path) }
      }
    }
    XCTAssertEqual(model, "\(small)/step-1/m.safetensors: cannot write: No space left on device")
    XCTAssertEqual(try names(small), ["a"])
    do { try AtomicFile.write(big, to: small + "/b") } catch let error as FileError {
      XCTAssertEqual(error.code, ENOSPC)
    }
  }

  func testPeakMemory() {
    let before = PeakMemory.bytes
    let size = 64 << 20
    let block = UnsafeMutableRawPointer.allocate(byteCount: before + size, alignment: 4096)
    memset(block, 1, before + size)
    block.deallocate()
    XCTAssertGreaterThanOrEqual(PeakMemory.bytes, before + size)
    XCTAssertEqual(PeakMemory.peak(in: "VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 5 kB\n"), 1234 * 1024)
    XCTAssertNil(PeakMemory.peak(in: "VmPeak: 9 kB\n"))
  }
}
