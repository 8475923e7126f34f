import Collectives
import Evaluation
import Files
import Foundation

/// Probes, and what a run says of itself.
extension Trainer {
  /// The linear probe's accuracy on the test split, in percent, on every rank. Collective.
  func probeAccuracy() throws -> Double {
    CollectiveWatchdog.note("probe")
    let features = try FeatureExtraction.features(
      method, dataset: splits.test, imageSize: settings.imageSize, communicator: world)
    var accuracy = 0.0
    try world.together {
      guard world.rank == 0 else { return }
      accuracy = try LinearProbe.accuracy(features: features, labels: (0..<splits.test.count).map(splits.test.label))
    }
    return try world.broadcast([accuracy], from: 0)[0]
  }

  /// The probe's accuracy on the encoder as the seed starts it: what learning is measured against. Made at the end, so
  /// that the first step need not wait for it; the trained weights are put back. Collective.
  private func randomEncoderAccuracy() throws -> Double {
    let (values, running) = (Array(method.online.values.floats), Array(method.online.running.floats))
    method.online.initialize(seed: settings.seed)
    method.online.resetRunningStatistics()
    defer {
      _ = method.online.values.floats.update(fromContentsOf: values)
      _ = method.online.running.floats.update(fromContentsOf: running)
    }
    return try probeAccuracy()
  }

  /// Probes after `step` finished steps and writes it down. Collective.
  func probe(step: Int) throws {
    let accuracy = try probeAccuracy()
    try world.together { try record?.log(step: step, [("probe_accuracy", JSON(accuracy))]) }
    say("step \(step): probe \(percent(accuracy))")
  }

  /// The final probe, the summary and the last lines. Collective.
  func finish() throws {
    let accuracy = try probeAccuracy()
    let randomAccuracy = try randomEncoderAccuracy()
    let peak = try world.allReduce(Int64(PeakMemory.bytes), .max)
    try world.together {
      guard let record else { return }
      // A run that was cut off between its last probe and its summary has the line already.
      let isLogged = start.step == totalSteps && record.linesOfResumedStep.contains { $0["probe_accuracy"] != nil }
      if !isLogged {
        try record.log(step: totalSteps, [("probe_accuracy", JSON(accuracy))])
      }
      let summary = try summary(accuracy: accuracy, random: randomAccuracy, peak: Int(peak), record: record)
      try record.directory.writeSummary(summary)
      record.display.finish()
      announceFinished(summary)
    }
  }

  /// The whole run's figures: time and speed come from its metrics, which outlive an interruption.
  private func summary(accuracy: Double, random: Double, peak: Int, record: RunRecord) throws -> JSON {
    var seconds = 0.0
    var steps = 0
    for line in try MetricsLog.read(record.directory.metricsPath) {
      guard let rate = line["images_per_second"]?.double, rate > 0 else { continue }
      seconds += Double(settings.batch) / rate
      steps += 1
    }
    let rate = seconds > 0 ? Double(settings.batch * steps) / seconds : 0
    return [
      "probe_accuracy": JSON(accuracy), "random_encoder_accuracy": JSON(random),
      "positive_cosine": JSON(progress.positiveCosine), "negative_cosine": JSON(progress.negativeCosine),
      "collapsed": JSON(progress.collapsed), "steps": JSON(totalSteps), "seconds": JSON(seconds),
      "images_per_second": JSON(rate), "ranks": JSON(world.size), "threads": JSON(threads),
      "peak_rss_bytes": JSON(peak), "method": JSON(settings.method.rawValue), "data": JSON(settings.data),
      "version": JSON(byolDistVersion),
    ]
  }

  /// The first lines: the recipe and every setting in force.
  func announce() {
    guard let record else { return }
    if announcesSettings { say(request.text(ranks: world.size)) }
    say(
      "\(splits.train.count) training and \(splits.test.count) test images of \(splits.train.width) x "
        + "\(splits.train.height) pixels; \(totalSteps) steps; \(method.online.parameters.reduce(0) { $0 + $1.count }) "
        + "parameters; run directory \(path)")
    for note in record.directory.notes { say(note) }
  }

  /// The last lines a user sees.
  func announceFinished(_ summary: JSON) {
    guard let record else { return }
    func number(_ key: String, _ format: String) -> String {
      summary[key]?.double.map { String(format: format, $0) } ?? "unknown"
    }
    let collapsed = summary["collapsed"]?.bool ?? false
    record.display.print(
      """
      probe accuracy  \(number("probe_accuracy", "%.1f")) %   random encoder  \
      \(number("random_encoder_accuracy", "%.1f")) %
      cosine of z and z'  \(number("positive_cosine", "%.4f")) between views of one image, \
      \(number("negative_cosine", "%.4f")) between images
      \(collapsed
        ? "collapsed: projections of different images are the same" : "not collapsed: images can be told apart")
      """)
  }

  func percent(_ value: Double) -> String { String(format: "%.1f %%", value) }
}
