internal import CMPI
import Foundation
import Machine
import Synchronization

/// The bound on every wait: a thread that looks, a few times within the limit, at what this rank and the host's other
/// ranks do, and ends the job with one line that names the rank which is waited for.
///
/// The limit counts from the last sign of work of any rank of the host: a collective, phase or step that it entered or
/// left, or `progress`. It does not count while this process is stopped. A rank that has died ends the job at once.
///
/// Entering and leaving a collective are a handful of stores and no clock.
public enum CollectiveWatchdog {
  private static let milliseconds = Atomic<Int>(600_000)
  private static let started = Atomic<Bool>(false)
  /// Whether a thread of this process is ending the job.
  private static let isEnding = Atomic<Bool>(false)
  private static let rankOfWorld = Atomic<Int>(0)
  /// Where this rank writes what it does: an entry of its own, then one of the board.
  private static let entry = Atomic<UInt>(0)
  private static let board = Mutex<StatusBoard>(.alone(unseen: 1))

  /// Seconds for which nothing may happen while a rank waits; 600, or what BYOL_DIST_COLLECTIVE_TIMEOUT says, at the
  /// start.
  public static var limit: Double {
    get { Double(milliseconds.load(ordering: .relaxed)) / 1000 }
    set { milliseconds.store(max(1, Int(min(newValue, 1e9) * 1000)), ordering: .relaxed) }
  }

  /// Says where the program is, for the line that a watchdog prints. Costs a few stores. On the thread that talks to
  /// other ranks.
  /// - Parameters:
  ///   - phase: such as "backward" or "checkpoint"; a literal of at most 56 bytes.
  ///   - step: the step that runs, from 0; nil keeps the last.
  public static func note(_ phase: StaticString, step: Int? = nil) {
    precondition(phase.hasPointerRepresentation, "a phase is a string literal")
    precondition(step ?? 0 >= 0, "there is no step \(step ?? 0)")
    own.note(phase, step: step)
  }

  /// Says that this rank gets on while the others may be waiting for it: an iteration of a solver, a block of rows, a
  /// piece of a file. On any thread; costs a load and a store.
  public static func progress() { ProgressCount.advance() }

  /// Where the program is, as it was last noted: "step 12, backward".
  public static var place: String { own.place }

  @inline(__always)
  static func begin(_ operation: CollectiveOperation, count: Int) { own.begin(operation, count: count) }

  /// A rank that was stopped while the others ended the job may find all that they have sent it: it goes no further.
  @inline(__always)
  static func end() {
    let own = own
    own.end()
    if let status = own.endStatus { leaveEndedJob(status) }
  }

  private static var rank: Int { rankOfWorld.load(ordering: .relaxed) }

  private static var own: RankEntry {
    if let entry = RankEntry(bitPattern: entry.load(ordering: .relaxed)) { return entry }
    let first = board.withLock { $0.entries[$0.own] }
    entry.store(first.bitPattern, ordering: .relaxed)
    return first
  }

  /// Starts the thread, once a process.
  /// - Parameter rank: this one, of the world.
  static func start(rank: Int) {
    rankOfWorld.store(rank, ordering: .relaxed)
    guard !started.exchange(true, ordering: .relaxed) else { return }
    let thread = Thread { watch() }
    thread.name = "watchdog"
    thread.stackSize = 256 << 10
    thread.start()
  }

  /// Shows the host's ranks to each other. Collective over the world, outside of any other collective.
  /// - Throws: `CollectiveError`.
  static func join(_ world: Communicator) throws {
    let opened = try StatusBoard.open(world)
    let entry = opened.entries[opened.own]
    entry.copyWork(of: own)
    entry.open(rank: world.rank, process: .own)
    board.withLock { $0 = opened }
    self.entry.store(entry.bitPattern, ordering: .relaxed)
  }

  /// Says that this process leaves by itself.
  static func leave() { own.leave() }

  // MARK: The thread

  private static func watch() {
    var detector = StallDetector()
    var stalled = 0.0
    while true {
      let limit = self.limit
      let asked = min(max(limit / 20, 0.001), 0.2)
      let slept = sleep(asked)
      let board = board.withLock { $0 }
      board.entries[board.own].beat(progress: ProgressCount.value)
      if let status = board.entries[board.own].endStatus { leaveEndedJob(status) }
      let finding = detector.look(
        board.entries.map(\.signs), own: board.own, slept: slept, asked: asked, limit: limit)
      switch finding {
      case .nothing: stalled = 0
      case .silent(let places):
        stalled = 0
        if let line = deaths(among: places, board, detector, limit) { endJob(line, status: 1) }
      case .stalled:
        let report = report(board, detector, limit)
        if stalled >= patience(report, board, limit) { endJob(line(report, board, detector), status: 1) }
        stalled += asked
      }
    }
  }

