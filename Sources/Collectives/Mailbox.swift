internal import CMPI
import Foundation

/// Memory that the ranks of one host share, through which short sums cross them without a call to MPI: a rank leaves its
/// numbers in a slot, goes on, and later adds up what all have left. Where a message through MPI costs a dozen
/// microseconds after a millisecond of computing, which has emptied the caches of MPI's own code and queues, this costs
/// one or two; and it crosses while both ranks compute, which MPI's does inside MPI calls only.
///
/// The order of a sum is that of recursive doubling, which MPI is told to use between hosts: the bits do not depend on the
/// hosts that the ranks get.
package final class Mailbox {
  /// More ranks of a host would each read all the others' slots; MPI does better.
  static let mostRanks = 8
  /// Messages that may be under way at a time.
  static let slots = 16
  /// What fits a slot: the sums of two views and 4,096 channels; 128 dimensions times themselves.
  static let slotDoubles = 16384

  /// Each number in a cache line of its own, which one rank writes and the others read.
  private static let line = 64
  /// A segment: by slot, the message last posted and the message last taken out of all slots; the slots.
  private static let postedAt = 0
  private static let takenAt = postedAt + slots * line
  private static let slotsAt = takenAt + slots * line
  private static let bytes = slotsAt + slots * slotDoubles * MemoryLayout<Double>.stride

  private let rank: Int
  private let shared: SharedSegments
  private var segments: [UnsafeMutableRawPointer] { shared.segments }
  /// The messages so far, from 1; all ranks count alike.
  private var last: UInt64 = 0
  /// The last message of each slot that this rank has taken.
  private var taken: [UInt64]

  private init(rank: Int, _ shared: SharedSegments) {
    self.rank = rank
    self.shared = shared
    taken = [UInt64](repeating: 0, count: Self.slots)
  }

  /// Collective: a mailbox on all ranks, or on none where they are too many, not all of one host, or kept from each
  /// other's memory.
  /// - Throws: `CollectiveError`.
  static func open(_ communicator: Communicator) throws -> Mailbox? {
    guard communicator.size <= mostRanks else { return nil }
    return try SharedSegments.open(communicator, bytes: bytes).map { Mailbox(rank: communicator.rank, $0) }
  }

  /// A message that this rank has posted.
  struct Message {
    fileprivate let number: UInt64
    fileprivate var slot: Int { Int(number % UInt64(Mailbox.slots)) }
  }

  /// Posts this rank's numbers, once all ranks have taken what the slot held before.
  /// - Returns: nil, on all ranks alike, for what has no room: too many numbers, or too many messages not yet taken.
  func post(_ numbers: UnsafeBufferPointer<Double>, over communicator: MPI_Comm) -> Message? {
    let message = Message(number: last + 1)
    let before = message.number > UInt64(Self.slots) ? message.number - UInt64(Self.slots) : 0
    guard numbers.count <= Self.slotDoubles, taken[message.slot] == before else { return nil }
    last = message.number
    for rank in segments.indices { awaitShared(communicator) { load(rank, Self.takenAt, message) >= before } }
    if let source = numbers.baseAddress { numbersOf(rank, message).update(from: source, count: numbers.count) }
    store(message.number, Self.postedAt, message)
    return message
  }

  /// Whether all ranks have posted theirs; lets MPI work meanwhile.
  func isComplete(_ message: Message, over communicator: MPI_Comm) -> Bool {
    cmpi_progress(communicator)
    return segments.indices.allSatisfy { load($0, Self.postedAt, message) >= message.number }
  }

  /// Waits for all ranks' numbers and puts their sums into `sums`.
  func take(
    _ message: Message, into sums: UnsafeMutableBufferPointer<Double>, over communicator: MPI_Comm,
    meanwhile: () -> Bool
  ) {
    for rank in segments.indices {
      awaitShared(communicator, meanwhile: meanwhile) { load(rank, Self.postedAt, message) >= message.number }
    }
    if let target = sums.baseAddress { add(message, into: target, count: sums.count) }
    taken[message.slot] = message.number
    store(message.number, Self.takenAt, message)
  }

  /// The order of recursive doubling: where the ranks are no power of two, the first ones in pairs; then neighbours, then
  /// neighbours of those, and so on.
  private func add(_ message: Message, into sums: UnsafeMutablePointer<Double>, count: Int) {
    if segments.count == 2 {
      let (a, b) = (numbersOf(0, message), numbersOf(1, message))
      for i in 0..<count { sums[i] = a[i] + b[i] }
      return
    }
    var power = 1
    while power * 2 <= segments.count { power *= 2 }
    let pairs = segments.count - power
    withUnsafeTemporaryAllocation(of: Double.self, capacity: power) { terms in
      for i in 0..<count {
        for term in 0..<power {
          let first = term < pairs ? 2 * term : term + pairs
          terms[term] = numbersOf(first, message)[i]
          if term < pairs { terms[term] += numbersOf(first + 1, message)[i] }
        }
        var distance = 1
        while distance < power {
          for term in stride(from: 0, to: power, by: 2 * distance) { terms[term] += terms[term + distance] }
          distance *= 2
        }
        sums[i] = terms[0]
      }
    }
  }

  private func numbersOf(_ rank: Int, _ message: Message) -> UnsafeMutablePointer<Double> {
    (segments[rank] + Self.slotsAt).assumingMemoryBound(to: Double.self) + message.slot * Self.slotDoubles
  }

  private func load(_ rank: Int, _ place: Int, _ message: Message) -> UInt64 {
    cmpi_load_acquire(segments[rank] + place + message.slot * Self.line)
  }

  private func store(_ value: UInt64, _ place: Int, _ message: Message) {
    cmpi_store_release(segments[rank] + place + message.slot * Self.line, value)
  }
}
