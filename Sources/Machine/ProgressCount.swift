import Synchronization

/// A count that long work moves on, so that another process can tell a rank that is slow from one that is stuck: an
/// iteration of a solver, a block of rows, a piece of a file.
public enum ProgressCount {
  private static let count = Atomic<UInt64>(0)

  /// Moves the count on. Costs a relaxed load and store; of two threads that call at the same time one may go
  /// uncounted.
  public static func advance() {
    count.store(count.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  /// How often the count was moved on.
  public static var value: UInt64 { count.load(ordering: .relaxed) }
}
