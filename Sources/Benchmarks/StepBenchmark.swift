import Collectives
import Evaluation
import Files
import Foundation
import Images
import Kernels
import Layers
import Training

/// `bench step`: the median training step of a configuration on the ranks that run it, and where its time goes.
///
/// The views of one batch are made once, so that the step alone is timed; what making them costs a core is measured
/// beside it.
public struct StepBenchmark {
  public struct Result: Sendable {
    /// Milliseconds; the slowest rank's of each step.
    public var medianStep: Double
    public var imagesPerSecond: Double
    /// Milliseconds a step, the mean over ranks and timed steps. `views` is the time of making the rank's views on one
    /// core, which happens beside the step and is not part of it.
    public var phases: [StepPhase: Double]
    /// Direct-convolution work done per second by all ranks, and OpenBLAS's matrix product in the same run, GFLOP/s.
    public var convolutionRate: Double
    public var productRate: Double
    public var ranks: Int
    public var threads: Int
    /// Of the largest rank.
    public var peakBytes: Int
  }

  let settings: Configuration
  let steps: Int
  let warmup: Int

  /// - Parameter settings: with `imageSize` set.
  public init(_ settings: Configuration, steps: Int, warmup: Int) {
    self.settings = settings
    self.steps = steps
    self.warmup = warmup
  }

  /// Collective.
  /// - Throws: `UsageError`, `ImageError`, `CollectiveError`.
  public func run(world: Communicator) throws -> Result {
    let ranksOnHost = try world.splitByHost().size
    let fewestOnHost = Int(try world.allReduce(Int64(ranksOnHost), .min))
    try world.together { try settings.validate(ranks: world.size, fewestRanksOnHost: fewestOnHost) }
    let threads = try ThreadCount.resolve(settings.threads, world: world)
    try MemoryCheck.ofSteps(settings, threads: threads, ranksOnHost: ranksOnHost, world: world)
    setOpenBLASThreads(threads)
    let step = try TrainingStep(settings, total: warmup + steps, threads: threads, spins: 20_000, world: world)
    let (views, viewSeconds) = try makeViews(world)
    var times: [Double] = []
    for index in 0..<(warmup + steps) {
      if index == warmup { _ = step.clock.takeSeconds() }
      CollectiveWatchdog.note("bench step", step: index)
      let began = monotonicSeconds()
      _ = try step.run(index, views: views.pointer, stop: false, detail: .effectiveRank)
      if index >= warmup { times.append(monotonicSeconds() - began) }
    }
    try step.settleTarget()
    let phases = step.clock.takeSeconds()
    // Not after each step: training has no such meeting, and a rank that is done goes on with the next step's views.
    try world.allReduce(&times, .max)
    let peak = Int(try world.allReduce(Int64(PeakMemory.bytes), .max))
    let median = SampleStatistics.median(times) ?? 0
    var shares: [StepPhase: Double] = [:]
    for phase in StepPhase.allCases {
      let mine = phase == .views ? viewSeconds : (phases[phase] ?? 0) / Double(steps)
      shares[phase] = try world.allReduce(mine, .sum) / Double(world.size) * 1000
    }
    let work = Double(settings.batch) * 2 * step.method.convolutionWorkPerImage
    let product = try world.allReduce(ConvolutionTiming.blasPeak(), .sum)
    return Result(
      medianStep: median * 1000, imagesPerSecond: Double(settings.batch) / median, phases: shares,
      convolutionRate: work / median * 1e-9, productRate: product, ranks: world.size, threads: threads, peakBytes: peak)
  }

  /// One batch of real views, and the seconds that they took one core.
  private func makeViews(_ world: Communicator) throws -> (AlignedBuffer, Double) {
    let local = settings.batch / world.size
    let dataset = try world.together {
      try DatasetSource.open(settings.data, seed: settings.seed, limit: settings.batch).train
    }
    let recipe = ViewRecipe(policy: settings.augment, imageSize: settings.imageSize, seed: settings.seed)
    let scratch = ViewScratch(height: dataset.height, width: dataset.width, imageSize: settings.imageSize)
    let views = AlignedBuffer(count: 2 * local * recipe.viewCount)
    let began = monotonicSeconds()
    for place in 0..<(2 * local) {
      let sample = (world.rank * local + place % local) % dataset.count
      try dataset.copyImage(sample, into: scratch.source)
      recipe.makeView(
        source: scratch.source, height: dataset.height, width: dataset.width, epoch: 0, sample: sample,
        view: place / local, into: views.pointer + place * recipe.viewCount, scratch: scratch)
    }
    return (views, monotonicSeconds() - began)
  }
}

extension StepBenchmark.Result {
  /// One object, as `--json` prints it.
  public var json: JSON {
    let shares = StepPhase.allCases.map { JSON.Member($0.name, JSON(phases[$0] ?? 0)) }
    return [
      "images_per_second": JSON(imagesPerSecond), "median_step_ms": JSON(medianStep), "ranks": JSON(ranks),
      "threads": JSON(threads), "peak_rss_bytes": JSON(peakBytes), "phases": .object(shares),
      "convolution_gflops": JSON(convolutionRate), "sgemm_gflops": JSON(productRate),
      "sgemm_core": JSON(ConvolutionTiming.blasCore), "version": JSON(byolDistVersion),
    ]
  }

  /// The same as a table.
  public var text: String {
    var lines = [
      String(
        format: "median step %.1f ms, %.1f images/s, %d rank(s) of %d thread(s), peak memory %.0f MB a rank",
        medianStep,
        imagesPerSecond, ranks, threads, Double(peakBytes) / 1e6)
    ]
    let inside = StepPhase.allCases.filter { $0 != .views }
    let total = inside.reduce(0) { $0 + (phases[$1] ?? 0) }
    for phase in inside {
      let time = phases[phase] ?? 0
      let name = phase.name.padding(toLength: 22, withPad: " ", startingAt: 0)
      lines.append("  \(name)" + String(format: "%9.2f ms %6.1f %%", time, 100 * time / max(total, 1e-9)))
    }
    let views = StepPhase.views.name.padding(toLength: 22, withPad: " ", startingAt: 0)
    lines.append("  \(views)" + String(format: "%9.2f ms  on a core beside the step", phases[.views] ?? 0))
    lines.append(
      String(
        format:
          "direct-convolution work %.1f GFLOP/s, OpenBLAS's sgemm (\(ConvolutionTiming.blasCore)) %.1f GFLOP/s: %.2f",
        convolutionRate, productRate, convolutionRate / max(productRate, 1e-9)))
    return lines.joined(separator: "\n")
  }
}
