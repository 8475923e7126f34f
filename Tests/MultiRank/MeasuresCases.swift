import Collectives
import Files
import Foundation
import NetworkTesting
import Training

/// What a step is measured by, on ranks that share a batch.
var measuresCases: [MultiRankCase] {
  [
    MultiRankCase(name: "measures: every figure of a batch is PyTorch's", ranks: .only([1, 2, 3, 4, 8])) {
      communicator in
      for name in ["healthy", "wide", "collapsed", "apart"] { try checkFigures(name, communicator) }
    },
    MultiRankCase(name: "measures: what is no number or nothing is told on every rank", ranks: .only([1, 2, 3])) {
      communicator in
      let rows = 4
      let meter = StepMeter(imagesPerView: rows, dimensions: 5, communicator: communicator)
      func measure(_ z: [Float]) throws -> StepMeasures {
        try z.withUnsafeBufferPointer {
          try meter.measure(
            loss: 0, z: $0.baseAddress!, targets: $0.baseAddress!, stop: false, detail: [.effectiveRank, .pairs],
            communicator: communicator)
        }
      }
      var z = noise(2 * rows * 5, UInt64(communicator.rank))
      if communicator.rank == communicator.size - 1 { z[7] = .nan }
      let bad = try measure(z)
      for value in [bad.projectionStd, bad.alignment, bad.uniformity] { try expect(value?.isNaN ?? false, "\(bad)") }
      try expectEqual(bad.effectiveRank?.isNaN, communicator.rank == 0 ? true : nil, "the rank")
      let nothing = try measure([Float](repeating: 0, count: 2 * rows * 5))
      try expectEqual(nothing.projectionStd, 0, "the deviation of nothing")
      try expectEqual(nothing.effectiveRank, communicator.rank == 0 ? 0 : nil, "the rank of nothing")
    },
    MultiRankCase(name: "measures: a collapse ends the run where it is asked to", ranks: .only([1, 2, 3]), limit: 150) {
      communicator in try withRuns(communicator) { try checkCollapse($0, communicator) }
    },
  ]
}

/// A rank's share of a fixture's batch, and its figures (Tests/TrainingTests/Fixtures/make_step_measures.py).
private func checkFigures(_ name: String, _ communicator: Communicator) throws {
  let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
  let file = try SafetensorsFile(path: tests + "/TrainingTests/Fixtures/step_measures.safetensors")
  let (batch, dimensions) = (try file.shape(name + ".z")[1], try file.shape(name + ".z")[2])
  let rows = batch / communicator.size
  func share(_ tensor: String) throws -> [Float] {
    let all = try file.floats(name + tensor)
    return (0..<2).flatMap { view in
      let start = (view * batch + communicator.rank * rows) * dimensions
      return Array(all[start..<(start + rows * dimensions)])
    }
  }
  let (z, targets) = (try share(".z"), try share(".targets"))
  let meter = StepMeter(imagesPerView: rows, dimensions: dimensions, communicator: communicator)
  func measure(_ detail: MeasureDetail, stop: Bool = false) throws -> StepMeasures {
    try meter.measure(
      loss: 0.5, z: z, targets: targets, stop: stop, detail: detail, communicator: communicator)
  }
  let wanted = try file.doubles(name + ".figures")
  // The second time over, a meter that had not forgotten the first would give other sums.
  for turn in 0..<2 {
    let found = try measure([.effectiveRank, .pairs], stop: communicator.rank == communicator.size - 1)
    try expectEqual(found.loss, 0.5 * Double(communicator.size), "the loss")
    try expect(found.stops, "a rank's wish to stop")
    try expectEqual(found.effectiveRank == nil, communicator.rank > 0, "only rank 0 has a rank")
    let figures = [
      found.positiveCosine, found.negativeCosine, found.projectionStd, found.effectiveRank ?? wanted[3],
      found.alignment ?? .nan, found.uniformity ?? .nan,
    ]
    let keys = ["positive cosine", "negative cosine", "std", "effective rank", "alignment", "uniformity"]
    for (place, key) in keys.enumerated() {
      try expect(
        abs(figures[place] - wanted[place]) <= 1e-7 * abs(wanted[place]),
        "\(name), \(key), turn \(turn): \(figures[place]), not \(wanted[place])")
    }
    let decided = [found.positiveCosine, found.negativeCosine, found.projectionStd]
    try expectSameOnAllRanks(decided, communicator, "what all ranks decide by")
  }
  let plain = try measure([])
  try expect(plain.effectiveRank == nil && plain.alignment == nil && plain.uniformity == nil, "what was not asked for")
  try expect(!plain.stops, "nobody wishes to stop")
  try expectEqual(plain.projectionStd, try measure(.effectiveRank).projectionStd, "the deviation, whatever else")
}

