import Files
import Foundation

/// Keeps two jobs out of one directory: an advisory lock on a file that the system lets go when its holder ends,
/// however it ends. The file's text only serves the message; it is removed with the lock.
package final class RunLock {
  package static let name = ".lock"
  private let file: OpenFile
  /// Held open, so that another directory cannot get its number.
  private let directory: OpenFile
  /// False on a file system that has no locks.
  package let isHeld: Bool

  /// - Throws: `RunDirectoryError` naming the holder's process and host when another holds it, else `FileError`.
  package init(directory: String) throws {
    let path = directory + "/" + Self.name
    self.directory = try OpenFile(directory, O_RDONLY | O_DIRECTORY, action: "open")
    while true {
      let file = try OpenFile(regular: path, O_RDWR | O_CREAT, action: "lock")
      var status: Int32 = 0
      repeat { status = flock(file.descriptor, LOCK_EX | LOCK_NB) } while status != 0 && errno == EINTR
      if status != 0, errno == EWOULDBLOCK {
        throw RunDirectoryError(
          "\(directory): in use by \(Self.holder(file)); wait for its end or choose another --out")
      }
      // A holder that just ended may have removed the file between our opening and our locking it.
      guard try file.presence() == .there else { continue }
      isHeld = status == 0
      self.file = file
      break
    }
    ftruncate(file.descriptor, 0)
    let text = Array("pid \(getpid()) on host \(Self.host)\n".utf8)
    try text.withUnsafeBytes { try file.write($0) }
  }

  /// Another's file of that name stays.
  deinit { if (try? file.presence()) == .there { unlink(file.path) } }

  /// What has become of the directory or of the lock's file since the lock was taken, as the end of a message; nil
  /// while both are where they were.
  /// - Throws: `FileError` where the system does not say.
  package func loss() throws -> String? {
    switch try directory.presence() {
    case .removed: return "was removed"
    case .replaced: return "was replaced by another directory"
    case .there: break
    }
    switch try file.presence() {
    case .removed: return "its \(Self.name), which keeps other jobs out, was removed"
    case .replaced: return "its \(Self.name), which keeps other jobs out, was replaced"
    case .there: return nil
    }
  }

  /// Whether a file of a lock's name is one that this program left: empty, or with a holder's text.
  package static func isOwn(_ path: String) -> Bool {
    guard let bytes = try? OpenFile.bytes(of: path, atMost: 300) else { return false }
    return bytes.isEmpty || String(decoding: bytes, as: UTF8.self).hasPrefix("pid ")
  }

  private static func holder(_ file: OpenFile) -> String {
    let bytes = (try? OpenFile.bytes(of: file.path, atMost: 300)) ?? []
    let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    return text.hasPrefix("pid ") ? String(JSON.quoted(text).dropFirst().dropLast()) : "another process"
  }

  private static var host: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, 255)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
