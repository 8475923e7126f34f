import Foundation
import Machine

/// An open file descriptor whose calls throw, go on after interruptions and finish short reads and writes.
public final class OpenFile: @unchecked Sendable {
  public let path: String
  public let descriptor: Int32

  /// - Throws: `FileError` with the system's reason.
  public init(_ path: String, _ flags: Int32, mode: mode_t = 0o644, action: String) throws {
    self.path = path
    // The system would take the part before it for the path.
    guard !path.utf8.contains(0) else { throw FileError(JSON.quoted(path), "is no path: it holds a zero byte") }
    var opened: Int32 = -1
    repeat { opened = open(path, flags | O_CLOEXEC, mode) } while opened < 0 && errno == EINTR
    guard opened >= 0 else { throw FileError(path, cannot: action, code: errno) }
    descriptor = opened
  }

  /// Opens a regular file for reading.
  /// - Throws: `FileError`, for one that says what else the path is.
  public convenience init(reading path: String) throws { try self.init(regular: path, O_RDONLY, action: "open") }

  /// Opens a regular file. Another kind is refused and never waited for: a FIFO without a writer would hang.
  /// - Throws: `FileError`, for one that says what else the path is.
  public convenience init(regular path: String, _ flags: Int32, action: String) throws {
    do { try self.init(path, flags | O_NONBLOCK | O_NOCTTY, action: action) } catch let error as FileError {
      // Some kinds cannot even be opened: a socket, a FIFO without a reader, a directory to write to.
      guard [ENXIO, EISDIR].contains(error.code), let kind = FileKind.of(path), kind != .regular else { throw error }
      throw FileError(path, "is \(kind.rawValue); should be a regular file")
    }
    let kind = FileKind(mode: try status().st_mode)
    guard kind == .regular else { throw FileError(path, "is \(kind.rawValue); should be a regular file") }
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

  /// The bytes of a small regular file, read whole.
  /// - Throws: `FileError`, also for one of more than `most` bytes.
  public static func bytes(of path: String, atMost most: Int) throws -> [UInt8] {
    let file = try OpenFile(reading: path)
    let size = try file.size()
    guard size <= most else { throw FileError(path, "has \(size) bytes; should be at most \(most)") }
    var bytes = [UInt8](repeating: 0, count: size)
    try bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return bytes
  }

  /// Whether the path still leads to this file.
  /// - Throws: `FileError` where the system does not say.
  public func presence() throws -> FilePresence {
    var found = stat()
    guard stat(path, &found) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return .removed }
      throw FileError(path, cannot: "stat", code: errno)
    }
    let own = try status()
    return found.st_ino == own.st_ino && found.st_dev == own.st_dev ? .there : .replaced
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

/// The fate of an open file's path.
public enum FilePresence: Equatable, Sendable {
  case there, removed
  /// Another file or directory has the name.
  case replaced
}

/// The kind of thing at a path, in the words of messages.
public enum FileKind: String, Sendable {
  case regular = "a regular file"
  case directory = "a directory"
  case fifo = "a FIFO"
  case socket = "a socket"
  case device = "a device"
  case symbolicLink = "a symbolic link"
  case other = "a file of an unknown kind"

  public init(mode: mode_t) {
    self =
      switch mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFDIR: .directory
      case S_IFIFO: .fifo
      case S_IFSOCK: .socket
      case S_IFCHR, S_IFBLK: .device
      case S_IFLNK: .symbolicLink
      default: .other
      }
  }

  /// - Parameter follows: whether a symbolic link counts as what it leads to.
  /// - Returns: nil where nothing is there that could be looked at.
  public static func of(_ path: String, followingLinks follows: Bool = true) -> FileKind? {
    var status = stat()
    return (follows ? stat(path, &status) : lstat(path, &status)) == 0 ? FileKind(mode: status.st_mode) : nil
  }
}
