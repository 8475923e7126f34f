import Benchmarks
import Collectives
import Files
import Kernels
import Training

/// What `bench` is asked for: a benchmark of a model on the ranks that run it.
package struct BenchRequest: Equatable, Sendable {
  package enum Kind: String, CaseIterable, Sendable { case step, collectives, kernels }

  package var kind: Kind
  /// Of `bench step` and `bench kernels`: the model, batch and threads.
  package var configuration = BenchRequest.standard
  package var steps = 10
  package var warmup = 2
  package var json = false

  package init(_ kind: Kind) { self.kind = kind }

  /// ResNet-18 at 96 pixels with batch 64, whatever the data: the case that the project measures itself by.
  private static var standard: Configuration {
    var settings = Recipe.study.configuration
    settings.imageSize = 96
    settings.batch = 64
    settings.lr = 0.05
    return settings
  }

  private static let modelFlags = [
    "data", "image-size", "augment", "seed", "method", "encoder", "width", "stem", "hidden", "dim", "encoder-norm",
    "projector-norm", "predictor-norm", "weight-standardization", "bn-scope", "encoder-bn-scope", "head-bn-scope",
    "bn-views", "loss", "predictor-depth", "stop-gradient", "temperature", "queue", "eqco-alpha", "shuffle-bn",
    "lambda",
    "vicreg-invariance", "vicreg-variance", "vicreg-covariance", "batch", "ema-on", "threads",
  ]

  package static let settings: [Setting<BenchRequest>] =
    Configuration.settings.filter { modelFlags.contains($0.name) }.map { $0.pulledBack(\.configuration) } + [
      .init("steps", \.steps, "N", in: .run, expects: "a whole number from 1 to 10000", "timed steps") {
        (1...10_000).contains($0)
      },
      .init("warmup", \.warmup, "N", in: .run, expects: "a whole number from 0 to 1000", "steps before them") {
        (0...1000).contains($0)
      },
    ]

  /// Measures and prints on rank 0. Ends the process.
  func run() throws -> Never {
    let world = try Communicator.start()
    OutOfMemory.handle { world.abort(reason: $0, status: ExitStatus.failed.rawValue, isPermanent: true) }
    do {
      let output = try measure(world)
      if world.rank == 0, !output.isEmpty { try StandardStreams.print(output) }
      try world.barrier()
      Communicator.finish(status: ExitStatus.done.rawValue)
    } catch let error as CollectiveError {
      world.abort(reason: "\(error)", status: ExitStatus.failed.rawValue)
    } catch {
      let isSilent = (error as? OutputError)?.isBrokenPipe ?? false
      if world.rank == 0, !isSilent { printError("\(error)") }
      try? world.barrier()
      Communicator.finish(status: ExitStatus(for: error).rawValue)
    }
  }

  private func measure(_ world: Communicator) throws -> String {
    var settings = configuration
    if settings.imageSize == 0 { settings.imageSize = 32 }
    switch kind {
    case .step:
      let result = try StepBenchmark(settings, steps: steps, warmup: warmup).run(world: world)
      return json ? result.json.description : result.text
    case .collectives:
      let rows = try CollectivesBenchmark().run(world: world)
      return json
        ? CollectivesBenchmark.json(rows, ranks: world.size).description
        : CollectivesBenchmark.text(rows, ranks: world.size)
    case .kernels:
      try world.together { try settings.validate(ranks: world.size) }
      let threads = try ThreadCount.resolve(settings.threads, world: world)
      guard world.rank == 0 else { return "" }
      try MemoryCheck.ofConvolutions(settings, images: 2 * settings.batch / world.size)
      let benchmark = KernelsBenchmark(settings, images: 2 * settings.batch / world.size, threads: threads)
      if json {
        var rows: [JSON] = []
        benchmark.run { rows += KernelsBenchmark.json($0) }
        return JSON.object([.init("kernels", .array(rows))]).description
      }
      try StandardStreams.print(KernelsBenchmark.legend)
      // The first failure is told at the end: the benchmark cannot be left in between.
      var failure: (any Error)?
      benchmark.run { row in
        guard failure == nil else { return }
        do { try StandardStreams.print(KernelsBenchmark.text(row)) } catch { failure = error }
      }
      if let failure { throw failure }
      return ""
    }
  }
}
