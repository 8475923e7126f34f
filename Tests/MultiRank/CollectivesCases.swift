import Collectives
import Foundation
import Kernels

/// Lengths around the sizes at which Open MPI changes its algorithm, and none at all.
private let lengths = [0, 1, 3, 100, 2_049, 65_537, 300_000]

/// A different small whole number for each rank and element, so that sums are exact in every type.
private func element(_ rank: Int, _ index: Int) -> Int { (rank * 7 + index * 3 + rank * index) % 17 }

private func values<T>(_ count: Int, rank: Int, _ make: (Int) -> T) -> [T] {
  (0..<count).map { make(element(rank, $0)) }
}

/// Floats whose sum depends on the order of the additions.
func roughFloats(_ count: Int, rank: Int) -> [Float] {
  var random = CounterRandom(42, UInt64(rank))
  return (0..<count).map { _ in Float(random.uniform(-1, 1) * exp2(random.uniform(-20, 20))) }
}

private func checkAllReduce<T: MPIElement & Comparable & AdditiveArithmetic>(
  _ communicator: Communicator, _ make: (Int) -> T
) throws {
  let ranks = 0..<communicator.size
  for count in lengths {
    for (op, combine) in [(Reduction.sum, { $0 + $1 }), (.min, { min($0, $1) }), (.max, { max($0, $1) })]
      as [(Reduction, (T, T) -> T)]
    {
      var found = values(count, rank: communicator.rank, make)
      try communicator.allReduce(&found, op)
      for index in 0..<count {
        let all = ranks.map { make(element($0, index)) }
        let wanted = all.dropFirst().reduce(all[0], combine)
        try expect(
          found[index] == wanted, "\(op) of \(count) \(T.self): element \(index) is \(found[index]), not \(wanted)")
      }
    }
  }
}

var collectivesCases: [MultiRankCase] {
  reductionCases + movementCases + splitCases + pendingCases
}

private var reductionCases: [MultiRankCase] {
  [
    MultiRankCase(name: "collectives: all-reduce sums, least and greatest of every element type") { communicator in
      try checkAllReduce(communicator) { Float($0) }
      try checkAllReduce(communicator) { Double($0) }
      try checkAllReduce(communicator) { Int32($0) }
      try checkAllReduce(communicator) { Int64($0) }
      try checkAllReduce(communicator) { UInt64($0) }
      try checkAllReduce(communicator) { UInt8($0) }
    },
    MultiRankCase(name: "collectives: all-reduce keeps 64 bits and signs") { communicator in
      let most = Int64.max / 16
      let sum = try communicator.allReduce(-most + Int64(communicator.rank), .sum)
      let ranks = Int64(communicator.size)
      try expectEqual(sum, -most * ranks + ranks * (ranks - 1) / 2)
      try expectEqual(try communicator.allReduce(Int32(-communicator.rank), .min), Int32(1 - communicator.size))
      try expectEqual(try communicator.allReduce(UInt64.max - UInt64(communicator.rank), .max), UInt64.max)
    },
    MultiRankCase(name: "collectives: all-reduce gives every rank the same bits, every time") { communicator in
      for count in [1, 7, 1_000, 4_099, 65_537, 1_000_003] {
        let own = roughFloats(count, rank: communicator.rank)
        var first = own
        try communicator.allReduce(&first, .sum)
        try expectSameOnAllRanks(first, communicator, "the sum of \(count) floats")
        for _ in 0..<2 {
          var again = own
          try communicator.allReduce(&again, .sum)
          try expect(again == first, "\(count) floats summed again differ")
        }
        let exact = (0..<communicator.size).reduce(Double(0)) { $0 + Double(roughFloats(1, rank: $1)[0]) }
        try expectClose([Double(first[0])], [exact], within: 1e-6 * 1_048_576, "the first sum")
      }
    },
  ]
}

