internal import CMPI
import Foundation
import Synchronization

/// The bound on every wait: a thread that looks, a few times within the limit, at which collective this rank is in, and
/// ends the job with the reason when one has run past the limit.
///
/// Entering and leaving a collective are a handful of relaxed stores and no clock: the thread itself notes when it
/// first saw a collective, so a job ends between the limit and 1.1 times the limit.
public enum CollectiveWatchdog {
  /// Odd while a collective runs; each collective has its own odd number.
  private static let generation = Atomic<UInt64>(0)
  private static let operation = Atomic<UInt8>(0)
  private static let count = Atomic<Int>(0)
  private static let stepNow = Atomic<Int>(-1)
  private static let phaseNow = Atomic<UInt>(0)
  private static let milliseconds = Atomic<Int>(600_000)
  private static let identity = Mutex<String>("rank 0")
  private static let started = Atomic<Bool>(false)

  /// Seconds that one collective may last; 600, or what BYOL_DIST_COLLECTIVE_TIMEOUT says, at the start.
  public static var limit: Double {
    get { Double(milliseconds.load(ordering: .relaxed)) / 1000 }
    set { milliseconds.store(max(1, Int(min(newValue, 1e9) * 1000)), ordering: .relaxed) }
  }

  /// Says where the program is, for the line that the watchdog prints. Costs two stores.
  /// - Parameters:
  ///   - phase: such as "backward" or "checkpoint"; a literal.
  ///   - step: the step that runs, from 0; nil keeps the last.
  public static func note(_ phase: StaticString, step: Int? = nil) {
    precondition(phase.hasPointerRepresentation, "a phase is a string literal")
    phaseNow.store(UInt(bitPattern: phase.utf8Start), ordering: .relaxed)
    if let step { stepNow.store(step, ordering: .relaxed) }
  }

  /// Where the program is, as it was last noted: "step 12, backward".
  public static var place: String {
    var parts: [String] = []
    let step = stepNow.load(ordering: .relaxed)
    if step >= 0 { parts.append("step \(step)") }
    if let phase = UnsafePointer<CChar>(bitPattern: phaseNow.load(ordering: .relaxed)) {
      parts.append(String(cString: phase))
    }
    return parts.isEmpty ? "before the first step" : parts.joined(separator: ", ")
  }

  @inline(__always)
  static func begin(_ operation: CollectiveOperation, count: Int) {
    self.operation.store(operation.rawValue, ordering: .relaxed)
    self.count.store(count, ordering: .relaxed)
    generation.store(generation.load(ordering: .relaxed) &+ 1, ordering: .releasing)
  }

  @inline(__always)
  static func end() {
    generation.store(generation.load(ordering: .relaxed) &+ 1, ordering: .releasing)
  }

  /// Starts the thread, once a process.
  /// - Parameter identity: who speaks: "rank 3 on node2".
  static func start(identity: String) {
    self.identity.withLock { $0 = identity }
    guard !started.exchange(true, ordering: .relaxed) else { return }
    let thread = Thread { watch() }
    thread.name = "watchdog"
    thread.stackSize = 256 << 10
    thread.start()
  }

  private static func watch() {
    var seen: UInt64 = 0
    var since = DispatchTime.now().uptimeNanoseconds
    while true {
      let limit = milliseconds.load(ordering: .relaxed)
      usleep(UInt32(min(max(limit * 1000 / 20, 1000), 1_000_000)))
      let now = DispatchTime.now().uptimeNanoseconds
      let current = generation.load(ordering: .acquiring)
      if current != seen || current % 2 == 0 {
        (seen, since) = (current, now)
      } else if now - since > UInt64(milliseconds.load(ordering: .relaxed)) * 1_000_000 {
        expire(after: Double(now - since) / 1e9)
      }
    }
  }

  private static func expire(after seconds: Double) -> Never {
    let name = CollectiveOperation(rawValue: operation.load(ordering: .relaxed))?.description ?? "collective"
    let elements = count.load(ordering: .relaxed)
    endJob(
      "\(identity.withLock { $0 }): \(place): \(name) of \(elements) elements has waited \(Int(seconds)) s for the "
        + "other ranks; a rank is stuck, gone or much slower (limit: BYOL_DIST_COLLECTIVE_TIMEOUT)", status: 1)
  }

  /// Prints one line and ends the job on every rank, also when MPI itself is what hangs.
  static func endJob(_ line: String, status: Int32, isPermanent: Bool = false) -> Never {
    // One write, so that the lines of several ranks do not mix.
    let bytes = Array("byol-dist: \(line)\n".utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    // So that launch/run does not wait for an mpirun that waits for a lost host.
    Launch(environment: ProcessInfo.processInfo.environment)
      .leave(status: status, isPermanent: isPermanent, mark: "aborted ")
    let lastResort = Thread {
      sleep(10)
      _exit(status)
    }
    lastResort.start()
    var running: Int32 = 0
    var over: Int32 = 0
    MPI_Initialized(&running)
    MPI_Finalized(&over)
    if running != 0 && over == 0 { MPI_Abort(cmpi_comm_world(), status) }
    _exit(status)
  }
}
