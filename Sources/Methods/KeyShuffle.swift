import Collectives
import Kernels

/// Shuffled batch norm (He et al. 2020, section 3.3): the images of both views change places over all ranks before the
/// target sees them, and their projections go back. A key then shares its statistics with other images than its query,
/// whose company would otherwise tell which key is its own.
///
/// The order is a function of (seed, step) alone and of the global batch, so that ghosts of one rank's share on one rank
/// are what as many ranks have.
package final class KeyShuffle {
  package var seed: UInt64 = 0
  private let images: Int
  private let imageFloats: Int
  private let dimensions: Int
  private let world: Communicator
  private let clock: PhaseClock
  /// The image of the global batch that stands at each place.
  package private(set) var order: [Int32]
  private let plan: ExchangePlan
  /// This rank's images in the order in which they are sent, and the place here of each that is received.
  private var sentImages: [Int]
  private var receivedPlaces: [Int]
  private var nextFrom: [Int]
  private let outgoing: AlignedBuffer
  private let incoming: AlignedBuffer
  private let shuffled: AlignedBuffer
  private let collected: AlignedBuffer

  /// - Parameters:
  ///   - images: of one view on this rank.
  ///   - imageFloats: numbers in an image.
  ///   - dimensions: numbers in a projection.
  package init(images: Int, imageFloats: Int, dimensions: Int, world: Communicator, clock: PhaseClock) {
    self.images = images
    self.imageFloats = imageFloats
    self.dimensions = dimensions
    self.world = world
    self.clock = clock
    order = Array(0..<Int32(images * world.size))
    plan = ExchangePlan(ranks: world.size)
    sentImages = Array(repeating: 0, count: images)
    receivedPlaces = Array(repeating: 0, count: images)
    nextFrom = Array(repeating: 0, count: world.size)
    outgoing = AlignedBuffer(count: images * max(imageFloats, dimensions))
    incoming = AlignedBuffer(count: images * max(imageFloats, dimensions))
    shuffled = AlignedBuffer(count: 2 * images * imageFloats)
    collected = AlignedBuffer(count: 2 * images * dimensions)
  }

  /// The images that stand at this rank's places, [2 * images x imageFloats], of both views alike. Collective.
  package func scatter(_ views: UnsafePointer<Float>, step: Int) throws -> UnsafePointer<Float> {
    drawOrder(step)
    planExchange()
    for view in 0..<2 {
      let at = view * images * imageFloats
      try exchange(views + at, imageFloats, sentImages, into: shuffled.pointer + at, receivedPlaces, reversed: false)
    }
    return UnsafePointer(shuffled.pointer)
  }

  /// The projections of this rank's own images out of those at its places, [2 * images x dimensions]. Collective.
  package func collect(_ projections: UnsafePointer<Float>) throws -> UnsafePointer<Float> {
    for view in 0..<2 {
      let at = view * images * dimensions
      try exchange(
        projections + at, dimensions, receivedPlaces, into: collected.pointer + at, sentImages, reversed: true)
    }
    return UnsafePointer(collected.pointer)
  }

  /// Fisher and Yates' shuffle.
  private func drawOrder(_ step: Int) {
    var random = CounterRandom(seed, 0x7368_7566, UInt64(step))
    for place in order.indices { order[place] = Int32(place) }
    for place in stride(from: order.count - 1, to: 0, by: -1) {
      order.swapAt(place, Int(random.next() % UInt64(place + 1)))
    }
  }

  /// Who sends which image where: every rank goes through all places in order, and so all agree.
  private func planExchange() {
    plan.clear()
    var sent = 0
    let first = world.rank * images
    for (place, image) in order.enumerated() where Int(image) / images == world.rank {
      plan.addRow(to: place / images)
      sentImages[sent] = Int(image) - first
      sent += 1
    }
    for place in first..<first + images { plan.addRow(from: Int(order[place]) / images) }
    var next = 0
    for rank in nextFrom.indices {
      nextFrom[rank] = next
      next += Int(plan.received[rank])
    }
    for place in first..<first + images {
      let rank = Int(order[place]) / images
      receivedPlaces[nextFrom[rank]] = place - first
      nextFrom[rank] += 1
    }
  }

  private func exchange(
    _ rows: UnsafePointer<Float>, _ floats: Int, _ sources: [Int], into result: UnsafeMutablePointer<Float>,
    _ places: [Int], reversed: Bool
  ) throws {
    for (index, source) in sources.enumerated() {
      (outgoing.pointer + index * floats).update(from: rows + source * floats, count: floats)
    }
    try clock.measure(.communication) {
      try world.exchange(
        UnsafeBufferPointer(start: outgoing.pointer, count: images * floats), elements: floats,
        into: UnsafeMutableBufferPointer(start: incoming.pointer, count: images * floats), plan: plan,
        reversed: reversed)
    }
    for (index, place) in places.enumerated() {
      (result + place * floats).update(from: incoming.pointer + index * floats, count: floats)
    }
  }
}
