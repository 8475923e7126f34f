import Collectives
import Foundation
import Machine

/// Threads per rank: what the user said, or the physical cores that the rank may use, shared with the host's other
/// ranks.
public enum ThreadCount {
  /// The number of threads of every rank: the same on all, as many as every rank has cores for. A rank that mpirun
  /// bound to cores of its own has those; ranks that may use the same cores share them. Collective.
  /// - Parameter requested: what the user said, on all ranks or on none.
  /// - Throws: `CollectiveError`; `SharedError` for a wrong BYOL_DIST_THREADS.
  public static func resolve(_ requested: Int?, world: Communicator) throws -> Int {
    if let requested { return requested }
    // What `launch/run` has planned for the whole job, as rank 0 has it.
    let planned: Int? = try world.together { try Self.planned(ProcessInfo.processInfo.environment) }
    let common = try world.broadcast([Int64(planned ?? 0)], from: 0)[0]
    return common > 0 ? Int(common) : try resolve(.current(), world: world)
  }

  /// BYOL_DIST_THREADS; nil where it is not set.
  /// - Throws: `EnvironmentError`.
  package static func planned(_ environment: [String: String]) throws -> Int? {
    guard let text = environment[variable] else { return nil }
    guard text.allSatisfy({ ("0"..."9").contains($0) }), let threads = Int(text), (1...1024).contains(threads) else {
      throw EnvironmentError(name: variable, value: text, expects: "a whole number from 1 to 1024")
    }
    return threads
  }

  private static let variable = "BYOL_DIST_THREADS"

  /// - Parameter place: the part of the machine that this rank may use.
  package static func resolve(_ place: ProcessPlace, world: Communicator) throws -> Int {
    let host = try world.splitByHost()
    return Int(try world.allReduce(Int64(wholeCores(try shares(place, host)[host.rank])), .min))
  }

  /// Whether so many threads of each of a host's ranks have a physical core each. Collective over the ranks of the
  /// host, and the same on all of them.
  /// - Throws: `CollectiveError`.
  package static func hasCores(
    _ threads: Int, host: Communicator, place: ProcessPlace = .current()
  ) throws -> Bool {
    try shares(place, host).allSatisfy { threads <= wholeCores($0) && $0 >= 1 }
  }

  /// Threads for a share of cores; one where there are more ranks than cores.
  package static func wholeCores(_ share: Double) -> Int { max(1, Int(share + 1e-9)) }

  /// By rank of the host.
  private static func shares(_ place: ProcessPlace, _ host: Communicator) throws -> [Double] {
    ProcessPlace.shares(try host.allGather(encoded(place)).map { decoded($0) })
  }

  /// Count of cores, the cores, then pairs of a control group and its quota's bits.
  private static func encoded(_ place: ProcessPlace) -> [UInt64] {
    [UInt64(place.cores.count)] + place.cores.map { UInt64($0) }
      + place.quotas.flatMap { [$0.group, $0.cores.bitPattern] }
  }

  private static func decoded(_ numbers: [UInt64]) -> ProcessPlace {
    let count = Int(numbers[0])
    let quotas = stride(from: count + 1, to: numbers.count, by: 2).map {
      CPUQuota(group: numbers[$0], cores: Double(bitPattern: numbers[$0 + 1]))
    }
    return ProcessPlace(cores: Set(numbers[1...count].map { Int($0) }), quotas: quotas)
  }
}