private var movementCases: [MultiRankCase] {
  [
    MultiRankCase(name: "collectives: a barrier holds the early ranks") { communicator in
      // Rank 0 comes last; a rank that passed before it would find a clock before rank 0's arrival.
      if communicator.rank == 0 { usleep(50_000) }
      let arrival = Double(DispatchTime.now().uptimeNanoseconds)
      try communicator.barrier()
      let departure = Double(DispatchTime.now().uptimeNanoseconds)
      let last = try communicator.allReduce(arrival, .max)
      try expect(departure >= last, "left \((last - departure) / 1e9) s before the last rank came")
    },
    MultiRankCase(name: "collectives: broadcast from each root") { communicator in
      for root in 0..<communicator.size {
        for count in lengths {
          var found = values(count, rank: communicator.rank) { Float($0) }
          try found.withUnsafeMutableBufferPointer { try communicator.broadcast($0, from: root) }
          try expect(found == values(count, rank: root) { Float($0) }, "\(count) floats from rank \(root)")
        }
        let mine = [UInt8](repeating: UInt8(communicator.rank), count: communicator.rank * 3)
        let found = try communicator.broadcast(mine, from: root)
        try expectEqual(found, [UInt8](repeating: UInt8(root), count: root * 3), "the array of rank \(root)")
      }
    },
    MultiRankCase(name: "collectives: all-gather in the order of the ranks") { communicator in
      for count in lengths where count < 100_000 {
        let part = values(count, rank: communicator.rank) { Int64($0) }
        let wanted = (0..<communicator.size).flatMap { rank in values(count, rank: rank) { Int64($0) } }
        var whole = [Int64](repeating: -1, count: count * communicator.size)
        try part.withUnsafeBufferPointer { part in
          try whole.withUnsafeMutableBufferPointer { try communicator.allGather(part, into: $0) }
        }
        try expect(whole == wanted, "\(count) elements a rank")
        var inPlace = [Int64](repeating: -1, count: count * communicator.size)
        try inPlace.withUnsafeMutableBufferPointer { whole in
          let own = whole[communicator.rank * count..<(communicator.rank + 1) * count]
          for (index, value) in part.enumerated() { whole[communicator.rank * count + index] = value }
          try communicator.allGather(UnsafeBufferPointer(rebasing: own), into: whole)
        }
        try expect(inPlace == wanted, "\(count) elements a rank in place")
      }
    },
    MultiRankCase(name: "collectives: all-gather refuses a wrong count before MPI sees it") { communicator in
      var whole = [Float](repeating: 0, count: 3 * communicator.size + 1)
      let error = try expectThrows(CollectiveError.self) {
        try whole.withUnsafeMutableBufferPointer { whole in
          try communicator.allGather(UnsafeBufferPointer(rebasing: whole[0..<3]), into: whole)
        }
      }
      try expectEqual(error.operation, .allGather)
      try expectEqual(error.rank, communicator.rank)
      try expectEqual(error.count, 3)
    },
    MultiRankCase(name: "collectives: arrays of different lengths, gathered by all and by each root") { communicator in
      // Some are empty, and rank 1's is the longest.
      func array(_ rank: Int) -> [Double] { values([3, 10, 0, 1][rank % 4], rank: rank) { Double($0) + 0.5 } }
      let wanted = (0..<communicator.size).map { array($0) }
      try expectEqual(try communicator.allGather(array(communicator.rank)), wanted, "all-gathered arrays")
      for root in 0..<communicator.size {
        let found = try communicator.gather(array(communicator.rank), at: root)
        try expectEqual(found, communicator.rank == root ? wanted : [], "gathered at \(root)")
      }
      try expectEqual(try communicator.allGather([UInt8]()).map(\.count), wanted.map { _ in 0 }, "all empty")
    },
  ]
}

private var splitCases: [MultiRankCase] {
  [
    MultiRankCase(name: "collectives: split by colour, ordered by key") { communicator in
      let color = communicator.rank % 3
      let part = try communicator.split(color: color, key: -communicator.rank)
      let members = (0..<communicator.size).filter { $0 % 3 == color }
      try expectEqual(part.size, members.count, "the size")
      try expectEqual(part.rank, members.reversed().firstIndex(of: communicator.rank), "the rank by falling key")
      try expectEqual(
        try part.allGather([Int32(communicator.rank)]).map { Int($0[0]) }, members.reversed(), "the members")
      try expectEqual(
        try part.allReduce(Int32(communicator.rank), .sum), Int32(members.reduce(0, +)), "a sum in the part")
      try expectEqual(try communicator.allReduce(Int32(1), .sum), Int32(communicator.size), "a sum in the whole")
      try expectEqual(try part.split(color: 0, key: 0).size, members.count, "the size of a part's part")
    },
    MultiRankCase(name: "collectives: split by host keeps one host's ranks together") { communicator in
      let own = try communicator.splitByHost()
      let hosts = try communicator.allGather(Array(Communicator.host.utf8))
      try expectEqual(own.size, hosts.filter { $0 == hosts[communicator.rank] }.count, "ranks on this host")
      let before = (0..<communicator.rank).filter { hosts[$0] == hosts[communicator.rank] }.count
      try expectEqual(own.rank, before, "the place on this host")
    },
  ]
}

