import Files
import Foundation
import XCTest

final class OpenFileTests: XCTestCase {
  let directory = TemporaryDirectory()

  /// None of these is waited for or read, whichever way it is opened.
  func testOtherThanRegularFilesAreNamed() throws {
    try AtomicDirectory.create(directory("folder"))
    XCTAssertEqual(mkfifo(directory("fifo"), 0o644), 0)
    symlink(directory("fifo"), directory("link"))
    let socket = try bound(directory("socket"))
    defer { close(socket) }
    let table = [
      (directory("folder"), "a directory"), (directory("fifo"), "a FIFO"), (directory("link"), "a FIFO"),
      (directory("socket"), "a socket"), ("/dev/null", "a device"),
    ]
    for (path, kind) in table {
      let text = "\(path): is \(kind); should be a regular file"
      XCTAssertEqual(message { try OpenFile(reading: path) }, text)
      XCTAssertEqual(message { try OpenFile(regular: path, O_RDWR | O_CREAT | O_APPEND, action: "open") }, text)
      XCTAssertEqual(message { try OpenFile.bytes(of: path, atMost: 10) }, text)
      XCTAssertEqual(message { try SafetensorsFile(path: path) }, text)
      XCTAssertEqual(message { try JSON.read(path) }, text)
    }
    XCTAssertEqual(
      message { try OpenFile(reading: directory("none")) },
      directory("none") + ": cannot open: No such file or directory")
    XCTAssertTrue(message { try OpenFile(reading: directory("a\0b")) }.contains("a zero byte"))
  }

  private func bound(_ path: String) throws -> Int32 {
    let socket = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { throw XCTSkip("the path is too long") }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    XCTAssertEqual(status, 0)
    return socket
  }

  func testWholeSmallFiles() throws {
    try AtomicFile.write("12345", to: directory("a"))
    XCTAssertEqual(try OpenFile.bytes(of: directory("a"), atMost: 5), Array("12345".utf8))
    XCTAssertEqual(
      message { try OpenFile.bytes(of: directory("a"), atMost: 4) },
      directory("a") + ": has 5 bytes; should be at most 4")
    try AtomicFile.write("", to: directory("a"))
    XCTAssertEqual(try OpenFile.bytes(of: directory("a"), atMost: 0), [])
  }

  func testWhatBecameOfAnOpenFile() throws {
    try AtomicFile.write("1", to: directory("a"))
    let file = try OpenFile(reading: directory("a"))
    XCTAssertEqual(try file.presence(), .there)
    try AtomicFile.write("2", to: directory("a"))
    XCTAssertEqual(try file.presence(), .replaced)
    unlink(directory("a"))
    XCTAssertEqual(try file.presence(), .removed)
  }

  // MARK: - Lines

  private func lines(_ bytes: [UInt8]) throws -> [LineReader.Line] {
    try AtomicFile.write(to: directory("lines")) { sink in try bytes.withUnsafeBytes { try sink.write($0) } }
    var reader = try LineReader(try OpenFile(reading: directory("lines")))
    var found: [LineReader.Line] = []
    while let line = try reader.next() { found.append(line) }
    XCTAssertEqual(found.map(\.number), Array(1..<found.count + 1))
    XCTAssertEqual(found.first?.range.lowerBound ?? 0, 0)
    XCTAssertEqual(found.last?.range.upperBound ?? 0, bytes.count)
    for (line, next) in zip(found, found.dropFirst()) {
      XCTAssertEqual(line.range.upperBound, next.range.lowerBound)
      XCTAssertTrue(line.isEnded)
    }
    return found
  }

  func testLinesOfAnyKind() throws {
    let table: [(String, [String], Bool)] = [
      ("", [], true), ("\n", [""], true), ("a", ["a"], false), ("a\n", ["a"], true), ("a\n\nb", ["a", "", "b"], false),
      ("a\r\nb\r\n", ["a\r", "b\r"], true), ("\0\n\0", ["\0", "\0"], false),
    ]
    for (text, parts, isEnded) in table {
      let found = try lines(Array(text.utf8))
      XCTAssertEqual(found.map { $0.text ?? [] }, parts.map { Array($0.utf8) }, text.debugDescription)
      XCTAssertEqual(found.last?.isEnded ?? true, isEnded, text.debugDescription)
    }
    // Around the size of a chunk.
    for length in [65_534, 65_535, 65_536, 65_537, 200_000, LineReader.longest] {
      let long = [UInt8](repeating: 0x78, count: length)
      XCTAssertEqual(try lines(long + [0x0A, 0x79]).map { $0.text ?? [] }, [long, [0x79]])
    }
    let tooLong = [UInt8](repeating: 0x78, count: LineReader.longest + 1)
    XCTAssertEqual(
      try lines(tooLong + [0x0A, 0x79]).map(\.text), [nil, [0x79]], "it is not kept, and reading goes on")
  }
}