  /// Seconds for which a rank that could say more may speak first.
  private static func patience(_ report: StallReport, _ board: StatusBoard, _ limit: Double) -> Double {
    // Ranks that do not see each other would all say the same; mpirun takes seconds to end the others.
    if board.unseenHere > 0 { return 3 * Double(min(rank, 4)) }
    return report.culprits.isEmpty && board.elsewhere > 0 ? max(1, limit / 10) : 0
  }

  /// - Returns: seconds that it took.
  private static func sleep(_ seconds: Double) -> Double {
    let before = DispatchTime.now().uptimeNanoseconds
    usleep(UInt32(seconds * 1e6))
    return Double(DispatchTime.now().uptimeNanoseconds - before) / 1e9
  }

  /// The line about ranks that have died, if some have and the job goes on.
  private static func deaths(
    among places: [Int], _ board: StatusBoard, _ detector: StallDetector, _ limit: Double
  ) -> String? {
    func isDead(_ place: Int) -> Bool {
      board.entries[place].process.condition == .dead && board.entries[place].signs.life == .running
    }
    guard places.contains(where: isDead), board.claimedStatus == nil else { return nil }
    // Where a launcher ends all ranks, one after the other, this one is gone before it speaks.
    usleep(100_000)
    guard board.claimedStatus == nil else { return nil }
    return report(board, detector, limit).line(waited: detector.secondsWithoutWork(board.own))
  }

  private static func report(_ board: StatusBoard, _ detector: StallDetector, _ limit: Double) -> StallReport {
    let ranks = board.entries.indices.map { place in
      let entry = board.entries[place]
      return RankStatus(
        rank: entry.rank, process: entry.process.number, host: Communicator.host, place: entry.place,
        activity: activity(place, board, detector, limit))
    }
    return StallReport(ranks: ranks, elsewhere: board.elsewhere, limit: limit)
  }

  private static func activity(
    _ place: Int, _ board: StatusBoard, _ detector: StallDetector, _ limit: Double
  ) -> RankStatus.Activity {
    let entry = board.entries[place]
    // A rank says that it leaves before its process goes.
    let condition = place == board.own ? .alive : entry.process.condition
    let (signs, operation) = (entry.signs, entry.operation)
    if condition == .dead { return signs.life == .leaving ? .left : .dead }
    let silence = detector.secondsWithoutBeat(place)
    if silence > max(StallDetector.silence, limit / 2) { return .stopped(silence, condition) }
    if signs.isWaiting, let operation { return .waiting(operation.kind, count: operation.count) }
    return .busy(detector.secondsWithoutWork(place), condition)
  }

  private static func line(_ report: StallReport, _ board: StatusBoard, _ detector: StallDetector) -> String {
    let waited = detector.secondsWithoutWork(board.own)
    guard board.unseenHere > 0 else { return report.line(waited: waited) }
    // The ranks of this host are kept from each other's memory.
    let operation = board.entries[board.own].operation
    return "rank \(rank) on \(Communicator.host): \(place): \(operation?.kind.description ?? "collective") of "
      + "\(operation?.count ?? 0) elements has waited \(secondsText(waited)) for the other ranks; "
      + "a rank is stuck, gone or much slower (limit: BYOL_DIST_COLLECTIVE_TIMEOUT)"
  }

  // MARK: The end of the job

  /// Ends a process whose job another thread or rank has ended.
  private static func leaveEndedJob(_ status: Int32) -> Never {
    // The thread that ends the job still has to tell mpirun.
    while isEnding.load(ordering: .relaxed) { Foundation.sleep(1) }
    _exit(status)
  }

  /// Prints one line and ends the job on every rank, also when MPI itself is what hangs. Where a rank of this host
  /// already does that, the line is left out.
  static func endJob(_ line: String, status: Int32, isPermanent: Bool = false) -> Never {
    let board = board.withLock { $0 }
    guard board.claimEnd(status: status) else {
      // The watchdog ends this process as soon as the reason is printed.
      Foundation.sleep(10)
      _exit(board.claimedStatus ?? status)
    }
    isEnding.store(true, ordering: .relaxed)
    board.entries[board.own].end(status: status)
    let text = "byol-dist: \(line)\n"
    let isTold = Launch(environment: ProcessInfo.processInfo.environment)
      .leave(status: status, isPermanent: isPermanent, mark: "aborted ", line: text)
    if !isTold {
      // One write, so that the lines of several ranks do not mix.
      let bytes = Array(text.utf8)
      _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
    let lastResort = Thread {
      Foundation.sleep(10)
      _exit(status)
    }
    lastResort.start()
    var running: Int32 = 0
    var over: Int32 = 0
    MPI_Initialized(&running)
    MPI_Finalized(&over)
    let abortsMPI = running != 0 && over == 0
    board.publishEnd(status: status)
    if abortsMPI { MPI_Abort(cmpi_comm_world(), status) }
    _exit(status)
  }
}
