import CZlib
import Foundation

/// A file's length and CRC-32 (zlib's polynomial): tells a damaged file from a whole one.
public struct FileStamp: Equatable, Sendable {
  public private(set) var bytes = 0
  private var crc: UInt = 0

  /// The stamp of no bytes.
  public init() {}

  /// - Parameter checksum: as `checksum` gives it; nil if it is not of that form.
  public init?(bytes: Int, checksum: String) {
    let digits = checksum.dropFirst(6)
    guard checksum.hasPrefix("crc32:"), digits.count == 8, digits.allSatisfy(\.isHexDigit),
      let crc = UInt32(digits, radix: 16)
    else { return nil }
    self.bytes = bytes
    self.crc = UInt(crc)
  }

  /// Adds bytes at the end.
  public mutating func append(_ more: UnsafeRawBufferPointer) {
    crc = crc32_z(crc, more.baseAddress?.assumingMemoryBound(to: UInt8.self), more.count)
    bytes += more.count
  }

  /// `crc32:` and eight hexadecimal digits.
  public var checksum: String { "crc32:" + String(format: "%08x", UInt32(crc)) }

  public static func of(_ text: String) -> FileStamp {
    var stamp = FileStamp()
    var text = text
    text.withUTF8 { stamp.append(UnsafeRawBufferPointer($0)) }
    return stamp
  }

  /// Reads the file once.
  /// - Throws: `FileError` if it cannot be read.
  public static func of(file path: String) throws -> FileStamp {
    let file = try OpenFile(reading: path)
    let size = try file.size()
    var stamp = FileStamp()
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: min(max(size, 1), 4 << 20), alignment: 64)
    defer { block.deallocate() }
    while stamp.bytes < size {
      let part = UnsafeMutableRawBufferPointer(rebasing: block[..<min(block.count, size - stamp.bytes)])
      try file.read(at: stamp.bytes, into: part)
      stamp.append(UnsafeRawBufferPointer(part))
    }
    return stamp
  }
}