private var pendingCases: [MultiRankCase] {
  [
    MultiRankCase(name: "collectives: several non-blocking ones, waited for in another order") { communicator in
      let ranks = 0..<communicator.size
      for count in lengths {
        var sum = values(count, rank: communicator.rank) { Float($0) }
        var greatest = values(count, rank: communicator.rank) { Double($0) }
        var told = values(count, rank: communicator.rank) { Int32($0) }
        let root = communicator.size - 1
        try sum.withUnsafeMutableBufferPointer { sum in
          try greatest.withUnsafeMutableBufferPointer { greatest in
            try told.withUnsafeMutableBufferPointer { told in
              let first = try communicator.startAllReduce(sum, .sum)
              let second = try communicator.startBroadcast(told, from: root)
              let third = try communicator.startAllReduce(greatest, .max)
              while try !third.poll() { usleep(100) }
              try communicator.barrier()
              try second.wait()
              try first.wait()
              try first.wait()
              try expect(try first.poll(), "a finished one is not done")
            }
          }
        }
        for index in 0..<count {
          let all = ranks.map { element($0, index) }
          try expectEqual(sum[index], Float(all.reduce(0, +)), "sum of \(count), element \(index)")
          try expectEqual(greatest[index], Double(all.max()!), "greatest of \(count), element \(index)")
          try expectEqual(told[index], Int32(element(root, index)), "broadcast of \(count), element \(index)")
        }
      }
    },
    MultiRankCase(name: "collectives: one that is over serves again, but not while somebody holds it") { communicator in
      func sum(_ value: Double) throws -> (Pending, Double) {
        var number = [value]
        let message = try number.withUnsafeMutableBufferPointer { numbers in
          let message = try communicator.startAllReduce(numbers, .sum)
          try message.wait()
          return message
        }
        return (message, number[0])
      }
      func place(_ value: Double) throws -> ObjectIdentifier {
        let (message, found) = try sum(value)
        try expectEqual(found, value * Double(communicator.size), "the sum of \(value)")
        return ObjectIdentifier(message)
      }
      let held = try sum(1).0
      let (first, second) = (try place(2), try place(3))
      try expect(first == second, "a message of its own for each sum")
      try expect(first != ObjectIdentifier(held), "a message that is held serves another sum")
      try held.wait()
    },
    MultiRankCase(name: "collectives: a non-blocking all-reduce gives every rank the same bits") { communicator in
      for count in [5, 4_099, 200_003] {
        let own = roughFloats(count, rank: communicator.rank)
        var results: [[Float]] = []
        for _ in 0..<2 {
          var buffer = own
          try buffer.withUnsafeMutableBufferPointer { try communicator.startAllReduce($0, .sum).wait() }
          results.append(buffer)
        }
        try expect(results[0] == results[1], "\(count) floats summed again differ")
        try expectSameOnAllRanks(results[0], communicator, "the sum of \(count) floats")
      }
    },
    MultiRankCase(name: "collectives: sums through shared memory have the bits that MPI's have") { communicator in
      // On one host there must be such memory, or the case would compare MPI with itself.
      let shares = try communicator.mailbox() != nil
      let isOneHost = try communicator.splitByHost().size == communicator.size
      try expect(
        shares == (isOneHost && (2...8).contains(communicator.size)),
        "\(communicator.size) ranks, of one host: \(isOneHost), share memory: \(shares)")
      defer { communicator.sharesMemory = true }
      for count in [1, 5, 512, 8_902, 16_384, 16_385, 20_000] {
        let own = roughFloats(count, rank: communicator.rank).map { Double($0) * .pi }
        var results: [[Double]] = []
        for sharesMemory in [true, false] {
          communicator.sharesMemory = sharesMemory
          var buffer = own
          try buffer.withUnsafeMutableBufferPointer { try communicator.startAllReduce($0, .sum).wait() }
          results.append(buffer)
        }
        try expect(results[0] == results[1], "\(count) numbers summed through shared memory differ from MPI's")
        try expectSameOnAllRanks(results[0], communicator, "the sum of \(count) numbers")
      }
    },
    MultiRankCase(name: "collectives: a rank that waits for a sum in shared memory has something else to do") {
      communicator in
      let (rank, size) = (communicator.rank, communicator.size)
      // Ranks open the memory for sums together, before one of them stays away; more than it serves send messages.
      let shares = try communicator.mailbox() != nil
      let asked = shares ? try communicator.hostMemory(floats: 1, counters: size) : nil
      for round in 0..<size {
        var (numbers, calls) = ([Double(rank), 1], 0)
        let done = UInt64(round + 1)
        // The last rank posts when the others have been asked five times, which they are only while they wait for it.
        if let asked, rank == round {
          asked.move(rank, to: done)
          try asked.wait(for: 0..<size, toReach: done)
        }
        try numbers.withUnsafeMutableBufferPointer {
          try communicator.startAllReduce($0, .sum).wait {
            calls += 1
            if calls == 5 { asked?.move(rank, to: done) }
            return calls < 5
          }
        }
        try expectEqual(numbers, [Double(size * (size - 1) / 2), Double(size)], "round \(round): the sums")
        try expect(asked == nil || rank == round || calls >= 5, "round \(round): asked \(calls) times")
      }
    },
    MultiRankCase(name: "collectives: more sums under way than shared memory has slots, some ranks late") {
      communicator in
      let (messages, count) = (75, 300)
      for round in 0..<3 {
        let sums = UnsafeMutableBufferPointer<Double>.allocate(capacity: messages * count)
        defer { sums.deallocate() }
        for index in sums.indices { sums[index] = Double(element(communicator.rank, index + round)) }
        // Late in posting: the others fill their slots, and wait for numbers that are not there yet.
        if communicator.rank == round % communicator.size { comeLate() }
        let pending = try (0..<messages).map {
          try communicator.startAllReduce(
            UnsafeMutableBufferPointer(rebasing: sums[$0 * count..<($0 + 1) * count]), .sum)
        }
        // Late in taking: the others must not overwrite what this rank has yet to read.
        if communicator.rank == (round + 1) % communicator.size { comeLate() }
        while try !pending[0].poll() {}
        for message in pending.reversed() { try message.wait() }
        for index in sums.indices {
          let wanted = (0..<communicator.size).map { element($0, index + round) }.reduce(0, +)
          try expectEqual(sums[index], Double(wanted), "round \(round), element \(index)")
        }
      }
    },
    MultiRankCase(name: "collectives: an ordered all-reduce has the bits of a sum in the order of the ranks") {
      communicator in
      let longest = 40_013
      let sums = OrderedAllReduce(communicator, longest: longest)
      for count in [0, 1, 7, 8, 1_000, longest] {
        let all = (0..<communicator.size).map { roughFloats(count, rank: $0 + count) }
        let wanted = all[1...].reduce(all[0]) { sum, other in zip(sum, other).map { $0 + $1 } }
        var found = all[communicator.rank]
        try found.withUnsafeMutableBufferPointer { try sums.run($0) }
        try expect(found == wanted, "\(count) floats of \(communicator.size) ranks")
      }
    },
    MultiRankCase(name: "collectives: memory of a host's ranks, late ones waited for, each number taken once") {
      communicator in
      // More than a huge page.
      let (count, numbers, rounds) = (700_013, 3_000, 5)
      let (next, arrived) = (0, 8..<8 + communicator.size)
      let memory = try communicator.hostMemory(floats: count, counters: arrived.upperBound)
      // Ranks of one host must share memory, or the case would test nothing on any rank count.
      let isOneHost = try communicator.splitByHost().size == communicator.size
      try expect(
        (memory != nil) == (isOneHost && communicator.size > 1),
        "\(communicator.size) ranks, of one host: \(isOneHost), memory in common: \(memory != nil)")
      guard let memory else { return }
      for round in 1...rounds {
        // With its numbers: who did not wait would read the last round's.
        if round % communicator.size == communicator.rank { comeLate() }
        let own = roughFloats(count, rank: communicator.rank + communicator.size * round)
        memory.floats(of: communicator.rank).update(from: own, count: count)
        // Where the others have seen the small pages already.
        if round > 2 { memory.joinPages(of: communicator.rank, 7_000..<count) }
        memory.move(arrived.lowerBound + communicator.rank, to: UInt64(round))
        try memory.wait(for: arrived, toReach: UInt64(round))
        for rank in 0..<communicator.size {
          let found = UnsafeBufferPointer(start: memory.floats(of: rank), count: count)
          let wanted = roughFloats(count, rank: rank + communicator.size * round)
          try expect(found.elementsEqual(wanted), "round \(round): another's floats are not those it wrote")
        }
        var taken = [Int64](repeating: 0, count: numbers)
        while let number = memory.take(next, before: UInt64(round * numbers)) {
          taken[Int(number) - (round - 1) * numbers] += 1
        }
        try communicator.allReduce(&taken, .sum)
        try expect(taken.allSatisfy { $0 == 1 }, "round \(round): a number was taken by several ranks, or by none")
      }
    },
  ]
}
