import Foundation
import Machine

/// An open file descriptor whose calls throw, go on after interruptions and finish short reads and writes.
public final class OpenFile: @unchecked Sendable {
  public let path: String
  public let descriptor: Int32

  /// - Throws: `FileError` with the system's reason.
  public init(_ path: String, _ flags: Int32, mode: mode_t = 0o644, action: String) throws {
    self.path = path
    var opened: Int32 = -1
    repeat { opened = open(path, flags | O_CLOEXEC, mode) } while opened < 0 && errno == EINTR
    guard opened >= 0 else { throw FileError(path, cannot: action, code: errno) }
    descriptor = opened
  }

  /// Opens a regular file for reading.
  public convenience init(reading path: String) throws {
    try self.init(path, O_RDONLY, action: "open")
    guard try status().st_mode & S_IFMT == S_IFREG else { throw FileError(path, "is not a regular file") }
  }

  deinit { close(descriptor) }

  public func status() throws -> stat {
    var result = stat()
    guard fstat(descriptor, &result) == 0 else { throw FileError(path, cannot: "stat", code: errno) }
    return result
  }

  /// Bytes.
  public func size() throws -> Int { Int(try status().st_size) }

  /// Fills `target` with the bytes from `offset` on.
  /// - Throws: `FileError`, also when the file ends before.
  public func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < target.count {
      let got = pread(descriptor, target.baseAddress! + done, target.count - done, off_t(offset + done))
      if got < 0 {
        if errno == EINTR { continue }
        throw FileError(path, cannot: "read", code: errno)
      }
      guard got > 0 else {
        throw FileError(path, "ends before byte \(offset + target.count), up to which it should be read")
      }
      done += got
      ProgressCount.advance()
    }
  }

  /// Writes all bytes at the descriptor's place.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var done = 0
    while done < bytes.count {
      let put = Foundation.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
      if put < 0 {
        if errno == EINTR { continue }
        throw FileError(path, cannot: "write", code: errno)
      }
      done += put
      ProgressCount.advance()
    }
  }

  /// Returns when the contents are on the disk; the moment at which late errors (quota, network disks) show.
  public func sync() throws {
    var status: Int32 = 0
    repeat { status = fsync(descriptor) } while status != 0 && errno == EINTR
    guard status == 0 else { throw FileError(path, cannot: "write to the disk", code: errno) }
  }
}
