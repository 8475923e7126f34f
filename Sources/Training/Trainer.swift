import Collectives
import Evaluation
import Files
import Foundation
import Images
import Kernels
import Layers
import Methods

/// How a run ended.
public enum RunOutcome: Equatable, Sendable {
  case finished
  /// A signal came; a complete checkpoint of `step` is there.
  case stopped(step: Int)
}

/// A loss that is no number: the run cannot go on.
public struct DivergedError: Error, CustomStringConvertible {
  public let step: Int
  public var description: String {
    "the loss of step \(step) is not finite: the weights have diverged; try a lower --lr or more --warmup-steps"
  }
}

/// One rank of a training run: views, forward, loss, backward, all-reduce, update, target, and now and then a probe and
/// a checkpoint. All ranks make one, with the same request.
public final class Trainer {
  let request: RunRequest
  let world: Communicator
  let splits: DatasetSplits
  let trainingStep: TrainingStep
  let totalSteps: Int
  let threads: Int
  /// Rank 0's alone.
  let record: RunRecord?
  var progress = RunProgress()
  let start: RunStart
  private let sampler: ShardedSampler
  /// Whether the first lines name every setting in force.
  public var announcesSettings = true
  /// Called with the number of finished steps after each; for tests, which stop, kill or spoil a run by it.
  package var afterStep: ((Int) throws -> Void)?
  var settings: Configuration { request.configuration }
  package var method: Siamese { trainingStep.method }
  var optimizer: Optimizer { trainingStep.optimizer }
  /// Whether the ranks of this host have one copy of the parameters between them.
  package var sharesParameters: Bool { trainingStep.hostUpdate != nil }

  /// Opens data, run directory and checkpoint: whatever a user can have got wrong is found here, before any training.
  /// Collective.
  /// - Parameter show: takes what rank 0 prints; the standard output unless said.
  /// - Throws: `SharedError` with the reason on every rank; `CollectiveError`.
  public init(
    _ asked: RunRequest, world: Communicator, show: @escaping (String) -> Void = writeToStandardOutput
  ) throws {
    CollectiveWatchdog.note("start")
    self.world = world
    try world.together { try asked.configuration.validate(ranks: world.size) }
    let ranksOnHost = try world.splitByHost().size
    var request = asked
    let settings = request.configuration
    let splits = try world.together { try DatasetSource.open(settings.data, seed: settings.seed) }
    self.splits = splits
    let fewestOnHost = Int(try world.allReduce(Int64(ranksOnHost), .min))
    try world.together {
      try settings.validate(ranks: world.size, fewestRanksOnHost: fewestOnHost, samples: splits.train.count)
    }
    threads = ThreadCount.resolve(settings.threads, ranksOnHost: ranksOnHost)
    setOpenBLASThreads(threads)
    request.configuration.threads = Int(try world.broadcast([Int64(threads)], from: 0)[0])
    request.configuration = request.configuration.withMethodResolved(samples: splits.train.count)
    if settings.imageSize == 0 { request.configuration.imageSize = max(splits.train.height, splits.train.width) }
    totalSteps = settings.totalSteps(samples: splits.train.count)
    self.request = request
    sampler = try ShardedSampler(
      count: splits.train.count, batch: settings.batch, rank: world.rank, ranks: world.size,
      shuffle: settings.shuffle.isOn, seed: settings.seed)
    try MemoryCheck.run(
      request.configuration, splits: splits, threads: threads, ranksOnHost: ranksOnHost, world: world)
    let crowded = ranksOnHost * threads > ProcessInfo.processInfo.processorCount
    trainingStep = try TrainingStep(
      request.configuration, total: totalSteps, threads: threads, spins: crowded ? 100 : 20_000, world: world)
    let method = trainingStep.method
    (record, start) = try Self.openRecord(request, steps: totalSteps, world: world, show: show) {
      // Before the run directory has settings that a mistake in this one would be part of.
      guard let path = settings.initFile else { return }
      method.initialize(seed: settings.seed)
      try ModelTensors.override(method, with: try SafetensorsFile(path: path))
    }
  }

