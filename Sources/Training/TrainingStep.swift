import Collectives
import Foundation
import Kernels
import Layers
import Methods

/// One rank's part of a step: forward, loss, backward with the gradients' all-reduce, update, target. What `train` does
/// and `bench step` times.
public final class TrainingStep {
  public let method: Siamese
  public let optimizer: Optimizer
  /// Steps in all, T of the schedules.
  public let total: Int
  public let clock: PhaseClock
  private let settings: Configuration
  private let world: Communicator
  private let meter: StepMeter
  /// nil where the ranks of a host have no memory in common, or this one is alone there.
  package let hostUpdate: HostUpdate?
  /// nil without a target, or where `hostUpdate` moves it.
  private let movingAverage: MovingAverageTarget?
  private var hasBegun = false

  /// - Parameters:
  ///   - settings: with the image size and threads resolved.
  ///   - spins: how long an idle thread of the team looks for work before it sleeps.
  /// - Throws: `CollectiveError`.
  public init(_ settings: Configuration, total: Int, threads: Int, spins: Int, world: Communicator) throws {
    let settings = settings.withMethodResolved(samples: nil)
    self.settings = settings
    self.total = total
    self.world = world
    let layout = BatchLayout(views: 2, imagesPerView: settings.batch / world.size)
    method = Siamese(
      settings.modelShape, plan: settings.methodPlan, layout: layout, scope: try settings.batchNormScopes(world),
      world: world,
      team: ThreadTeam(threads: threads, spins: spins))
    clock = method.context.clock
    optimizer = Optimizer(method.online, settings)
    meter = StepMeter(imagesPerView: layout.imagesPerView, dimensions: settings.dim, communicator: world)
    let hostUpdate = try HostUpdate(method, optimizer, placement: settings.emaOn, world: world)
    self.hostUpdate = hostUpdate
    let (online, clock) = (method.online, clock)
    if let hostUpdate, hostUpdate.addsGradients {
      // Not its owner: the update holds the method, and so the context.
      method.context.gradientsReady = { [unowned hostUpdate] in hostUpdate.ready(from: $0) }
      method.context.whileWaiting = { [unowned hostUpdate] in hostUpdate.updateReady() }
    } else {
      let reduction = GradientAllReduce(online.gradients, communicator: world, clock: clock)
      method.context.gradientsReady = { try reduction.ready(from: $0) }
    }
    let movingAverage =
      hostUpdate?.movesTarget ?? false
      ? nil
      : method.target.map {
        MovingAverageTarget(target: $0, online: online, placement: settings.emaOn, communicator: world)
      }
    self.movingAverage = movingAverage
    method.beforeTarget = {
      try clock.measure(.ema) {
        try hostUpdate?.settle()
        try movingAverage?.settle()
      }
    }
  }

  // Several runs may follow one another in a process.
  deinit { method.context.team.end() }

  /// Takes step `index`, from 0. Collective. The target is there after `settleTarget`, or in the next step.
  /// - Parameters:
  ///   - views: as `Siamese.step` wants them.
  ///   - stop: whether this rank was told to stop.
  ///   - detail: what else to measure, the same on all ranks.
  /// - Throws: `CollectiveError`; `ReplicaDifference` before the first step.
  public func run(
    _ index: Int, views: UnsafePointer<Float>, stop: Bool, detail: MeasureDetail = []
  ) throws -> StepMeasures {
    try begin()
    CollectiveWatchdog.note("forward and backward")
    hostUpdate?.begin(rate: learningRate(index), tau: tau(index))
    (method.context.scopes.renorm.ratio, method.context.scopes.renorm.offset) = renormLimits(index)
    let loss = try method.step(views: views, globalBatch: settings.batch, index: index)
    guard let z = method.projections, let targets = method.targetProjections else {
      preconditionFailure("a step leaves its projections")
    }
    try hostUpdate?.arrive()
    CollectiveWatchdog.note("measures")
    var measures = try clock.measure(.communication) {
      try meter.start(loss: loss, z: z, targets: targets, stop: stop, detail: detail, communicator: world)
    }
    CollectiveWatchdog.note("update")
    try update(index)
    measures.effectiveRank = try clock.measure(.communication) { try meter.finishEffectiveRank() }
    return measures
  }

  /// Waits for the target of the last step, which is otherwise waited for by the next one. Collective.
  /// - Throws: `CollectiveError`.
  public func settleTarget() throws {
    try hostUpdate?.settle()
    try movingAverage?.settle()
  }

  /// Before the first step: replicas that are the same, and one copy of them on each host that can have one.
  private func begin() throws {
    guard !hasBegun else { return }
    hasBegun = true
    try ReplicaCheck.run(method, communicator: world)
    try hostUpdate?.takeParameters()
  }

  /// From gradients to the parameters and the target of the next step.
  private func update(_ index: Int) throws {
    let team = method.context.team
    try clock.measure(.optimizer) {
      if let hostUpdate {
        try hostUpdate.run(team: team)
      } else {
        optimizer.update(method.online, rate: learningRate(index), team: team)
      }
    }
    guard let tau = tau(index), let movingAverage else { return }
    CollectiveWatchdog.note("target")
    try clock.measure(.ema) { try movingAverage.update(tau: tau, team: team) }
  }

  public func learningRate(_ index: Int) -> Double {
    Schedules.learningRate(step: index, peak: settings.lr, warmup: settings.warmup(total: total), total: total)
  }

  /// r_max and d_max of batch renormalisation.
  public func renormLimits(_ index: Int) -> (ratio: Double, offset: Double) {
    Schedules.renormLimits(
      step: index, ratio: settings.brnRMax, offset: settings.brnDMax, warmup: settings.brnWarmupSteps)
  }

  /// nil without a target.
  public func tau(_ index: Int) -> Double? {
    guard method.target != nil else { return nil }
    return settings.emaSchedule.map {
      Schedules.movingAverage(step: index, start: settings.ema, schedule: $0, total: total)
    }
  }
}
