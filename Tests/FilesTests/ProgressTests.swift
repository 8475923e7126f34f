import Files
import Machine
import XCTest

/// Other ranks wait for the one that reads or writes a file: each piece of it shows that the rank gets on.
final class FileProgressTests: XCTestCase {
  let directory = TemporaryDirectory()

  func testWritingAndReadingAreProgress() throws {
    var before = ProgressCount.value
    try AtomicFile.write(to: directory("a")) { sink in for _ in 0..<5 { try sink.write("piece") } }
    XCTAssertGreaterThanOrEqual(ProgressCount.value - before, 5)
    let file = try OpenFile(reading: directory("a"))
    var bytes = [UInt8](repeating: 0, count: 25)
    before = ProgressCount.value
    try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    XCTAssertGreaterThanOrEqual(ProgressCount.value - before, 1)
  }
}
