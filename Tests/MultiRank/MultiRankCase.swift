import Collectives
import Foundation

/// Makes this rank come late to what follows, on purpose: ranks are seldom so far apart that a wait which is missing shows.
/// No time is asserted; a case passes or fails by what its ranks read.
func comeLate() { usleep(20_000) }

/// One test that all ranks of the world run together.
struct MultiRankCase {
  /// The world sizes on which a case makes sense.
  enum Ranks {
    case any
    case atLeast(Int)
    case only(Set<Int>)

    func contains(_ size: Int) -> Bool {
      switch self {
      case .any: true
      case .atLeast(let least): size >= least
      case .only(let sizes): sizes.contains(size)
      }
    }
  }

  let name: String
  let ranks: Ranks
  /// Seconds after which the job is ended with this case as the reason.
  let limit: Double
  /// Gets a communicator of the whole world of its own, so that a rank that fails early does not mix with the others'
  /// collectives.
  let body: (Communicator) throws -> Void

  /// - Parameter name: "floor: what holds", the first part for `--filter`.
  init(
    name: String, ranks: Ranks = .any, limit: Double = 60, _ body: @escaping (Communicator) throws -> Void
  ) {
    self.name = name
    self.ranks = ranks
    self.limit = limit
    self.body = body
  }
}

/// An expectation that did not hold on this rank.
struct ExpectationFailure: Error, CustomStringConvertible {
  let description: String
}

/// Fails the case, on all ranks, when the condition does not hold on this one.
func expect(
  _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) throws {
  if !condition { throw ExpectationFailure(description: "\(file):\(line): \(message())") }
}

func expectEqual<T: Equatable>(
  _ found: T, _ wanted: T, _ what: @autoclosure () -> String = "", file: StaticString = #fileID, line: UInt = #line
) throws {
  try expect(found == wanted, "\(what()) is \(found), not \(wanted)", file: file, line: line)
}

/// Compares elementwise within `tolerance`, relative to the larger of 1 and the wanted value's size.
func expectClose<T: BinaryFloatingPoint>(
  _ found: [T], _ wanted: [T], within tolerance: Double, _ what: @autoclosure () -> String = "",
  file: StaticString = #fileID, line: UInt = #line
) throws {
  try expectEqual(found.count, wanted.count, "\(what()) count", file: file, line: line)
  for (index, (a, b)) in zip(found, wanted).enumerated() {
    let distance = abs(Double(a) - Double(b))
    try expect(
      distance <= tolerance * max(1, abs(Double(b))), "\(what())[\(index)] is \(a), not \(b)", file: file, line: line)
  }
}

/// The error that `body` throws, which is expected to be an `E`.
@discardableResult
func expectThrows<E: Error, R>(
  _ type: E.Type, file: StaticString = #fileID, line: UInt = #line, _ body: () throws -> R
) throws -> E {
  do {
    _ = try body()
  } catch let error as E {
    return error
  }
  throw ExpectationFailure(description: "\(file):\(line): nothing was thrown where a \(E.self) was due")
}

/// Fails where ranks differ: every rank's bits of `values` against rank 0's.
func expectSameOnAllRanks<T: BitwiseCopyable>(
  _ values: [T], _ communicator: Communicator, _ what: @autoclosure () -> String,
  file: StaticString = #fileID, line: UInt = #line
) throws {
  let own = values.withUnsafeBytes { Array($0) }
  let first = try communicator.broadcast(own, from: 0)
  let differs = zip(own, first).enumerated().first { $1.0 != $1.1 }?.offset
  let place = differs.map { "element \($0 / MemoryLayout<T>.stride)" } ?? "the length"
  // All ranks learn of it here, so that none goes on into the next collective alone.
  let bad = try communicator.allReduce(Int32(own == first ? 0 : 1), .max)
  try expect(bad == 0, "\(what()): \(own == first ? "other ranks differ" : "\(place) differs")", file: file, line: line)
}
