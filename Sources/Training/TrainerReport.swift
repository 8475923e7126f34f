import Collectives
import Evaluation
import Files
import Foundation
import Kernels

/// Accuracies of frozen features on the test split, in percent.
struct ProbeResult {
  var linear = 0.0
  /// Whether the linear probe's fit came to its optimum.
  var converged = true
  /// Of the nearest neighbours, fitted and judged on the same halves.
  var neighbours = 0.0
}

/// Probes, and what a run says of itself.
extension Trainer {
  /// Both probes of the encoder, on every rank. Collective.
  /// - Parameter step: finished steps.
  /// - Throws: `DivergedError` on every rank where a feature is not finite.
  func probed(step: Int) throws -> ProbeResult {
    CollectiveWatchdog.note("probe")
    let features = try FeatureExtraction.features(
      method, dataset: splits.test, imageSize: settings.imageSize, communicator: world)
    let bad = features.firstIndex { !$0.isFinite }.map { $0 / method.shape.encoder.features } ?? -1
    let image = Int(try world.broadcast([Int64(bad)], from: 0)[0])
    guard image < 0 else { throw DivergedError(step: step, sign: .features(image: image)) }
    var result = ProbeResult()
    try world.together {
      guard world.rank == 0 else { return }
      let labels = (0..<splits.test.count).map(splits.test.label)
      let probe = try LinearProbe.run(features: features, labels: labels)
      (result.linear, result.converged) = (probe.accuracy, probe.converged)
      if !probe.converged {
        say("the linear probe did not converge in \(probe.iterations) iterations: its accuracy is a lower estimate")
      }
      result.neighbours = try NearestNeighbours.accuracy(features: features, labels: labels)
    }
    let all = try world.broadcast([result.linear, result.converged ? 1 : 0, result.neighbours], from: 0)
    return ProbeResult(linear: all[0], converged: all[1] == 1, neighbours: all[2])
  }

  /// The probes of the encoder as the seed starts it: what learning is measured against. Made at the end, so
  /// that the first step need not wait for it; the trained weights are put back. Collective.
  private func probedRandomEncoder(step: Int) throws -> ProbeResult {
    let (values, running) = (method.online.values, Array(method.online.running.floats))
    // Not in place: the trained ones may be other ranks' too.
    method.online.values = AlignedBuffer(count: values.count)
    method.online.initialize(seed: settings.seed)
    method.online.resetRunningStatistics()
    defer {
      method.online.values = values
      _ = method.online.running.floats.update(fromContentsOf: running)
    }
    return try probed(step: step)
  }

  /// Probes after `step` finished steps and writes it down. Collective.
  func probe(step: Int) throws {
    let result = try probed(step: step)
    try world.together { try record?.log(step: step, probeLine(result)) }
    say("step \(step): probe \(percent(result.linear))")
  }

  /// The accuracies, and alignment and uniformity of the batch just seen.
  private func probeLine(_ result: ProbeResult) -> [(String, JSON)] {
    [
      ("probe_accuracy", JSON(result.linear)), ("knn_accuracy", JSON(result.neighbours)),
      ("alignment", JSON(progress.alignment)), ("uniformity", JSON(progress.uniformity)),
    ]
  }

  /// The final probe, the summary and the last lines. Collective.
  /// - Parameter step: finished steps.
  func finish(step: Int) throws {
    let result = try probed(step: step)
    let random = try probedRandomEncoder(step: step)
    let peak = try world.allReduce(Int64(PeakMemory.bytes), .max)
    try world.together {
      guard let record else { return }
      // A run that was cut off between its last probe and its summary has the line already.
      let isLogged = start.step == step && record.linesOfResumedStep.contains { $0["probe_accuracy"] != nil }
      if !isLogged {
        try record.log(step: step, probeLine(result))
      }
      let summary = try summary(step: step, result, random: random, peak: Int(peak), record: record)
      try record.directory.writeSummary(summary)
      record.display.finish()
      announceFinished(summary)
    }
  }

  /// The whole run's figures: time and speed come from its metrics, which outlive an interruption.
  private func summary(
    step: Int, _ result: ProbeResult, random: ProbeResult, peak: Int, record: RunRecord
  ) throws -> JSON {
    var seconds = 0.0
    var steps = 0
    try MetricsLog.forEach(record.directory.metricsPath) { line in
      guard let rate = line["images_per_second"]?.double, rate > 0 else { return }
      seconds += Double(settings.batch) / rate
      steps += 1
    }
    let rate = seconds > 0 ? Double(settings.batch * steps) / seconds : 0
    let accuracies: [JSON.Member] = [
      .init("probe_accuracy", JSON(result.linear)), .init("probe_converged", JSON(result.converged)),
      .init("random_encoder_accuracy", JSON(random.linear)),
      .init("knn_accuracy", JSON(result.neighbours)), .init("random_encoder_knn_accuracy", JSON(random.neighbours)),
    ]
    let end: [JSON.Member] =
      progress.verdict(dimensions: settings.dim).members + [
        .init("steps", JSON(step)), .init("seconds", JSON(seconds)),
        .init("images_per_second", JSON(rate)), .init("ranks", JSON(world.size)), .init("threads", JSON(threads)),
        .init("peak_rss_bytes", JSON(peak)), .init("method", JSON(settings.method.rawValue)),
        .init("data", JSON(settings.data)), .init("version", JSON(byolDistVersion)),
      ]
    return .object(accuracies + progress.figures + end)
  }

  /// The first lines: the recipe and every setting in force.
  func announce() {
    guard let record else { return }
    if announcesSettings { say(prepared.text) }
    say(
      "\(splits.train.count) training and \(splits.test.count) test images of \(splits.train.width) x "
        + "\(splits.train.height) pixels; \(totalSteps) steps; \(method.online.parameters.reduce(0) { $0 + $1.count }) "
        + "parameters; run directory \(path)")
    for note in splits.notes + record.notes { say(note) }
  }

  /// The last lines a user sees.
  func announceFinished(_ summary: JSON) {
    guard let record else { return }
    func number(_ key: String, _ format: String) -> String {
      summary[key]?.double.map { String(format: format, $0) } ?? "unknown"
    }
    record.display.print(
      """
      kNN accuracy  \(number("knn_accuracy", "%.1f")) %   random encoder  \
      \(number("random_encoder_knn_accuracy", "%.1f")) %
      effective rank  \(number("effective_rank", "%.1f")) of \(settings.dim)   alignment  \
      \(number("alignment", "%.4f"))   uniformity  \(number("uniformity", "%.4f"))
      probe accuracy  \(number("probe_accuracy", "%.1f")) %   random encoder  \
      \(number("random_encoder_accuracy", "%.1f")) %
      cosine of z and z'  \(number("positive_cosine", "%.4f")) between views of one image, \
      \(number("negative_cosine", "%.4f")) between images
      \(CollapseVerdict(summary: summary).text)
      """)
  }

  func percent(_ value: Double) -> String { String(format: "%.1f %%", value) }
}
