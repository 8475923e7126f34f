import Collectives
import Kernels
import Layers
import Methods
import Synchronization

/// The end of a step on ranks that share a host: parameters, velocity and, where it can be, the target lie once in memory
/// that all of them map, instead of once a rank. Each rank has its share of the flat buffers, in pieces; it adds up a piece's
/// gradients where the host's ranks are all there are, and updates it for all. Who is done takes pieces of the others'
/// shares, so that a rank that is behind updates fewer; and who waits for others in the backward pass takes what all are done
/// with. No number depends on who computes it, nor when: the bits are those of `Optimizer.update` and `MovingAverageTarget`
/// on replicas.
///
/// Optimizer state that is shared out over the ranks is ZeRO's first stage (Rajbhandari et al. 2020, arXiv 1910.02054); shared
/// memory spares the messages.
package final class HostUpdate {
  /// Floats of a piece: enough that taking it costs nothing, few enough that a piece's numbers stay cached.
  package static let pieceFloats = 1 << 15

  /// Which ranks move the target's pieces here.
  private enum TargetShare { case nobody, rank0, everyRank }

  private let memory: HostMemory
  private let host: Communicator
  private let method: Siamese
  private let optimizer: Optimizer
  private let clock: PhaseClock
  private let pieces: [Optimizer.Piece]
  private let targetShare: TargetShare
  /// Whether the gradients are added up here: where the host's ranks are all.
  package let addsGradients: Bool
  /// Whether a rank that waits updates what is ready. Where ranks share cores, it leaves its core to those it waits for.
  package var updatesWhileWaiting: Bool
  /// What a step's gradients are the sum of: each rank's, or this rank's where they are added up between hosts.
  private let gradients: UnsafeMutableBufferPointer<UnsafePointer<Float>>
  private let adaptations: UnsafeMutablePointer<Float>
  /// Steps that this rank has begun; all ranks count alike.
  private var round: UInt64 = 0
  /// The step's learning rate, and what the target keeps; nil leaves it.
  private var (rate, tau) = (0.0, Double?.none)
  /// The round of the last update.
  private var updates: UInt64 = 0
  /// Pieces that are ready on this rank in this round.
  private var ready = 0
  /// The next pieces, one a share, whose target rank 0 moves in this round.
  private let moving: UnsafeMutablePointer<Atomic<Int>>

  /// The counters that ranks tell each other by. Each comes to the round's number, but those that count pieces.
  private struct Counters {
    let ranks: Int
    let pieces: Int
    /// Counters of a cache line.
    static let line = 8
    /// Each rank's, on a cache line of its own: pieces of its share that were taken, over all rounds.
    var taken: Int { 0 }
    /// The same for sums of squares.
    var takenSquares: Int { Self.line * ranks }
    /// The target is there.
    var target: Int { Self.line * 2 * ranks }
    /// Each rank's: pieces, over all rounds, whose gradients are there and whose parameters it uses no more.
    var ready: Range<Int> { target + Self.line..<target + Self.line + ranks }
    /// Each piece's: it is updated.
    var updated: Range<Int> { ready.upperBound..<ready.upperBound + pieces }
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
    (self.memory, self.method, self.optimizer) = (memory, method, optimizer)
    clock = method.context.clock
    addsGradients = host.size == world.size
    updatesWhileWaiting = try ThreadCount.hasCores(method.context.team.threads, host: host)
    targetShare =
      switch (method.target, placement) {
      case (nil, _): .nobody
      case (_, .everyRank): .everyRank
      case (_, .rank0): host.size == world.size ? .rank0 : .nobody
      }
    let ranks = addsGradients ? Array(0..<host.size) : [host.rank]
    gradients = .allocate(capacity: ranks.count)
    for (place, rank) in ranks.enumerated() { gradients[place] = UnsafePointer(memory.floats(of: rank)) }
    adaptations = .allocate(capacity: optimizer.ruleCount)
    moving = .allocate(capacity: host.size)
    for share in 0..<host.size { (moving + share).initialize(to: Atomic(0)) }
    method.online.gradients = buffer(of: host.rank, at: 0, count: online)
  }

  deinit {
    gradients.deallocate()
    adaptations.deallocate()
    moving.deinitialize(count: host.size)
    moving.deallocate()
  }

  /// Whether the target is moved here.
  package var movesTarget: Bool { targetShare != .nobody }

  /// Begins a step. Collective, as are all that follow.
  /// - Parameter tau: nil leaves the target.
  package func begin(rate: Double, tau: Double?) {
    round += 1
    (self.rate, self.tau, ready) = (rate, tau, 0)
    for share in 0..<host.size { moving[share].store(self.share(of: share).lowerBound, ordering: .relaxed) }
    if optimizer.partialCount == 0 { optimizer.adaptations(partials, into: adaptations) }
  }

  /// Says that this rank has the gradients from an offset of the flat buffer on and uses the parameters there no more.
  package func ready(from offset: Int) {
    while ready < pieces.count, pieces[ready].range.lowerBound >= offset { ready += 1 }
    memory.move(counters.ready.lowerBound + host.rank, to: piecesBefore + UInt64(ready))
  }

  /// Updates a piece that is ready on all ranks, where one is left: what a rank does while it waits for others.
  /// - Returns: whether there was one.
  package func updateReady() -> Bool {
    // Layer-wise rates need whole layers' gradients, and those of other hosts are not there yet.
    guard updatesWhileWaiting, addsGradients, optimizer.partialCount == 0 else { return false }
    guard let index = take(counters.taken, of: piecesReady) else { return false }
    clock.measure(.optimizer) { update(index, buffers, on: 0) }
    return true
  }

  /// Says that this rank's backward pass is over, and returns when that of all ranks is.
  /// - Throws: `CollectiveError`.
  package func arrive() throws {
    ready(from: 0)
    try clock.measure(.communication) {
      try memory.wait(for: counters.ready, toReach: piecesBefore + UInt64(pieces.count)) { updateReady() }
    }
  }

  /// Updates parameters and target after all ranks have arrived. The target is there after `settle`.
  /// - Throws: `CollectiveError`.
  package func run(team: ThreadTeam) throws {
    if optimizer.partialCount > 0 {
      team.run { _ in square() }
      try wait(for: counters.squared, toReach: round)
      optimizer.adaptations(partials, into: adaptations)
    }
    team.run { thread in update(thread) }
    try wait(for: counters.updated, toReach: round)
    updates = round
    if targetShare == .rank0, host.rank == 0 {
      moveUpdated(0)
      memory.move(counters.target, to: round)
    }
  }

  /// Waits until the target of the last update is there. It is not to be read before.
  /// - Throws: `CollectiveError`.
  package func settle() throws {
    if targetShare == .rank0 { try wait(for: counters.target..<counters.target + 1, toReach: updates) }
  }

  private func wait(for counters: Range<Int>, toReach count: UInt64) throws {
    try clock.measure(.communication) { try memory.wait(for: counters, toReach: count) }
  }

  /// Makes one copy of what the host's ranks have each, who must have the same. Before the first step.
  /// - Throws: `CollectiveError`.
  package func takeParameters() throws {
    let online = method.online.values.count
    let values = buffer(of: 0, at: online, count: online)
    let velocity = buffer(of: 0, at: 2 * online, count: online)
    // Each rank its share, so that it lies near the core that will update it where memory has a place.
    let share = share(of: host.rank).map { pieces[$0].range }
    let own = (share.last?.lowerBound ?? 0)..<(share.first?.upperBound ?? 0)
    func fill(_ block: Int, _ copy: AlignedBuffer, from replica: AlignedBuffer) {
      let range = own.clamped(to: 0..<copy.count)
      if range.isEmpty { return }
      let source = replica.pointer + range.lowerBound
      (copy.pointer + range.lowerBound).update(from: source, count: range.count)
      memory.joinPages(of: 0, block * online + range.lowerBound..<block * online + range.upperBound)
    }
    fill(1, values, from: method.online.values)
    fill(2, velocity, from: optimizer.velocity)
    let replica = movesTarget ? method.target : nil
    let target = replica.map { buffer(of: 0, at: 3 * online, count: $0.values.count) }
    if let replica, let target { fill(3, target, from: replica.values) }
    // Only what is written to can be joined.
    method.online.gradients.pointer.update(repeating: 0, count: online)
    memory.joinPages(of: host.rank, 0..<online)
    try host.barrier()
    method.online.values = values
    optimizer.velocity = velocity
    if let target { replica?.values = target }
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
    let all = UnsafeBufferPointer(gradients)
    return .init(
      weights: method.online.values.pointer, velocity: optimizer.velocity.pointer,
      gradients: optimizer.partialCount > 0 ? UnsafeBufferPointer(rebasing: all[..<1]) : all)
  }

  /// The pieces of a rank's share.
  private func share(of rank: Int) -> Range<Int> {
    host.share(of: pieces.count, for: rank)
  }

  /// Pieces of all rounds before this one.
  private var piecesBefore: UInt64 { (round - 1) * UInt64(pieces.count) }

  /// How many pieces are ready on all ranks, which are the first ones.
  private var piecesReady: Int {
    Int(counters.ready.reduce(.max) { min($0, memory.count($1)) } - piecesBefore)
  }

  /// A piece that nobody else gets, of this rank's share if there is one left.
  /// - Parameters:
  ///   - taken: the first share's counter.
  ///   - count: the first pieces, of which it is to be one.
  private func take(_ taken: Int, of count: Int) -> Int? {
    for next in 0..<host.size {
      let owner = (host.rank + next) % host.size
      let share = share(of: owner)
      let before = (round - 1) * UInt64(share.count)
      let end = before + UInt64(share.clamped(to: 0..<count).count)
      if let number = memory.take(taken + Counters.line * owner, before: end) {
        return share.lowerBound + Int(number - before)
      }
    }
    return nil
  }

  /// Leaves the sums of squares of all pieces that this thread gets.
  private func square() {
    let buffers = buffers
    while let index = take(counters.takenSquares, of: pieces.count) {
      let piece = pieces[index]
      let others = UnsafeBufferPointer(rebasing: UnsafeBufferPointer(gradients)[1...])
      ParameterUpdates.add(others, to: memory.floats(of: 0), piece.range)
      if optimizer.adapts(piece) {
        optimizer.square(piece, weights: buffers.weights, gradients: buffers.gradients[0], into: partials)
      }
      memory.move(counters.squared.lowerBound + index, to: round)
    }
  }

  /// Updates all pieces that this thread gets.
  private func update(_ thread: Int) {
    let buffers = buffers
    while let index = take(counters.taken, of: pieces.count) { update(index, buffers, on: thread) }
  }

  /// Updates a piece, and moves the target where that is this rank's.
  private func update(_ index: Int, _ buffers: ParameterUpdates.Buffers, on thread: Int) {
    let piece = pieces[index]
    optimizer.update(piece, buffers, rate: rate, adaptation: adaptations[piece.rule])
    if targetShare == .everyRank { clock.measure(.ema, on: thread) { move(piece) } }
    memory.move(counters.updated.lowerBound + index, to: round)
    if targetShare == .rank0, host.rank == 0 { moveUpdated(thread) }
  }

  /// Moves the target as far as the pieces that follow one another in a share are updated.
  private func moveUpdated(_ thread: Int) {
    clock.measure(.ema, on: thread) {
      for owner in 0..<host.size {
        let end = share(of: owner).upperBound
        while true {
          let index = moving[owner].load(ordering: .relaxed)
          guard index < end, memory.count(counters.updated.lowerBound + index) >= round else { break }
          let isTaken = moving[owner].compareExchange(expected: index, desired: index + 1, ordering: .relaxed).exchanged
          if isTaken { move(pieces[index]) }
        }
      }
    }
  }

  private func move(_ piece: Optimizer.Piece) {
    guard let tau, let target = method.target else { return }
    // The target's parameters come first in the online network's.
    let range = piece.range.clamped(to: 0..<target.values.count)
    ParameterUpdates.movingAverage(
      target: target.values.pointer, online: method.online.values.pointer, range, tau: tau)
  }
}
