import Files
import Foundation

/// Keeps two jobs out of one directory: an advisory lock on a file that the system lets go when its holder ends,
/// however it ends. The file's text only serves the message; it is removed with the lock.
package final class RunLock {
  private let file: OpenFile
  /// False on a file system that has no locks.
  package let isHeld: Bool

  /// - Throws: `RunDirectoryError` naming the holder's process and host when another holds it, else `FileError`.
  package init(directory: String) throws {
    let path = directory + "/.lock"
    while true {
      let file = try OpenFile(path, O_RDWR | O_CREAT, action: "lock")
      var status: Int32 = 0
      repeat { status = flock(file.descriptor, LOCK_EX | LOCK_NB) } while status != 0 && errno == EINTR
      if status != 0, errno == EWOULDBLOCK {
        throw RunDirectoryError(
          "\(directory): in use by \(Self.holder(file)); wait for its end or choose another --out")
      }
      // A holder that just ended may have removed the file between our opening and our locking it.
      var found = stat()
      guard stat(path, &found) == 0, found.st_ino == (try file.status()).st_ino else { continue }
      isHeld = status == 0
      self.file = file
      break
    }
    ftruncate(file.descriptor, 0)
    let text = Array("pid \(getpid()) on host \(Self.host)\n".utf8)
    try text.withUnsafeBytes { try file.write($0) }
  }

  deinit { unlink(file.path) }

  private static func holder(_ file: OpenFile) -> String {
    var bytes = [UInt8](repeating: 0, count: min((try? file.size()) ?? 0, 300))
    try? bytes.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    return text.hasPrefix("pid ") ? String(JSON.quoted(text).dropFirst().dropLast()) : "another process"
  }

  private static var host: String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, 255)
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
