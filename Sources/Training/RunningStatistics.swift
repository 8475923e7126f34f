import Collectives
import Kernels
import Layers
import Methods

/// Running statistics across ranks. Where a batch norm's scope is narrower than the world each rank has its own; files
/// and probes use their mean over the ranks. The encoder's and the heads' may be one and the other.
public enum RunningStatistics {
  /// Runs `body` with every rank's running statistics replaced by their mean over the ranks, and puts the rank's own
  /// back afterwards, so that a probe or checkpoint does not change the run.
  /// Collective where the scope is narrower than the world.
  public static func averaged<R>(_ method: Siamese, communicator: Communicator, _ body: () throws -> R) throws -> R {
    let stores = method.networks.map(\.store).filter(\.hasStatisticsPerRank)
    guard !stores.isEmpty else { return try body() }
    let own = stores.map { Array($0.running.floats) }
    let share = 1 / Float(communicator.size)
    for (store, numbers) in zip(stores, own) {
      try communicator.allReduce(store.running.floats, .sum)
      for buffer in store.buffers {
        for index in buffer.offset..<buffer.offset + buffer.count {
          // What all ranks share keeps its bits; the mean of equal numbers need not.
          store.running.pointer[index] = buffer.isPerRank ? store.running.pointer[index] * share : numbers[index]
        }
      }
    }
    defer {
      for (store, numbers) in zip(stores, own) {
        for (index, number) in numbers.enumerated() { store.running.pointer[index] = number }
      }
    }
    return try body()
  }

  /// All ranks' own statistics at rank 0, rank by rank, online before target; empty where all ranks have the same.
  /// Collective.
  public static func gathered(_ method: Siamese, communicator: Communicator) throws -> [Float] {
    guard method.online.hasStatisticsPerRank else { return [] }
    let own = method.networks.flatMap { Array($0.store.running.floats) }
    return try communicator.gather(own, at: 0).flatMap { $0 }
  }

  /// Gives this rank its own statistics back from what `gathered` made with as many ranks.
  public static func restore(_ all: [Float], to method: Siamese, communicator: Communicator) {
    let buffers = method.networks.map(\.store.running)
    let each = buffers.reduce(0) { $0 + $1.count }
    guard method.online.hasStatisticsPerRank, all.count == each * communicator.size else { return }
    var next = communicator.rank * each
    for buffer in buffers {
      for index in 0..<buffer.count { buffer.pointer[index] = all[next + index] }
      next += buffer.count
    }
  }
}
