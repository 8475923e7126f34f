import Foundation

/// Something that a file, a disk or its contents did wrong: one line that names the path and what is the matter.
public struct FileError: Error, Equatable, CustomStringConvertible {
  public let path: String
  public let reason: String
  /// The system's error number (`ENOSPC`, `EACCES`, …); nil where the contents are wrong.
  public let code: Int32?

  /// A file whose contents are wrong.
  public init(_ path: String, _ reason: String) {
    self.path = path
    self.reason = reason
    code = nil
  }

  /// A system call that failed: "cannot `action`: No space left on device".
  public init(_ path: String, cannot action: String, code: Int32) {
    self.path = path
    self.code = code
    reason = "cannot \(action): \(String(cString: strerror(code)))"
  }

  public init(_ path: String, reason: String, code: Int32?) {
    self.path = path
    self.reason = reason
    self.code = code
  }

  public var description: String { "\(path): \(reason)" }
}