  private static func openRecord(
    _ request: RunRequest, steps: Int, world: Communicator, show: @escaping (String) -> Void,
    beforeFresh: () throws -> Void
  ) throws -> (RunRecord?, RunStart) {
    var record: RunRecord?
    let bytes = try world.decideOnRoot {
      let opened = try RunRecord(request, ranks: world.size, steps: steps, show: show, beforeFresh: beforeFresh)
      record = opened
      return opened.start.bytes
    }
    return (record, try RunStart(bytes: bytes))
  }

  /// The directory of this run.
  public var path: String { start.path }

  /// Trains from where the run directory stands to the end, or until a signal.
  /// - Throws: `SharedError`, `DivergedError`, `ReplicaDifference`, `CollectiveError`, the same on all ranks.
  public func run() throws -> RunOutcome {
    // Whatever is said next, an error for one, does not go on in a drawn progress bar's line.
    defer { record?.display.finish() }
    announce()
    if start.kind == .finished {
      announceFinished(start.state)
      return .finished
    }
    try begin()
    let (step, isStopped) = try train(from: start.step)
    if isStopped { return .stopped(step: step) }
    try finish(step: step)
    return .finished
  }

  /// Weights of step 0, or those of a checkpoint.
  private func begin() throws {
    CollectiveWatchdog.note("loading", step: start.step)
    method.initialize(seed: settings.seed)
    if start.kind == .resume {
      try restore(start)
      return
    }
    if let path = settings.initFile { try loadInit(path) }
  }

  /// - Returns: the finished steps: all, or fewer after a collapse or a signal, and whether it was a signal.
  private func train(from first: Int) throws -> (step: Int, isStopped: Bool) {
    do { return try takeSteps(from: first) } catch let error where !(error is CollectiveError) {
      // Nothing is under way when MPI is left, or when another run of the same process begins.
      try trainingStep.settleTarget()
      throw error
    }
  }

  private func takeSteps(from first: Int) throws -> (step: Int, isStopped: Bool) {
    guard first < totalSteps, !endsByCollapse else { return (first, false) }
    let loader = ViewLoader(
      dataset: splits.train, sampler: sampler,
      recipe: ViewRecipe(policy: settings.augment, imageSize: settings.imageSize, seed: settings.seed),
      startStep: first, endStep: totalSteps, workers: max(1, threads), ahead: 2)
    defer { loader.stop() }
    let clock = ContinuousClock()
    for step in first..<totalSteps {
      CollectiveWatchdog.note("views", step: step)
      let began = clock.now
      let measures = try trainingStep.run(
        step, views: views(loader), stop: StopSignals.requested != nil,
        detail: detail(step: step + 1))
      let seconds = began.duration(to: clock.now).seconds
      try settle(step: step, measures, seconds: seconds)
      let done = step + 1
      guard measures.loss.isFinite else { throw DivergedError(step: done) }
      if let afterStep {
        try trainingStep.settleTarget()
        try afterStep(done)
      }
      let isLast = done == totalSteps || endsByCollapse
      if probes(step: done), !isLast { try probe(step: done) }
      let isDue = settings.checkpointEvery > 0 && done % settings.checkpointEvery == 0
      let saves = measures.stops || isDue || isLast
      // Before every checkpoint too: what differs must not get into one.
      if saves || done % Self.replicaCheckEvery == 0 {
        try trainingStep.settleTarget()
        try checkReplicas()
      }
      if saves { try checkpoint(step: done) }
      if measures.stops && done < totalSteps { return (done, true) }
      if isLast { return (done, false) }
    }
    return (totalSteps, false)
  }

  private var endsByCollapse: Bool { settings.onCollapse == .stop && progress.collapse.isCollapsed }

  private func probes(step: Int) -> Bool { settings.probeEvery > 0 && step % settings.probeEvery == 0 }

