import Collectives
import Evaluation
import Files
import Foundation
import Kernels
import Training

/// `bench collectives`: latency and bandwidth of the collectives that a step uses, by size.
public struct CollectivesBenchmark {
  public struct Row: Sendable {
    public let collective: String
    public let bytes: Int
    /// Microseconds, the median of the slowest rank's times.
    public let median: Double
    /// Bytes of the buffer per second, MB/s.
    public var bandwidth: Double { Double(bytes) / median }
  }

  public init() {}

  /// Collective.
  /// - Throws: `CollectiveError`.
  public func run(world: Communicator) throws -> [Row] {
    let largest = 64 << 20
    let buffer = AlignedBuffer(count: largest / 4)
    // What gradients are added up by between hosts.
    let ordered = OrderedAllReduce(world, longest: largest / 4)
    let numbers = UnsafeMutableBufferPointer<Double>.allocate(capacity: 8192)
    numbers.initialize(repeating: 0)
    defer { numbers.deallocate() }
    var rows: [Row] = []
    var bytes = 64
    while bytes <= largest {
      let part = UnsafeMutableBufferPointer(start: buffer.pointer, count: bytes / 4)
      rows.append(try row("all-reduce", bytes, world) { try world.allReduce(part, .sum) })
      rows.append(try row("in order", bytes, world) { try ordered.run(part) })
      // What batch norms' sums cross the ranks by.
      if bytes <= 64 << 10 {
        let sums = UnsafeMutableBufferPointer(rebasing: numbers[..<(bytes / 8)])
        rows.append(try row("short sums", bytes, world) { try world.startAllReduce(sums, .sum).wait() })
      }
      rows.append(try row("broadcast", bytes, world) { try world.broadcast(part, from: 0) })
      bytes *= 16
    }
    rows.append(try row("barrier", 0, world) { try world.barrier() })
    return rows
  }

  private func row(_ name: String, _ bytes: Int, _ world: Communicator, _ body: () throws -> Void) throws -> Row {
    let repeats = max(5, min(500, (8 << 20) / max(bytes, 1)))
    var times: [Double] = []
    for index in 0..<(repeats + 2) {
      try world.barrier()
      let began = monotonicSeconds()
      try body()
      let slowest = try world.allReduce(monotonicSeconds() - began, .max)
      if index >= 2 { times.append(slowest) }
    }
    return Row(collective: name, bytes: bytes, median: (SampleStatistics.median(times) ?? 0) * 1e6)
  }

  public static func json(_ rows: [Row], ranks: Int) -> JSON {
    [
      "ranks": JSON(ranks),
      "collectives": .array(
        rows.map {
          ["collective": JSON($0.collective), "bytes": JSON($0.bytes), "median_us": JSON($0.median)]
        }),
    ]
  }

  public static func text(_ rows: [Row], ranks: Int) -> String {
    (["\(ranks) rank(s)   collective        bytes    median us       MB/s"]
      + rows.map {
        String(format: "            ") + $0.collective.padding(toLength: 12, withPad: " ", startingAt: 0)
          + String(format: "%11d %12.1f %10.0f", $0.bytes, $0.median, $0.bandwidth)
      }).joined(separator: "\n")
  }
}
