import Collectives
import Training

extension LaunchPlace {
  /// Reads this process's arguments. Commands that run on all ranks join MPI first: every rank must have the same
  /// arguments, and rank 0 reads for all the files that they name, which may be others on each host.
  /// - Throws: `UsageError`, `SharedError`, `CollectiveError`.
  func command(_ arguments: [String]) throws -> Command {
    guard ranks > 1, Self.runsOnAllRanks(arguments) else { return try Command(arguments, read: readFile) }
    let world = try Communicator.start()
    let own = Self.comparable(arguments)
    let first = try world.broadcast(Array(own.joined(separator: "\0").utf8), from: 0)
    try world.together {
      let text = String(decoding: first, as: UTF8.self)
      let theirs = text.isEmpty ? [] : text.split(separator: "\0", omittingEmptySubsequences: false).map { String($0) }
      guard own != theirs else { return }
      let (mine, others) = Self.differences(own, theirs)
      throw UsageError(
        "was started with \(Self.line(mine)) where rank 0 has \(Self.line(others)); should have the same arguments on all ranks"
      )
    }
    return try world.together {
      try Command(arguments) { path in try world.decideOnRoot { try readFile(path) } }
    }
  }

  /// Whether the arguments ask for training, which stops after a checkpoint when it is told to.
  static func trains(_ arguments: [String]) -> Bool { runsOnAllRanks(arguments) && arguments.first != "bench" }

  private static func runsOnAllRanks(_ arguments: [String]) -> Bool {
    let word = arguments.first.flatMap { $0.hasPrefix("-") ? nil : $0 } ?? "train"
    return ["train", "study", "bench"].contains(word)
      && !arguments.contains { ["--help", "-h", "--version", "--list", "--print"].contains($0) }
  }

  /// Without the number of `--threads`, which may be as the rank's host has cores.
  private static func comparable(_ arguments: [String]) -> [String] {
    arguments.indices.map { index in
      if arguments[index].hasPrefix("--threads=") { return "--threads" }
      return index > 0 && arguments[index - 1] == "--threads" ? "" : arguments[index]
    }
  }

  /// What is left of two lists without what they begin and end with alike.
  private static func differences(_ a: [String], _ b: [String]) -> ([String], [String]) {
    let before = zip(a, b).prefix { $0 == $1 }.count
    let (restOfA, restOfB) = (a.dropFirst(before), b.dropFirst(before))
    let after = zip(restOfA.reversed(), restOfB.reversed()).prefix { $0 == $1 }.count
    return (Array(restOfA.dropLast(after)), Array(restOfB.dropLast(after)))
  }

  private static func line(_ arguments: [String]) -> String {
    arguments.isEmpty ? "nothing" : arguments.map { shown($0) }.joined(separator: " ")
  }
}
