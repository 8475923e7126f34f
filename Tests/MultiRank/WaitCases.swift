import Collectives
import Foundation

/// Jobs in which ranks wait, for ranks that work, that are stuck, stopped or dead, each started as an mpirun of its
/// own.
enum WaitChild {
  /// - Returns: whether the arguments name one of these jobs, which then has been served.
  static func serve(_ arguments: [String], _ world: Communicator) throws -> Bool {
    // The product notes TERM, which mpirun sends to all ranks when one has died.
    if arguments.first != "died" { signal(SIGTERM, SIG_IGN) }
    let victim = arguments.count > 1 ? Int(arguments[1]) ?? 1 : 1
    func limit(_ seconds: Double) {
      if ProcessInfo.processInfo.environment["BYOL_DIST_COLLECTIVE_TIMEOUT"] == nil {
        CollectiveWatchdog.limit = seconds
      }
    }
    switch arguments.first {
    case "asleep":
      limit(1)
      CollectiveWatchdog.note("backward", step: 7)
      if world.rank == victim { sleep(300) }
      _ = try world.allReduce(Float(1), .sum)
    case "pending":
      limit(1)
      if world.rank == victim { sleep(300) }
      var values = [Float](repeating: 1, count: 5)
      try values.withUnsafeMutableBufferPointer { try world.startAllReduce($0, .sum).wait() }
    case "loop":
      limit(1)
      CollectiveWatchdog.note("probe", step: 3)
      if world.rank == victim { work(forSeconds: 300) {} }
      try world.barrier()
    case "mismatch":
      limit(1)
      if world.rank == victim { _ = try world.allReduce(Float(1), .sum) } else { try world.barrier() }
    case "slow":
      limit(1)
      if world.rank == victim { work(forSeconds: 4) { CollectiveWatchdog.progress() } }
      try world.barrier()
    case "own-stop":
      limit(1)
      CollectiveWatchdog.note("views", step: 2)
      if world.rank == victim { raise(SIGSTOP) }
      try world.barrier()
      // Woken by mpirun, which then ends it, this rank must not say that the others are gone.
      print("rank \(world.rank) went on")
    case "killed":
      CollectiveWatchdog.note("update", step: 5)
      if world.rank == victim { kill(getpid(), SIGKILL) }
      try world.barrier()
    case "killed-in-work":
      CollectiveWatchdog.note("update", step: 5)
      if world.rank == victim { kill(getpid(), SIGKILL) }
      work(forSeconds: 300) { CollectiveWatchdog.progress() }
    case "all-stopped": try stopAll(world, limit: 1)
    case "died":
      if world.rank == 1 { _exit(9) }
      try world.barrier()
    default: return false
    }
    return true
  }

  private static func work(forSeconds seconds: Double, _ each: () -> Void) {
    let end = Date().addingTimeInterval(seconds)
    var value = 1.0
    while Date() < end {
      for _ in 0..<10_000 { value = (value + 2 / value) / 2 }
      each()
    }
    precondition(value.isFinite)
  }

  /// All ranks are stopped and go on, three times, for longer than the limit each, while rank 0 works and the others
  /// wait.
  private static func stopAll(_ world: Communicator, limit: Double) throws {
    CollectiveWatchdog.limit = limit
    let processes = try world.allGather([Int32(getpid())]).map { "\($0[0])" }.joined(separator: " ")
    let round = "kill -STOP \(processes); sleep \(limit * 1.5); kill -CONT \(processes); sleep 0.2"
    if world.rank == 0 {
      let shell = Process()
      shell.executableURL = URL(fileURLWithPath: "/bin/sh")
      shell.arguments = ["-c", "\(round); \(round); \(round)"]
      try shell.run()
      // Without progress: what ran meanwhile is less than the limit.
      while shell.isRunning { usleep(10_000) }
    }
    try world.barrier()
    if world.rank == 0 { print("went on") }
  }
}

private let suffix = "ending the job (limit 1 s: BYOL_DIST_COLLECTIVE_TIMEOUT)"

/// A job that must end with one line.
private struct BadEnd {
  let name: String
  var ranks = 3
  let arguments: [String]
  var status: Int32 = 1
  var environment: [String: String] = [:]
  let texts: [String]

