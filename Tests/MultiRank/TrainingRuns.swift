import Collectives
import Files
import Foundation
import NetworkTesting
import Training

/// Runs a case in a directory that is rank 0's, known to all ranks, with a small data set in it.
func withRuns(_ communicator: Communicator, _ body: (Runs) throws -> Void) throws {
  let name = communicator.rank == 0 ? NSTemporaryDirectory() + "byol-dist-runs-" + UUID().uuidString : ""
  let runs = Runs(path: String(decoding: try communicator.broadcast(Array(name.utf8), from: 0), as: UTF8.self))
  defer { if communicator.rank == 0 { try? FileManager.default.removeItem(atPath: runs.path) } }
  try runs.onRoot(communicator) { try TinyImages.write(to: runs("data")) }
  try body(runs)
  try communicator.barrier()
}

/// A directory of small runs on the same images, the same on all ranks.
struct Runs {
  /// Eight ranks share it.
  static let batch = 24
  let path: String

  func callAsFunction(_ name: String) -> String { path + "/" + name }

  func trainer(_ name: String, _ world: Communicator, _ change: (inout Configuration) -> Void) throws -> Trainer {
    var settings = Recipe.quick.configuration
    settings.data = self("data")
    settings.width = 4
    (settings.hidden, settings.dim) = (16, 8)
    (settings.batch, settings.steps) = (Self.batch, 6)
    // Ranks' sums differ by rounding, now and then a ReLU flips by it, and a gradient jumps by a percent: at this rate
    // the loss moves by 2e-3 through the updates and by less than 1e-4 through such a jump.
    (settings.lr, settings.warmupSteps, settings.ema, settings.seed) = (5e-5, 2, 0.9, 6)
    settings.checkpointEvery = 0
    settings.threads = 1
    settings.out = self(name)
    change(&settings)
    return try Trainer(RunRequest(configuration: settings, recipe: .quick), world: world) { _ in }
  }

  func finish(_ name: String, _ world: Communicator, _ change: (inout Configuration) -> Void) throws {
    try expectEqual(try trainer(name, world, change).run(), .finished, "\(name): the outcome")
  }

  func onRoot(_ communicator: Communicator, _ body: () throws -> Void) throws {
    try communicator.together { if communicator.rank == 0 { try body() } }
  }

  /// What one rank alone does while the others wait.
  func alone(_ communicator: Communicator, _ body: (Communicator) throws -> Void) throws {
    let own = try communicator.split(color: communicator.rank, key: 0)
    try onRoot(communicator) { try body(own) }
  }

  // MARK: What runs left

  func bytes(_ name: String, _ file: String, step: Int) throws -> Data {
    let directory = self(name) + "/checkpoints/" + CheckpointStore.name(step: step)
    return try Data(contentsOf: URL(fileURLWithPath: directory + "/" + file))
  }

  func expectSameBytes(_ name: String, _ other: String, file: String, step: Int) throws {
    let found = try bytes(name, file, step: step)
    try expect(found.count > 100, "\(name): \(file) has \(found.count) bytes")
    try expect(found == (try bytes(other, file, step: step)), "\(file) of \(name) is not that of \(other)")
  }

  /// metrics.jsonl without what depends on time.
  func lines(_ name: String) throws -> [String] {
    try MetricsLog.read(self(name) + "/metrics.jsonl").map { Self.timeless($0) }
  }

  func summary(_ name: String) throws -> String {
    let data = try Data(contentsOf: URL(fileURLWithPath: self(name) + "/summary.json"))
    return Self.timeless(try JSON.parse(Array(data)))
  }

  private static func timeless(_ json: JSON) -> String {
    let timed: Set = ["images_per_second", "seconds", "peak_rss_bytes"]
    return JSON.object((json.members ?? []).filter { !timed.contains($0.key) }).description
  }

  func everything(_ name: String) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for file in try FileManager.default.subpathsOfDirectory(atPath: self(name)) where !file.hasSuffix(".lock") {
      let path = self(name) + "/" + file
      if !AtomicDirectory.isDirectory(path) { result[file] = try Data(contentsOf: URL(fileURLWithPath: path)) }
    }
    return result
  }

  /// Every step's figures of two runs, relative to their size and at least to 1 for the cosines.
  func compare(_ communicator: Communicator, _ name: String, _ other: String, within tolerance: Double) throws {
    try onRoot(communicator) {
      let lines = try [name, other].map { try MetricsLog.read(self($0) + "/metrics.jsonl") }
      for key in ["step", "loss", "lr", "tau", "positive_cosine", "negative_cosine"] {
        // A run without a target has no tau.
        let values = lines.map { $0.filter { $0["loss"] != nil && $0[key] != .null }.map { $0[key]?.double ?? .nan } }
        if key == "tau", values[0].isEmpty && values[1].isEmpty { continue }
        try expect(values[0].count >= 6, "\(name) has \(values[0].count) steps")
        try expectClose(values[0], values[1], within: tolerance, "\(name), \(key) by step")
      }
    }
  }
}
