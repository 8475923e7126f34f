import Collectives
import Kernels
import Layers
import Methods
import Synchronization

/// The end of a step on ranks that share a host: parameters, velocity and, where it can be, the target lie once in memory
/// that all of them map, instead of once a rank. Whoever is free takes the next piece of the flat buffers, adds up its
/// gradients where two ranks are all there are, and updates it for all, so that a rank that is behind takes fewer. No number
/// depends on who computes it: the bits are those of `Optimizer.update` and `MovingAverageTarget` on replicas.
///
/// Optimizer state that is shared out over the ranks is ZeRO's first stage (Rajbhandari et al. 2020, arXiv 1910.02054); shared
/// memory spares the messages.
package final class HostUpdate {
  /// Floats of a piece: enough that taking it costs nothing, few enough that a piece's numbers stay cached.
  private static let pieceFloats = 1 << 15

  /// Which ranks move the target's pieces here.
  private enum TargetShare { case nobody, rank0, everyRank }

  private let memory: HostMemory
  private let host: Communicator
  private let world: Communicator
  private let method: Siamese
  private let optimizer: Optimizer
  private let clock: PhaseClock
  private let pieces: [Optimizer.Piece]
  private let targetShare: TargetShare
  /// Whether the gradients are added up here: of two ranks, whose sums have one order.
  package let addsGradients: Bool
  private let adaptations: UnsafeMutablePointer<Float>
  /// Steps that this rank has begun; all ranks count alike.
  private var round: UInt64 = 0
  private var hasParameters = false
  /// Pieces of the target that rank 0 has taken in this round.
  private let moved = Atomic<Int>(0)

  /// The counters that ranks tell each other by, each of which comes to the round's number, but `next`.
  private struct Counters {
    let ranks: Int
    let pieces: Int
    /// The next piece to be taken, over all rounds; on a cache line of its own.
    let next = 0
    /// The same for sums of squares.
    let nextSquare = 8
    /// The target is there.
    let target = 16
    /// Each rank's: its gradients are there, and it uses the parameters no more.
    var arrived: Range<Int> { 24..<24 + ranks }
    /// Each piece's: it is updated.
    var updated: Range<Int> { arrived.upperBound..<arrived.upperBound + pieces }
    /// Each piece's: its sums of squares are there.
    var squared: Range<Int> { updated.upperBound..<updated.upperBound + pieces }
    var count: Int { squared.upperBound }
  }
  private let counters: Counters

  /// Moves the online gradients to the memory; the parameters follow in the first step, whoever sets them until then.
  /// Collective.
  /// - Returns: nil, on all ranks of the host, where they cannot share memory.
  /// - Throws: `CollectiveError`.
  init?(_ method: Siamese, _ optimizer: Optimizer, placement: EMAPlacement, world: Communicator) throws {
    guard world.sharesMemory else { return nil }
    host = try world.splitByHost()
    let online = method.online.values.count
    pieces = optimizer.pieces(of: Self.pieceFloats)
    counters = Counters(ranks: host.size, pieces: pieces.count)
    let floats = 3 * online + (method.target?.values.count ?? 0) + 2 * optimizer.partialCount
    guard let memory = try host.hostMemory(floats: floats, counters: counters.count) else { return nil }
    (self.memory, self.world, self.method, self.optimizer) = (memory, world, method, optimizer)
    clock = method.context.clock
    addsGradients = world.size == 2 && host.size == 2
    targetShare =
      switch (method.target, placement) {
      case (nil, _): .nobody
      case (_, .everyRank): .everyRank
      case (_, .rank0): host.size == world.size ? .rank0 : .nobody
      }
    adaptations = .allocate(capacity: optimizer.ruleCount)
    method.online.gradients = buffer(of: host.rank, at: 0, count: online)
  }

  deinit { adaptations.deallocate() }

  /// Whether the target is moved here.
  var movesTarget: Bool { targetShare != .nobody }

  /// Says that this rank's backward pass is over. Collective, as are all that follow.
  package func arrive() {
    round += 1
    memory.move(counters.arrived.lowerBound + host.rank, to: round)
  }

  /// Updates parameters and target, once all ranks have arrived. The target is there after `settle`.
  /// - Parameter tau: nil leaves the target.
  /// - Throws: `CollectiveError`.
  package func run(rate: Double, tau: Double?, team: ThreadTeam) throws {
    try memory.wait(for: counters.arrived, toReach: round)
    if optimizer.partialCount > 0 {
      team.run { _ in square() }
      try memory.wait(for: counters.squared, toReach: round)
    }
    optimizer.adaptations(partials, into: adaptations)
    moved.store(0, ordering: .relaxed)
    team.run { thread in update(rate, tau, thread) }
    try memory.wait(for: counters.updated, toReach: round)
    if targetShare == .rank0, host.rank == 0 {
      moveUpdated(tau, thread: 0)
      memory.move(counters.target, to: round)
    }
  }

  /// Waits until the target of the last update is there. It is not to be read before.
  /// - Throws: `CollectiveError`.
  package func settle() throws {
    if targetShare == .rank0 { try memory.wait(for: counters.target..<counters.target + 1, toReach: round) }
  }

  /// Before the first step: one copy of what the ranks have each.
  /// - Throws: `ReplicaDifference` where they have not the same; `CollectiveError`.
  package func takeParameters() throws {
    guard !hasParameters else { return }
    hasParameters = true
    try ReplicaCheck.run(method, communicator: world)
    let online = method.online.values.count
    let values = buffer(of: 0, at: online, count: online)
    let velocity = buffer(of: 0, at: 2 * online, count: online)
    let target = method.target.map { buffer(of: 0, at: 3 * online, count: $0.values.count) }
    if host.rank == 0 {
      values.pointer.update(from: method.online.values.pointer, count: online)
      velocity.pointer.update(from: optimizer.velocity.pointer, count: online)
      if movesTarget, let target, let own = method.target?.values {
        target.pointer.update(from: own.pointer, count: own.count)
      }
    }
    try host.barrier()
    method.online.values = values
    optimizer.velocity = velocity
    if movesTarget, let target { method.target?.values = target }
  }

  private func buffer(of rank: Int, at first: Int, count: Int) -> AlignedBuffer {
    AlignedBuffer(UnsafeMutableBufferPointer(start: memory.floats(of: rank) + first, count: count), of: memory)
  }

  private var partials: UnsafeMutablePointer<Double> {
    let first = 3 * method.online.values.count + (method.target?.values.count ?? 0)
    return UnsafeMutableRawPointer(memory.floats(of: 0) + first).assumingMemoryBound(to: Double.self)
  }

  /// What a piece is updated with. Sums of squares need the gradients' sums, which are then where the first rank's were.
  private var buffers: ParameterUpdates.Buffers {
    let (values, velocity) = (method.online.values.pointer, optimizer.velocity.pointer)
    guard addsGradients else {
      return .init(weights: values, velocity: velocity, gradients: method.online.gradients.pointer)
    }
    return .init(
      weights: values, velocity: velocity, gradients: memory.floats(of: 0),
      otherGradients: optimizer.partialCount > 0 ? nil : memory.floats(of: 1))
  }

  /// Takes pieces until there are none, and leaves their sums of squares.
  private func square() {
    let buffers = buffers
    while let index = take(counters.nextSquare) {
      let piece = pieces[index]
      if addsGradients { ParameterUpdates.add(memory.floats(of: 1), to: memory.floats(of: 0), piece.range) }
      if optimizer.adapts(piece) { optimizer.square(piece, buffers, into: partials) }
      memory.move(counters.squared.lowerBound + index, to: round)
    }
  }

  /// Takes pieces until there are none, and updates them.
  private func update(_ rate: Double, _ tau: Double?, _ thread: Int) {
    let buffers = buffers
    while let index = take(counters.next) {
      let piece = pieces[index]
      optimizer.update(piece, buffers, rate: rate, adaptation: adaptations[piece.rule])
      if targetShare == .everyRank { clock.measure(.ema, on: thread) { move(piece, tau) } }
      memory.move(counters.updated.lowerBound + index, to: round)
      if targetShare == .rank0, host.rank == 0 { moveUpdated(tau, thread: thread) }
    }
  }

  private func take(_ counter: Int) -> Int? {
    let end = round * UInt64(pieces.count)
    return memory.take(counter, before: end).map { pieces.count - Int(end - $0) }
  }

  /// Moves the target as far as the parameters that follow one another are updated.
  private func moveUpdated(_ tau: Double?, thread: Int) {
    clock.measure(.ema, on: thread) {
      while true {
        let index = moved.load(ordering: .relaxed)
        guard index < pieces.count, memory.count(counters.updated.lowerBound + index) >= round else { return }
        let isTaken = moved.compareExchange(expected: index, desired: index + 1, ordering: .relaxed).exchanged
        if isTaken { move(pieces[index], tau) }
      }
    }
  }

  private func move(_ piece: Optimizer.Piece, _ tau: Double?) {
    guard let tau, let target = method.target else { return }
    // The target's parameters come first in the online network's.
    let range = piece.range.clamped(to: 0..<target.values.count)
    ParameterUpdates.movingAverage(
      target: target.values.pointer, online: method.online.values.pointer, range, tau: tau)
  }
}
