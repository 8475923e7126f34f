import Collectives
import Files
import Foundation
import NetworkTesting
import Training

/// Runs of a small model on a few images, in this process, in a temporary directory.
extension TemporaryRuns {
  /// A trainer of the run `name`; what it prints goes to `shown`.
  func trainer(
    _ name: String, shown: Lines = Lines(), _ change: (inout Configuration) -> Void = { _ in }
  ) throws -> Trainer {
    if !AtomicDirectory.exists(self("data")) { try TinyImages.write(to: self("data")) }
    var settings = Recipe.quick.configuration
    settings.data = self("data")
    settings.width = 4
    (settings.hidden, settings.dim) = (16, 8)
    (settings.batch, settings.steps) = (16, 8)
    (settings.lr, settings.warmupSteps, settings.ema) = (0.02, 2, 0.9)
    settings.checkpointEvery = 3
    settings.threads = 1
    settings.out = self(name)
    change(&settings)
    let request = RunRequest(configuration: settings, recipe: .quick)
    return try Trainer(request, world: try Communicator.start()) { shown.add($0) }
  }

  @discardableResult
  func run(
    _ name: String, shown: Lines = Lines(), _ change: (inout Configuration) -> Void = { _ in }
  ) throws -> RunOutcome { try trainer(name, shown: shown, change).run() }

  /// metrics.jsonl.
  func metrics(_ name: String) throws -> [JSON] { try MetricsLog.read(self(name + "/metrics.jsonl")) }

  func losses(_ name: String) throws -> [Double] { try metrics(name).compactMap { $0["loss"]?.double } }

  func json(_ name: String) throws -> JSON {
    try JSON.parse(Array(try Data(contentsOf: URL(fileURLWithPath: self(name)))))
  }

  func checkpoint(_ name: String, step: Int, _ file: String = "model.safetensors") throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: self("\(name)/checkpoints/\(CheckpointStore.name(step: step))/\(file)")))
  }
}

/// What a run printed.
final class Lines {
  private(set) var text = ""
  func add(_ text: String) { self.text += text }
  var all: [Substring] { text.split(separator: "\n") }
}

/// A run's death between checkpoints.
struct Killed: Error {}