  /// What the step of this number, from 1, is measured for: all that there is where a probe follows it.
  private func detail(step: Int) -> MeasureDetail {
    let mayBeLast = step == totalSteps || settings.onCollapse == .stop && progress.collapse.isNearlySure
    if mayBeLast || probes(step: step) { return [.effectiveRank, .pairs] }
    let isDue = settings.measureEvery > 0 && (step == 1 || step % settings.measureEvery == 0)
    return isDue ? .effectiveRank : []
  }

  private static let replicaCheckEvery = 100

  /// The next views. An image that this rank cannot read is nothing that the others could agree on: it ends the job.
  private func views(_ loader: ViewLoader) -> UnsafePointer<Float> {
    do { return try loader.next() } catch {
      record?.display.finish()
      world.abort(
        reason: "\(error)", status: ExitStatus(for: error).rawValue,
        isPermanent: (error as? any StatusError)?.isPermanent ?? false)
    }
  }

  /// Writes the step down and shows it.
  private func settle(step: Int, _ measures: StepMeasures, seconds: Double) throws {
    progress.note(measures)
    let event = progress.collapse.note(
      CollapseReading(measures, dimensions: settings.dim), step: step + 1, warmup: settings.warmupSteps)
    let rate = Double(settings.batch) / seconds
    let epoch = step / sampler.stepsPerEpoch
    try onRoot { record in
      try record.log(
        step: step + 1,
        [
          ("epoch", JSON(epoch)), ("loss", JSON(measures.loss)), ("lr", JSON(trainingStep.learningRate(step))),
          ("tau", trainingStep.tau(step).map { JSON($0) } ?? .null), ("positive_cosine", JSON(measures.positiveCosine)),
          ("negative_cosine", JSON(measures.negativeCosine)), ("projection_std", JSON(measures.projectionStd)),
        ] + (measures.effectiveRank.map { [("effective_rank", JSON($0))] } ?? []) + [("images_per_second", JSON(rate))])
      record.display.update(
        ProgressReading(
          step: step + 1, steps: totalSteps, loss: measures.loss, positiveCosine: measures.positiveCosine,
          negativeCosine: measures.negativeCosine, imagesPerSecond: rate))
      guard let event else { return }
      try record.log(step: step + 1, event.members)
      record.display.print(event.text(settings.onCollapse))
    }
  }

  private func checkReplicas() throws {
    CollectiveWatchdog.note("replica check")
    try ReplicaCheck.run(method, communicator: world)
  }

  /// Runs what only rank 0 does; a failure there, such as a full disk, is rank 0's alone to tell and ends the job.
  private func onRoot(_ body: (RunRecord) throws -> Void) throws {
    guard let record else { return }
    do { try body(record) } catch {
      record.display.finish()
      // What a disk or its contents did wrong is there at the next start too.
      world.abort(reason: "\(error)", status: ExitStatus.failed.rawValue, isPermanent: true)
    }
  }

  func say(_ line: String) { record?.display.print(line) }
}

extension Configuration {
  /// The networks; the image size must have been resolved.
  public var modelShape: ModelShape {
    ModelShape(
      encoder: EncoderShape(
        kind: encoder, width: width, stem: stem, imageSize: imageSize, norm: encoderNorm,
        standardizesWeights: weightStandardization.isOn),
      hidden: hidden, dimensions: dim, projectorNorm: projectorNorm, predictorNorm: predictorNorm,
      predictor: predictorDepth.flatMap(PredictorDepth.init) ?? method.predictorDepth,
      standardizesWeights: weightStandardization.isOn)
  }
}

extension Configuration {
  /// How the networks' batch norms take their statistics. Collective over `world`.
  /// - Throws: `CollectiveError`.
  public func batchNormScopes(_ world: Communicator) throws -> BatchNormScopes {
    try BatchNormScopes(
      encoder: encoderBnScope ?? bnScope, heads: headBnScope ?? bnScope, views: bnViews,
      renorm: BatchRenormLimits(ratio: brnRMax, offset: brnDMax, momentum: brnMomentum), world: world)
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