  var multiRankCase: MultiRankCase {
    MultiRankCase(name: "endings: \(name)", ranks: .only([1])) { [self] _ in
      let result = try Child.launch(
        ranks: ranks, arguments, environment: environment.merging(["OMPI_MCA_odls_base_sigkill_timeout": "1"]) { $1 })
      try expectEqual(result.status, status, "mpirun's status (\(result.output))")
      let lines = result.output.split(separator: "\n")
      try expectEqual(lines.count, 1, "lines that say why (\(result.output))")
      for text in texts { try expect(lines[0].contains(text), "'\(lines[0])' lacks '\(text)'") }
    }
  }
}

var waitCases: [MultiRankCase] {
  let host = Communicator.host
  return [
    BadEnd(
      name: "a rank that never comes is named, with its step and phase", arguments: ["asleep", "1"],
      texts: [
        "byol-dist: rank 1 (pid ", " on \(host)) has been busy without progress for ", " s in step 7, backward; ",
        "ranks 0 and 2 wait for it in all-reduce; \(suffix)",
      ]),
    BadEnd(
      name: "a wait for a non-blocking one is bounded too", arguments: ["pending", "2"],
      texts: ["rank 2 (pid ", " s before the first step; ranks 0 and 1 wait for it in all-reduce; \(suffix)"]),
    BadEnd(
      name: "rank 0 in an endless loop is named as busy", arguments: ["loop", "0"],
      texts: ["rank 0 (pid ", "busy without progress for ", "in step 3, probe; ranks 1 and 2 wait for it in barrier"]),
    BadEnd(
      name: "ranks in different collectives wait for each other", arguments: ["mismatch", "1"],
      texts: [
        "the ranks have waited ",
        " for each other: ranks 0 and 2 in barrier of 0 elements, before the first step; "
          + "rank 1 in all-reduce of 1 elements, before the first step; \(suffix)",
      ]),
    BadEnd(
      name: "a rank that is stopped is named and says nothing when it wakes", arguments: ["own-stop", "1"],
      texts: [
        "rank 1 (pid ", "has been stopped for ", "in step 2, views; ranks 0 and 2 wait for it in barrier; \(suffix)",
      ]),
    BadEnd(
      name: "rank 0 that is stopped is named", ranks: 2, arguments: ["own-stop", "0"],
      texts: ["rank 0 (pid ", "has been stopped for ", "in step 2, views; rank 1 waits for it in barrier; \(suffix)"]),
    BadEnd(
      name: "a rank that was killed is named", arguments: ["killed", "2"], status: 137,
      texts: ["rank 2 (pid ", ") died in step 5, update; ranks 0 and 1 wait for it in barrier; ending the job"]),
    BadEnd(
      name: "a rank that was killed is named by ranks that do not wait", ranks: 2, arguments: ["killed-in-work", "0"],
      status: 137, texts: ["rank 0 (pid ", ") died in step 5, update; ending the job"]),
    BadEnd(
      name: "the environment sets the bound", ranks: 2, arguments: ["asleep", "0"],
      environment: ["BYOL_DIST_COLLECTIVE_TIMEOUT": "1.5"],
      texts: ["rank 0 (pid ", "ending the job (limit 1.5 s: BYOL_DIST_COLLECTIVE_TIMEOUT)"]),
  ].map(\.multiRankCase) + [
    MultiRankCase(name: "endings: a rank that dies ends the job", ranks: .only([1])) { _ in
      let result = try Child.launch(ranks: 2, ["died"])
      try expectEqual(result.status, 9, "mpirun's status (\(result.output))")
    },
    MultiRankCase(name: "waits: a rank that makes progress may be waited for longer than the limit", ranks: .only([1]))
    {
      _ in
      for victim in ["0", "2"] {
        let result = try Child.launch(ranks: 3, ["slow", victim])
        try expectEqual(result.status, 0, "mpirun's status (\(result.output))")
        try expectEqual(result.output, "", "what it printed")
      }
    },
    MultiRankCase(name: "waits: a suspension of all ranks does not count", ranks: .only([1])) { _ in
      let result = try Child.launch(ranks: 3, ["all-stopped"])
      try expectEqual(result.status, 0, "mpirun's status (\(result.output))")
      try expectEqual(result.output, "went on\n", "what it printed")
    },
  ]
}
