import Collectives
import Foundation

private struct Mistake: StatusError, CustomStringConvertible {
  let description: String
  var exitStatus: Int32 { 2 }
}

/// A failure's words as all ranks are told them.
private func told(_ message: String, by rank: Int) -> String {
  rank == 0 ? message : "rank \(rank) on \(Communicator.host): \(message)"
}

/// What several ranks must know together: failures and decisions.
var agreementCases: [MultiRankCase] {
  [
    MultiRankCase(name: "agreement: each rank keeps its own result when none fails") { communicator in
      try expectEqual(try communicator.together { communicator.rank * 10 }, communicator.rank * 10)
    },
    MultiRankCase(name: "agreement: one rank's failure is every rank's, in its words") { communicator in
      for culprit in 0..<communicator.size {
        let error = try expectThrows(SharedError.self) {
          try communicator.together {
            if communicator.rank == culprit { throw Mistake(description: "data.bin: record \(culprit) ends early ✂") }
          }
        }
        try expectEqual(
          error.message, told("data.bin: record \(culprit) ends early ✂", by: culprit), "the message")
        try expectEqual(error.exitStatus, 2, "the status")
        try expectEqual(error.rank, culprit, "the rank")
        try expectEqual(error.underlying is Mistake, communicator.rank == culprit, "the rank's own error")
      }
    },
    MultiRankCase(name: "agreement: of several failures the lowest rank's counts", ranks: .atLeast(3)) { communicator in
      let error = try expectThrows(SharedError.self) {
        try communicator.together {
          if communicator.rank >= 1 { throw ExpectationFailure(description: "from \(communicator.rank)") }
        }
      }
      try expectEqual(error.message, told("from 1", by: 1), "the message")
      try expectEqual(error.rank, 1, "the rank")
      try expectEqual(error.exitStatus, 1, "the status")
      // The communicator goes on after an agreed failure.
      try expectEqual(try communicator.allReduce(Int32(1), .sum), Int32(communicator.size))
    },
    MultiRankCase(name: "agreement: a failure keeps its words and status through two levels") { communicator in
      let error = try expectThrows(SharedError.self) {
        try communicator.together {
          try communicator.together {
            if communicator.rank == communicator.size - 1 { throw Mistake(description: "deep") }
          }
        }
      }
      try expectEqual(error.message, told("deep", by: communicator.size - 1))
      try expectEqual(error.exitStatus, 2)
    },
    MultiRankCase(name: "agreement: rank 0 decides for all") { communicator in
      var asked = 0
      let bytes = try communicator.decideOnRoot {
        asked += 1
        return Array("run-\(communicator.rank)".utf8)
      }
      try expectEqual(String(decoding: bytes, as: UTF8.self), "run-0")
      try expectEqual(asked, communicator.rank == 0 ? 1 : 0, "calls of the body")
      let error = try expectThrows(SharedError.self) {
        try communicator.decideOnRoot { throw Mistake(description: "rank \(communicator.rank) says no") }
      }
      try expectEqual(error.message, "rank 0 says no")
      try expectEqual(error.exitStatus, 2)
    },
  ]
}
