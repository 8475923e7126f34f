import Foundation

/// A process of this machine, told from a later one that gets its number.
package struct ProcessIdentity: Equatable, Sendable {
  package let number: Int32
  /// In ticks since the machine started; 0 where it is not known.
  package let startTime: UInt64

  package init(number: Int32, startTime: UInt64) {
    (self.number, self.startTime) = (number, startTime)
  }

  package static var own: ProcessIdentity {
    ProcessIdentity(number: getpid(), startTime: ProcessStatus.read(getpid())?.startTime ?? 0)
  }

  /// The state that the system reports for the process now.
  package var condition: ProcessCondition {
    guard let status = ProcessStatus.read(number) else {
      return kill(number, 0) != 0 && errno == ESRCH ? .dead : .unknown
    }
    guard startTime == 0 || status.startTime == startTime else { return .dead }
    return ProcessCondition(state: status.state)
  }
}

/// The state of a process as the system reports it.
package enum ProcessCondition: Equatable, Sendable {
  case alive
  /// By SIGSTOP and the like, until SIGCONT.
  case stopped
  /// By a debugger.
  case traced
  /// In a call that cannot be interrupted: a disk or a network file system.
  case blocked
  case dead
  case unknown

  /// - Parameter state: the letter in /proc/PID/stat.
  package init(state: Character) {
    switch state {
    case "T": self = .stopped
    case "t": self = .traced
    case "D": self = .blocked
    case "Z", "X", "x": self = .dead
    default: self = .alive
    }
  }
}

/// The part of /proc/PID/stat that tells processes apart.
package struct ProcessStatus: Equatable {
  package let state: Character
  package let startTime: UInt64

  /// - Parameter text: "PID (NAME) STATE ..."; the name may have blanks and parentheses.
  package init?(_ text: String) {
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    // The 3rd and the 22nd of all fields.
    guard fields.count > 19, let state = fields[0].first, let time = UInt64(fields[19]) else { return nil }
    (self.state, startTime) = (state, time)
  }

  static func read(_ process: Int32) -> ProcessStatus? {
    let file = Foundation.open("/proc/\(process)/stat", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = Foundation.read(file, &bytes, bytes.count)
    return count > 0 ? ProcessStatus(String(decoding: bytes.prefix(count), as: UTF8.self)) : nil
  }
}
