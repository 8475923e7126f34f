import Collectives
import XCTest

/// A process without mpirun: every collective returns at once with what the rank has.
final class WorldOfOneTests: XCTestCase {
  private func world() throws -> Communicator {
    let world = try Communicator.start()
    try XCTSkipUnless(world.size == 1, "needs a process that mpirun did not start")
    return world
  }

  func testStartGivesTheSameCommunicatorAgain() throws {
    let world = try world()
    XCTAssertTrue(try Communicator.start() === world)
    XCTAssertEqual(world.rank, 0)
    XCTAssertEqual(try world.split(color: 3, key: 0).size, 1)
    XCTAssertEqual(try world.splitByHost().size, 1)
  }

  func testEveryCollectiveKeepsTheOwnValues() throws {
    let world = try world()
    var values: [Float] = [1, -2, .infinity]
    let before = values
    try world.barrier()
    try world.allReduce(&values, .sum)
    XCTAssertEqual(try world.broadcast(values, from: 0), before)
    XCTAssertEqual(try world.allGather(values), [before])
    XCTAssertEqual(try world.gather(values, at: 0), [before])
    XCTAssertEqual(try world.allReduce(Int64.min, .max), .min)
    try values.withUnsafeMutableBufferPointer { values in
      let pending = try world.startAllReduce(values, .sum)
      XCTAssertTrue(try pending.poll())
      try pending.wait()
      try world.startBroadcast(values, from: 0).wait()
    }
    XCTAssertEqual(values, before)
  }

  func testAllGatherCopiesAndChecksTheCount() throws {
    let world = try world()
    let part: [Int32] = [4, 5]
    var whole: [Int32] = [0, 0]
    try part.withUnsafeBufferPointer { part in
      try whole.withUnsafeMutableBufferPointer { try world.allGather(part, into: $0) }
    }
    XCTAssertEqual(whole, part)
    var long: [Int32] = [0, 0, 0]
    XCTAssertThrowsError(
      try part.withUnsafeBufferPointer { part in
        try long.withUnsafeMutableBufferPointer { try world.allGather(part, into: $0) }
      }
    ) { error in
      XCTAssertEqual(
        "\(error)", "all-gather of 2 elements failed on rank 0: 1 ranks' parts make 2 elements, not 3")
    }
  }

  private struct Mistake: StatusError, CustomStringConvertible {
    let description = "--batch 7: a multiple of 2 was due"
    var exitStatus: Int32 { 2 }
  }

  func testTogetherThrowsASharedErrorAsItDoesOnManyRanks() throws {
    let world = try world()
    XCTAssertEqual(try world.together { 5 }, 5)
    XCTAssertEqual(try world.decideOnRoot { [1, 2] }, [1, 2])
    XCTAssertThrowsError(try world.together { throw Mistake() }) { error in
      let shared = error as? SharedError
      XCTAssertEqual(shared?.message, "--batch 7: a multiple of 2 was due")
      XCTAssertEqual(shared?.exitStatus, 2)
      XCTAssertEqual(shared?.rank, 0)
      XCTAssertTrue(shared?.underlying is Mistake)
    }
  }

  func testACollectiveErrorIsNotNegotiated() throws {
    let world = try world()
    let broken = CollectiveError(operation: .broadcast, rank: 0, count: 3, message: "the network is down")
    XCTAssertThrowsError(try world.together { throw broken }) { XCTAssertTrue($0 is CollectiveError) }
  }
}

final class CollectiveWatchdogTests: XCTestCase {
  func testThePlaceIsWhatWasNotedLast() {
    CollectiveWatchdog.note("forward", step: 41)
    XCTAssertEqual(CollectiveWatchdog.place, "step 41, forward")
    CollectiveWatchdog.note("checkpoint")
    XCTAssertEqual(CollectiveWatchdog.place, "step 41, checkpoint")
  }

  func testTheLimitIsInSecondsAndNeverNone() {
    let before = CollectiveWatchdog.limit
    defer { CollectiveWatchdog.limit = before }
    CollectiveWatchdog.limit = 2.5
    XCTAssertEqual(CollectiveWatchdog.limit, 2.5)
    CollectiveWatchdog.limit = 0
    XCTAssertGreaterThan(CollectiveWatchdog.limit, 0)
    CollectiveWatchdog.limit = .infinity
    XCTAssertGreaterThan(CollectiveWatchdog.limit, 1e6)
  }
}
