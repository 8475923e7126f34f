import Foundation
import Synchronization

/// How the process ends where the system refuses memory: with one line and status 1. Nothing could be thrown to, since
/// a layer asks for its memory in the middle of a pass.
public enum OutOfMemory {
  private static let handler = Mutex<(@Sendable (String) -> Never)?>(nil)

  /// Has `end` called with the line, for a process that others wait for.
  public static func handle(by end: @escaping @Sendable (String) -> Never) { handler.withLock { $0 = end } }

  /// - Parameters:
  ///   - bytes: that were asked for.
  ///   - purpose: what they were for.
  static func end(bytes: Double, _ purpose: StaticString) -> Never {
    let line = "out of memory: cannot get \(String(format: "%.0f", bytes)) bytes for \(purpose); see --batch"
    if let handler = handler.withLock({ $0 }) { handler(line) }
    FileHandle.standardError.write(Data("byol-dist: \(line)\n".utf8))
    _exit(1)
  }
}
