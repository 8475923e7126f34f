import Collectives
import Foundation

/// `multirank-tests [--expect-ranks N] [--filter TEXT] [--list]`: runs the cases on the ranks that mpirun started.
/// Ends with "N passed, N failed" and status 1 when a case failed, none matched the filter, or the ranks are too few.
enum Runner {
  struct Options {
    var expectedRanks: Int?
    var filter = ""
    var list = false
    var child: [String]?
  }

  static func main(_ arguments: [String]) -> Int32 {
    guard let options = parse(arguments) else {
      return complain("usage: multirank-tests [--expect-ranks N] [--filter TEXT] [--list]", 2)
    }
    let matching = allCases.filter { options.filter.isEmpty || $0.name.contains(options.filter) }
    if options.list {
      for item in matching { print(item.name) }
      return matching.isEmpty ? 1 : 0
    }
    do {
      let world = try Communicator.start()
      if let child = options.child { return try Child.serve(child, world) }
      if let wanted = options.expectedRanks, wanted != world.size {
        return complain("the world has \(world.size) ranks, not the \(wanted) expected", 1)
      }
      guard !matching.isEmpty else {
        if world.rank == 0 { _ = complain("no case's name contains '\(options.filter)'", 1) }
        Communicator.finish()
        return 1
      }
      return try run(matching, world)
    } catch {
      return complain("\(error)", 1)
    }
  }

  private static func parse(_ arguments: [String]) -> Options? {
    var options = Options()
    var rest = arguments[...]
    while let flag = rest.popFirst() {
      switch flag {
      case "--list": options.list = true
      case "--filter":
        guard let text = rest.popFirst(), !text.isEmpty else { return nil }
        options.filter = text
      case "--expect-ranks":
        guard let count = rest.popFirst().flatMap({ Int($0) }), count > 0 else { return nil }
        options.expectedRanks = count
      case "--child":
        options.child = Array(rest)
        return options
      default: return nil
      }
    }
    return options
  }

  private static func complain(_ line: String, _ status: Int32) -> Int32 {
    FileHandle.standardError.write(Data("multirank-tests: \(line)\n".utf8))
    return status
  }

  /// Prints at once, so that a job that ends badly has shown how far it came.
  private static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

  private static func run(_ cases: [MultiRankCase], _ world: Communicator) throws -> Int32 {
    let due = cases.filter { $0.ranks.contains(world.size) }
    var failed = 0
    for item in due {
      let begin = Date()
      let failure = try outcome(of: item, world)
      if failure != nil { failed += 1 }
      guard world.rank == 0 else { continue }
      let seconds = String(format: "%.2f s", Date().timeIntervalSince(begin))
      if let failure {
        say("FAILED  \(item.name) on \(world.size) ranks (\(seconds)): rank \(failure.rank): \(failure.message)")
      } else {
        say("passed  \(item.name) on \(world.size) ranks (\(seconds))")
      }
    }
    if world.rank == 0 { say("\(due.count - failed) passed, \(failed) failed") }
    Communicator.finish()
    return failed == 0 ? 0 : 1
  }

  /// Runs a case on all ranks; nil, or on every rank the failure of the lowest failing one.
  private static func outcome(of item: MultiRankCase, _ world: Communicator) throws -> SharedError? {
    let alarm = Alarm(after: item.limit, world, "case '\(item.name)' took more than \(Int(item.limit)) s")
    defer { alarm.disarm() }
    let limit = CollectiveWatchdog.limit
    defer { CollectiveWatchdog.limit = limit }
    CollectiveWatchdog.limit = item.limit * 0.8
    let own = try world.split(color: 0, key: world.rank)
    do {
      try world.together {
        do {
          try item.body(own)
        } catch let error as CollectiveError {
          world.abort(reason: "case '\(item.name)': \(error)", status: 1)
        } catch {
          // The others may be waiting for this rank inside the case: say why now, and do not wait long for them.
          if world.size > 1 { _ = complain("'\(item.name)': rank \(world.rank): \(error)", 1) }
          CollectiveWatchdog.limit = min(10, item.limit * 0.8)
          throw error
        }
      }
      return nil
    } catch let error as SharedError {
      return error
    }
  }
}

/// Ends the job when a case takes too long, wherever it is stuck.
private final class Alarm: @unchecked Sendable {
  private let armed = DispatchSemaphore(value: 0)

  init(after seconds: Double, _ world: Communicator, _ reason: String) {
    let thread = Thread { [armed] in
      if armed.wait(timeout: .now() + seconds) == .timedOut { world.abort(reason: reason, status: 1) }
    }
    thread.stackSize = 128 << 10
    thread.start()
  }

  func disarm() { armed.signal() }
}