private func checkCollapse(_ runs: Runs, _ communicator: Communicator) throws {
  /// Without norms in the heads, at a rate at which nothing is left to tell images apart.
  func settings(_ settings: inout Configuration) {
    (settings.projectorNorm, settings.predictorNorm) = (.none, .none)
    (settings.lr, settings.warmupSteps, settings.steps) = (0.2, 5, 400)
    settings.onCollapse = .stop
    settings.checkpointEvery = 0
  }
  StopSignals.install()
  defer { StopSignals.reset() }
  try runs.finish("whole", communicator, settings)

  // Stopped in the middle of the steps on end, and killed between its last checkpoint and its summary.
  do {
    let stopped = try runs.trainer("stopped", communicator, settings)
    stopped.afterStep = { if $0 == 60, communicator.rank == communicator.size - 1 { raise(SIGUSR1) } }
    try expectEqual(try stopped.run(), .stopped(step: 61), "the outcome")
  }
  StopSignals.reset()
  try runs.finish("stopped", communicator, settings)
  try runs.onRoot(communicator) {
    try expectEqual(try runs.summary("stopped"), try runs.summary("whole"), "a resumed run's summary")
    try expectEqual(try runs.lines("stopped"), try runs.lines("whole"), "a resumed run's lines")
    try FileManager.default.removeItem(atPath: runs("stopped/summary.json"))
  }
  try runs.finish("stopped", communicator, settings)

  try runs.finish("warned", communicator) {
    settings(&$0)
    ($0.onCollapse, $0.steps) = (.warn, 400)
  }
  try runs.onRoot(communicator) {
    try expectEqual(try runs.summary("stopped"), try runs.summary("whole"), "the summary after all")
    try expectEqual(try runs.lines("stopped"), try runs.lines("whole"), "the lines after all")
    let summary = try JSON.parse(Array(try Data(contentsOf: URL(fileURLWithPath: runs("whole/summary.json")))))
    let began = summary["collapsed_at"]?.int ?? 0
    try expect((6...250).contains(began), "collapsed at \(began)")
    try expectEqual(summary["steps"]?.int, began + 99, "it ends at the last of the steps on end")
    try expectEqual(summary["collapsed"]?.bool, true, "collapsed")
    try expectEqual(summary["collapse_measure"]?.string, "cosine", "the measure")
    try expect(summary["alignment"]?.double != nil, "no alignment in the summary")
    let lines = try MetricsLog.read(runs("whole/metrics.jsonl"))
    try expectEqual(lines.filter { $0["loss"] != nil }.count, began + 99, "lines of steps")
    try expectEqual(lines.compactMap { $0["collapsed_at"]?.int }, [began], "lines that say so")
    try expectEqual(lines.filter { $0["probe_accuracy"] != nil }.count, 1, "lines of probes")
    try expect(
      AtomicDirectory.isDirectory(runs("whole/checkpoints/" + CheckpointStore.name(step: began + 99))),
      "no checkpoint of the last step")
    let warned = try MetricsLog.read(runs("warned/metrics.jsonl"))
    try expectEqual(warned.compactMap { $0["collapsed_at"]?.int }, [began], "a run that goes on says so once")
    try expectEqual(warned.filter { $0["loss"] != nil }.count, 400, "and goes on")
  }
}
