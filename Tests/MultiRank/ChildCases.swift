import Collectives
import Files
import Foundation
import NetworkTesting

/// Jobs that end badly, each started as an mpirun of this program's own by the case that watches it end.
enum Child {
  /// Runs one of the bad jobs in this process, a rank of it.
  static func serve(_ arguments: [String], _ world: Communicator) throws -> Int32 {
    if try WaitChild.serve(arguments, world) {
      Communicator.finish()
      return 0
    }
    switch arguments.first {
    case "abort":
      CollectiveWatchdog.note("loading", step: 0)
      if world.rank == 1 { world.abort(reason: "the disk is full", status: 3) }
      try world.barrier()
    case "sum":
      var values = roughFloats(100_003, rank: world.rank)
      try world.allReduce(&values, .sum)
      if world.rank == 0 { print(values.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1.bitPattern) }) }
    case "finite":
      // Whether a safetensors file holds finite numbers alone.
      let file = try SafetensorsFile(path: arguments.last ?? "")
      for name in file.names where try !file.floats(name).allSatisfy(\.isFinite) { return 1 }
    case "tiny-data": try TinyImages.write(to: arguments.last ?? "")
    case "product": StandIn.serve(Array(arguments.dropFirst()), world)
    default: return 2
    }
    Communicator.finish()
    return 0
  }

  struct Result {
    let status: Int32
    let output: String
  }

  /// Runs this program under an mpirun of its own.
  /// - Returns: mpirun's exit status (124 when it outlived a minute) and what it and the ranks printed.
  static func launch(ranks: Int, _ arguments: [String], environment: [String: String] = [:]) throws -> Result {
    let log = FileManager.default.temporaryDirectory.appendingPathComponent("multirank-\(UUID().uuidString).log")
    _ = FileManager.default.createFile(atPath: log.path, contents: nil)
    defer { try? FileManager.default.removeItem(at: log) }
    let handle = try FileHandle(forWritingTo: log)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["timeout", "-k", "5", "60", "mpirun", "-q", "--allow-run-as-root", "--oversubscribe", "-n", "\(ranks)"]
      + [try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"), "--child"] + arguments
    // What an outer mpirun set would make the inner one believe that it is a rank of the outer job.
    process.environment = ProcessInfo.processInfo.environment
      .filter { name, _ in !["OMPI_", "PMIX_", "ORTE_", "PMI_"].contains { name.hasPrefix($0) } }
      .merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = handle
    process.standardError = handle
    try process.run()
    process.waitUntilExit()
    return Result(status: process.terminationStatus, output: String(decoding: try Data(contentsOf: log), as: UTF8.self))
  }

  /// The lines of the output that are this program's own.
  static func lines(_ result: Result) -> [Substring] {
    result.output.split(separator: "\n").filter { $0.hasPrefix("byol-dist: ") }
  }
}

var childCases: [MultiRankCase] {
  [
    MultiRankCase(name: "endings: an abort names rank and host and gives its status", ranks: .only([1])) { _ in
      let result = try Child.launch(ranks: 3, ["abort"])
      try expectEqual(result.status, 3, "mpirun's status (\(result.output))")
      try expectEqual(
        Child.lines(result), ["byol-dist: rank 1 on \(Communicator.host): step 0, loading: the disk is full"])
    },
    MultiRankCase(name: "collectives: two runs of a job sum to the same bits", ranks: .only([1])) { _ in
      let first = try Child.launch(ranks: 3, ["sum"])
      let second = try Child.launch(ranks: 3, ["sum"])
      try expectEqual(first.status, 0, "mpirun's status (\(first.output))")
      try expectEqual(first.output, second.output, "the second run's hash")
      try expect(first.output.count > 3, "no hash in '\(first.output)'")
    },
  ]
}
