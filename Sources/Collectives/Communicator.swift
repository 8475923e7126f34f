internal import CMPI
import Foundation
import Synchronization

/// The ranks that talk to each other, and this process's place among them. Passed explicitly to whatever communicates.
///
/// Every method is a collective: each rank of the communicator calls it, in the same order, with the same counts. One
/// thread at a time may call. A communicator of one rank returns at once without MPI. A method that throws
/// `CollectiveError` leaves the communicator unusable: `abort` is what remains.
///
/// Reductions give the same bits on every rank and, for the same ranks, counts and hosts, the same bits from run to run.
public final class Communicator: @unchecked Sendable {
  public let rank: Int
  public let size: Int
  /// Absent in a process that was not started by mpirun or srun, where MPI is never loaded into play.
  let handle: MPI_Comm?
  /// Whether ranks of one host use memory that they share, where they can; the same on all ranks. Communicators made of this
  /// one have their own.
  package var sharesMemory = true
  private enum SharedMemory {
    case unopened, absent
    case open(Mailbox)
  }
  private var sharedMemory = SharedMemory.unopened
  /// See `splitByHost`.
  var ranksOfHost: Communicator?
  /// Those that were started, for use again.
  var pendings: [Pending] = []

  /// MPI's counts are 32 bits; longer buffers go in pieces of this many elements.
  static let longest = 1 << 30

  /// The name of the host that this process runs on.
  public static let host = ProcessInfo.processInfo.hostName

  private static let world = Mutex<Communicator?>(nil)

  init(handle: MPI_Comm?) throws {
    self.handle = handle
    guard let handle else {
      (rank, size) = (0, 1)
      return
    }
    var place: Int32 = 0
    var count: Int32 = 0
    MPI_Comm_rank(handle, &place)
    MPI_Comm_size(handle, &count)
    (rank, size) = (Int(place), Int(count))
    // Errors come back as codes that are thrown with operation and count, instead of MPI's own message and abort.
    let status = MPI_Comm_set_errhandler(handle, cmpi_errors_return())
    guard status == cmpi_success() else {
      throw CollectiveError(operation: .start, rank: rank, count: 0, message: mpiMessage(status))
    }
  }

  /// Memory that all ranks share; nil on all of them where there is none. Collective: the first call opens it.
  /// - Throws: `CollectiveError`.
  package func mailbox() throws -> Mailbox? {
    guard sharesMemory else { return nil }
    switch sharedMemory {
    case .absent: return nil
    case .open(let mailbox): return mailbox
    case .unopened:
      let mailbox = try Mailbox.open(self)
      sharedMemory = mailbox.map { .open($0) } ?? .absent
      return mailbox
    }
  }

  /// Joins the world of ranks that mpirun or srun started; a process started by neither is a world of one.
  /// Calling it again gives the same communicator.
  /// - Throws: `CollectiveError` when MPI cannot start, or when a launcher started several processes that this MPI
  ///   does not see as one job; `EnvironmentError`, or `SharedError` on many ranks, for a wrong variable of rank 0's.
  public static func start() throws -> Communicator {
    try world.withLock { world in
      if let world { return world }
      let launch = Launch(environment: ProcessInfo.processInfo.environment)
      // A wrong one of any rank's is left alone until rank 0's is known.
      if let limit = try? launch.timeLimit() { CollectiveWatchdog.limit = limit }
      let communicator = try launch.isJob ? join(launch) : Communicator(handle: nil)
      try agreeOnLimit(launch, communicator)
      if launch.isJob { try CollectiveWatchdog.join(communicator) }
      world = communicator
      return communicator
    }
  }

  /// The world, where this process has joined it; nil before `start`.
  public static var joined: Communicator? { world.withLock { $0 } }

