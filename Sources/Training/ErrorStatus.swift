import Collectives
import Files
import Foundation
import Images

/// What the exit status tells whoever started the program.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  /// Anything that is none of the others.
  case failed = 1
  /// The user's mistake.
  case usage = 2
  /// Stopped by a signal after a complete checkpoint: the same command goes on.
  case requeue = 75

  public init(for error: any Error) {
    self = (error as? any StatusError).flatMap { ExitStatus(rawValue: $0.exitStatus) } ?? .failed
  }
}

extension UsageError: StatusError {
  public var exitStatus: Int32 { ExitStatus.usage.rawValue }
}

extension ImageError: StatusError {
  public var exitStatus: Int32 {
    if case .noMoreBatches = self { return ExitStatus.failed.rawValue }
    return ExitStatus.usage.rawValue
  }
}

extension FileError: StatusError {
  /// What files' contents, names and permissions cause is the user's to mend; a full disk or a failing one is not.
  public var exitStatus: Int32 {
    let mendable = [ENOENT, EACCES, EPERM, ENOTDIR, EISDIR, EEXIST, EROFS, ENAMETOOLONG, ELOOP]
    return (code.map(mendable.contains) ?? true ? ExitStatus.usage : .failed).rawValue
  }

  /// A full disk, a quota or a limit is there at the next start too; a file server may be back by then.
  public var isPermanent: Bool { code.map { [ENOSPC, EDQUOT, EFBIG, EROFS].contains($0) } ?? false }
}

extension RunDirectoryError: StatusError {
  public var exitStatus: Int32 { (isUserMistake ? ExitStatus.usage : .failed).rawValue }
}

extension ModelFileError: StatusError {
  public var exitStatus: Int32 { ExitStatus.usage.rawValue }
}
