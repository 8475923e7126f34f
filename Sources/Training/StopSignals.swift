import Foundation
import Synchronization

/// The signals that ask a run to end after a complete checkpoint: TERM, USR1 and USR2 (batch systems), XCPU (a limit of CPU
/// time), INT (Ctrl-C), and HUP (a terminal that goes), unless that is ignored already, as under `nohup`.
///
/// This only notes the wish; the ranks agree on the step at which they stop by carrying it on a collective. A second
/// INT ends the process at once.
public enum StopSignals {
  /// The first signal that came, 0 for none. Atomic and without a lock: a handler may run between any two instructions.
  private static let first = Atomic<Int32>(0)
  private static let interrupts = Atomic<Int32>(0)

  private static let names: [(number: Int32, name: String)] = [
    (SIGTERM, "SIGTERM"), (SIGUSR1, "SIGUSR1"), (SIGUSR2, "SIGUSR2"), (SIGXCPU, "SIGXCPU"), (SIGINT, "SIGINT"),
    (SIGHUP, "SIGHUP"),
  ]

  /// Installs the handlers: before anything else, so that no signal is lost or deadly, and again after `MPI_Init`, which may
  /// install its own. Also ignores PIPE: a closed pipe behind the
  /// output (`| head`) must not kill a run, the writes to it fail and are not missed.
  public static func install() {
    // Reading both here makes sure that they are initialised, so that the handler only loads and stores.
    _ = requested
    _ = interrupts.load(ordering: .relaxed)
    var action = sigaction()
    action.sa_flags = SA_RESTART
    sigemptyset(&action.sa_mask)
    action.__sigaction_handler.sa_handler = { signal in StopSignals.note(signal) }
    for (number, _) in names where number != SIGHUP || !isIgnored(SIGHUP) { sigaction(number, &action, nil) }
    Foundation.signal(SIGPIPE, SIG_IGN)
  }

  /// The first of the signals that came; nil for none.
  public static var requested: Int32? {
    let signal = first.load(ordering: .relaxed)
    return signal == 0 ? nil : signal
  }

  /// `SIGTERM` and the like.
  public static func name(_ signal: Int32) -> String {
    names.first { $0.number == signal }?.name ?? "signal \(signal)"
  }

  private static func isIgnored(_ signal: Int32) -> Bool {
    var action = sigaction()
    sigaction(signal, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// The handler: async-signal-safe calls alone.
  private static func note(_ signal: Int32) {
    _ = first.compareExchange(expected: 0, desired: signal, ordering: .relaxed)
    guard signal == SIGINT, interrupts.add(1, ordering: .relaxed).oldValue > 0 else { return }
    Foundation.signal(SIGINT, SIG_DFL)
    raise(SIGINT)
  }

  /// Forgets what came, for tests.
  package static func reset() {
    first.store(0, ordering: .relaxed)
    interrupts.store(0, ordering: .relaxed)
  }
}