  private static func join(_ launch: Launch) throws -> Communicator {
    for (name, value) in Launch.openMPIDefaults { setenv(name, value, 0) }
    CollectiveWatchdog.start(rank: launch.rank)
    var provided: Int32 = 0
    CollectiveWatchdog.begin(.start, count: 0)
    let status = MPI_Init_thread(nil, nil, cmpi_thread_serialized(), &provided)
    CollectiveWatchdog.end()
    guard status == cmpi_success() else {
      throw CollectiveError(operation: .start, rank: launch.rank, count: 0, message: mpiMessage(status))
    }
    let communicator = try Communicator(handle: cmpi_comm_world())
    MPI_Comm_set_errhandler(cmpi_comm_self(), cmpi_errors_return())
    guard communicator.size > 1 || launch.processes <= 1 else {
      throw CollectiveError(
        operation: .start, rank: launch.rank, count: 0,
        message: "the launcher started \(launch.processes) processes, but Open MPI sees each alone; "
          + "use Open MPI's mpirun, or srun --mpi=pmix")
    }
    return communicator
  }

  /// Gives all ranks rank 0's limit: variables seldom reach the ranks of other hosts.
  private static func agreeOnLimit(_ launch: Launch, _ communicator: Communicator) throws {
    guard communicator.size > 1 else {
      if let limit = try launch.timeLimit() { CollectiveWatchdog.limit = limit }
      return
    }
    let own = CollectiveWatchdog.limit
    let limit = try communicator.together { communicator.rank == 0 ? try launch.timeLimit() ?? own : own }
    CollectiveWatchdog.limit = try communicator.broadcast([limit], from: 0)[0]
  }

  /// Leaves MPI: no barrier of its own, but MPI waits for messages still under way. Does nothing in a world of one, or
  /// when called again.
  public static func finish() {
    CollectiveWatchdog.leave()
    var running: Int32 = 0
    var over: Int32 = 0
    MPI_Initialized(&running)
    MPI_Finalized(&over)
    guard running != 0, over == 0 else { return }
    CollectiveWatchdog.begin(.finish, count: 0)
    MPI_Finalize()
    CollectiveWatchdog.end()
  }

  /// Leaves MPI and ends this process, on every rank with the same `status`; the program's last call.
  ///
  /// Open MPI's mpirun answers the first status other than 0 by killing the ranks that are left, after waiting twice
  /// the time that a kill may take. So `launch/run` names a file in BYOL_DIST_STATUS_FILE: rank 0 leaves the status
  /// there if it can and the processes exit with 0.
  /// - Parameter isPermanent: whether the same job would fail again the same way; `launch/run` then starts it no more.
  public static func finish(status: Int32, isPermanent: Bool = false) -> Never {
    let launch = Launch(environment: ProcessInfo.processInfo.environment)
    CollectiveWatchdog.leave()
    var told = launch.rank > 0 && launch.statusFile != nil
    if launch.rank == 0, launch.statusFile != nil {
      // Before MPI is left: an mpirun that was told to end the job does not answer any more, and leaving it then hangs.
      told = launch.leave(status: status, isPermanent: isPermanent)
    }
    finish()
    // Without what libraries do at their end: OpenBLAS waits there for its threads, which ask for ever for memory that
    // a limit refuses.
    fflush(nil)
    _exit(told ? 0 : status)
  }

  /// Ends the job on all ranks: prints one line with this rank and its host on the standard error stream, and exits
  /// with `status`. For what the ranks cannot agree on any more.
  /// - Parameter isPermanent: as `finish` has it.
  public func abort(reason: String, status: Int32, isPermanent: Bool = false) -> Never {
    CollectiveWatchdog.endJob(
      "rank \(rank) on \(Self.host): \(CollectiveWatchdog.place): \(reason)", status: status, isPermanent: isPermanent)
  }

  /// Runs one MPI call under the watchdog and turns its code into an error.
  @inline(__always)
  func run(_ operation: CollectiveOperation, count: Int, _ call: (MPI_Comm) -> Int32) throws {
    guard let handle else { return }
    CollectiveWatchdog.begin(operation, count: count)
    let status = call(handle)
    CollectiveWatchdog.end()
    if status != cmpi_success() { throw failure(operation, count: count, mpiMessage(status)) }
  }

  func failure(_ operation: CollectiveOperation, count: Int, _ message: String) -> CollectiveError {
    CollectiveError(operation: operation, rank: rank, count: count, message: message)
  }

  /// A rank's even share of what the ranks divide among themselves, in their order.
  public func share(of count: Int, for rank: Int) -> Range<Int> { count * rank / size..<count * (rank + 1) / size }

  func check(root: Int) {
    precondition(root >= 0 && root < size, "there is no rank \(root) among \(size)")
  }
}
