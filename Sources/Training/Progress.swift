import Files
import Foundation

/// What rank 0 shows of a run's progress: on a terminal one line that is redrawn, elsewhere a line now and then.
///
/// All that a run prints while this is in use goes through `print`, which clears the line before and leaves the cursor
/// at the beginning of a line. From one thread.
public final class ProgressDisplay {
  private let screen: Screen
  private let every: Int?
  private let clock: () -> Double
  private let write: (String) -> Void
  private let began: Double
  private var isDrawn = false
  private var last: (step: Int, time: Double)?
  private var lastShown: (step: Int, time: Double)?
  private var recent = (steps: 0.0, seconds: 0.0)

  /// - Parameters:
  ///   - every: steps between lines where the screen is no terminal; nil for a line after 10 seconds, later after a
  ///     twentieth of the time gone, at most 5 minutes.
  ///   - startStep: finished steps when the display begins (a resumed run's).
  ///   - clock: seconds from any beginning, never going back.
  ///   - write: takes text as it is, control characters included.
  public init(
    screen: Screen = .standardOutput(), every: Int? = nil, startStep: Int = 0,
    clock: @escaping () -> Double = monotonicSeconds, write: @escaping (String) -> Void = writeToStandardOutput
  ) {
    self.screen = screen
    self.every = every
    self.clock = clock
    self.write = write
    began = clock()
    last = (startStep, began)
  }

  /// Takes a finished step; shows it when it is time to.
  public func update(_ reading: ProgressReading) {
    let now = clock()
    measure(reading.step, at: now)
    let isLast = reading.step >= reading.steps
    let left =
      isLast ? 0 : recent.steps > 0 ? recent.seconds / recent.steps * Double(reading.steps - reading.step) : nil
    if let columns = screen.columns() {
      if let lastShown, !isLast, now - lastShown.time < 0.1 { return }
      write("\r" + ProgressText.bar(reading, secondsLeft: left, columns: columns) + "\u{1B}[K")
      isDrawn = true
    } else {
      guard isLast || isTimeForLine(reading.step, now) else { return }
      write(ProgressText.line(reading, secondsLeft: left) + "\n")
    }
    lastShown = (reading.step, now)
  }

  /// Prints a line of another kind, above the redrawn one.
  public func print(_ line: String) {
    write((isDrawn ? "\r\u{1B}[K" : "") + line + "\n")
    isDrawn = false
    if screen.columns() != nil { lastShown = nil }
  }

  /// Leaves the last drawn line where it is and the cursor below it.
  public func finish() {
    if isDrawn { write("\n") }
    isDrawn = false
  }

  private func isTimeForLine(_ step: Int, _ now: Double) -> Bool {
    guard let lastShown else { return true }
    if let every { return step % max(every, 1) == 0 }
    return now - lastShown.time >= min(max(10, 0.05 * (now - began)), 300)
  }

  /// Steps over time, both fading over a minute: what a probe or a checkpoint takes counts, and is forgotten in time.
  private func measure(_ step: Int, at now: Double) {
    guard let last, step > last.step else { return }
    let fading = exp(-(now - last.time) / 60)
    recent = (recent.steps * fading + Double(step - last.step), recent.seconds * fading + now - last.time)
    self.last = (step, now)
  }
}

/// Where the progress goes.
public enum Screen: Equatable, Sendable {
  /// No terminal: a file, a pipe, a batch system's log.
  case plain
  /// A terminal whose width is asked of this descriptor each time, since windows change.
  case terminal(Int32)
  /// A terminal of fixed width, for tests.
  case fixed(columns: Int)

  /// Columns of the terminal; nil where there is none.
  func columns() -> Int? {
    switch self {
    case .plain: nil
    case .fixed(let columns): columns
    case .terminal(let descriptor): Self.columns(of: descriptor).map { $0 > 0 ? $0 : 80 }
    }
  }

  /// What standard output is in truth. Open MPI's mpirun gives rank 0 a pseudo terminal of 0 columns even where its
  /// own output goes to a file; then the processes above this one are asked what theirs is.
  public static func standardOutput() -> Screen {
    guard let columns = columns(of: 1), getenv("TERM").map({ String(cString: $0) }) ?? "dumb" != "dumb" else {
      return .plain
    }
    if columns > 0 { return .terminal(1) }
    var process = getppid()
    for _ in 0..<8 where process > 1 {
      let descriptor = open("/proc/\(process)/fd/1", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
      // Nobody's output to look at: a daemon of another user's, or of another host's launcher.
      guard descriptor >= 0 else { return .plain }
      guard let columns = Self.columns(of: descriptor) else {
        close(descriptor)
        return .plain
      }
      if columns > 0 { return .terminal(descriptor) }
      close(descriptor)
      guard let above = parent(of: process) else { return .plain }
      process = above
    }
    return .plain
  }

  private static func columns(of descriptor: Int32) -> Int? {
    guard isatty(descriptor) == 1 else { return nil }
    var size = winsize()
    return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 ? Int(size.ws_col) : 0
  }

  private static func parent(of process: Int32) -> Int32? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return nil }
    return parent(inStat: text)
  }

  /// The fourth field of `/proc/PID/stat`; the second, a name in parentheses, may hold anything.
  package static func parent(inStat text: String) -> Int32? {
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: end)...].split(separator: " ")
    return fields.count > 1 ? Int32(fields[1]) : nil
  }
}

/// Seconds of a clock that never goes back.
public func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Writes at once, after what `Swift.print` still holds back. A closed output is no reason to end a run: errors are
/// ignored.
public func writeToStandardOutput(_ text: String) {
  fflush(nil)
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let written = rest.withUnsafeBytes { Foundation.write(1, $0.baseAddress!, $0.count) }
    if written < 0 {
      if errno == EINTR { continue }
      return
    }
    rest = rest.dropFirst(written)
  }
}
