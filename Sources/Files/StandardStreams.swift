import Foundation

/// The process's three standard streams, whatever the caller made of them.
public enum StandardStreams {
  /// Makes them safe to use; the first thing that a program does.
  ///
  /// A stream that the caller closed is opened on /dev/null, or the next file to be opened would get its number and
  /// what is printed. It is opened for the other direction, so that using it fails as on a closed one. A write beyond
  /// the limit of file sizes (`ulimit -f`) fails with an error instead of ending the process.
  public static func prepare() {
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // The lowest free number is this one: those below are open by now.
      _ = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
    }
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Writes what a command's output is, at once and whole.
  /// - Throws: `OutputError`.
  public static func print(_ text: String, terminator: String = "\n") throws {
    // Text still in a buffer of the C library comes before.
    fflush(nil)
    // A closed pipe is an error to report, not a signal to die from.
    let previous = signal(SIGPIPE, SIG_IGN)
    defer { signal(SIGPIPE, previous) }
    try write(Array((text + terminator).utf8), to: STDOUT_FILENO)
  }

  /// Writes a line to the standard error, if there is one: a failure could be told nowhere.
  public static func printError(_ line: String) {
    let previous = signal(SIGPIPE, SIG_IGN)
    defer { signal(SIGPIPE, previous) }
    try? write(Array((line + "\n").utf8), to: STDERR_FILENO)
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if written >= 0 {
        rest = rest.dropFirst(written)
      } else if errno == EAGAIN {
        // The caller's descriptor does not wait by itself.
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, -1)
      } else if errno != EINTR {
        throw OutputError(code: errno)
      }
    }
  }
}

/// The standard output does not take what a command prints.
public struct OutputError: Error, Equatable, CustomStringConvertible {
  /// The system's error number.
  public let code: Int32

  public init(code: Int32) { self.code = code }

  /// The reader has gone, as `head` does: nothing that the user need be told.
  public var isBrokenPipe: Bool { code == EPIPE }

  public var description: String { "cannot write to the standard output: \(String(cString: strerror(code)))" }
}
