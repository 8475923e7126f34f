import Foundation

/// The most memory that this process has had resident.
public enum PeakMemory {
  /// Bytes: `VmHWM` of Linux, or else `getrusage`'s figure (which survives `exec` and so may be the launcher's).
  public static var bytes: Int {
    if let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8), let peak = peak(in: status) {
      return peak
    }
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss) * 1024
  }

  /// Lets the figure start anew from what is resident now, where the kernel can (Linux's clear_refs); for a process that
  /// does several things in turn.
  public static func reset() {
    // Asked for and not insisted on: without it the figure is the process's.
    try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
  }

  /// Reads the line `VmHWM:     1234 kB`.
  package static func peak(in status: String) -> Int? {
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }) else { return nil }
    let words = line.split(whereSeparator: \.isWhitespace)
    guard words.count == 3, words[2] == "kB", let kilobytes = Int(words[1]) else { return nil }
    return kilobytes * 1024
  }
}
