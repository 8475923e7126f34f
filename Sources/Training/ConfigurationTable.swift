import Files
import Layers

extension Configuration {
  /// The table of settings, in the order in which help, files and a run's first lines show them. A new setting is a
  /// property and a row here.
  public static let settings: [Setting<Configuration>] =
    dataRows + networkRows + methodRows + optimizationRows + runRows

  private static let dataRows: [Setting<Configuration>] = [
    .init(
      "data", \.data, "shapes|PATH", in: .data, expects: "shapes or a path",
      "the embedded data set, or a data set's file or directory"
    ) { !$0.isEmpty },
    .init(
      "image-size", \.imageSize, "N", in: .data, expects: "a whole number from 8 to 4096, or 0 for the data's own size",
      "pixels of a view's side; 0: the data's own"
    ) { $0 == 0 || (8...4096).contains($0) },
    .init(choice: "augment", \.augment, in: .data, "the family of random views"),
    .init(choice: "shuffle", \.shuffle, in: .data, "a new order every epoch, or the file's"),
    .init(
      "seed", \.seed, "N", in: .data, expects: "a whole number from 0 to 18446744073709551615",
      "of every random number of a run"
    ) { _ in true },
  ]

  private static let networkRows: [Setting<Configuration>] = [
    .init(choice: "method", \.method, in: .networks, available: Available.methods, "how views teach"),
    .init(choice: "encoder", \.encoder, in: .networks, available: Available.encoders, "the network to train"),
    .init(
      "width", \.width, "N", in: .networks, expects: "a whole number from 1 to 4096",
      "channels of the encoder's first stage"
    ) { (1...4096).contains($0) },
    .init(choice: "stem", \.stem, in: .networks, "7x7/2 and max-pool, 3x3/1, or 3x3/2"),
    .init(
      "hidden", \.hidden, "N", in: .networks, expects: "a whole number from 1 to 65536",
      "hidden units of projector and predictor"
    ) { (1...65536).contains($0) },
    .init(
      "dim", \.dim, "N", in: .networks, expects: "a whole number from 1 to 65536",
      "outputs of projector and predictor"
    ) { (1...65536).contains($0) },
    .init(
      choice: "encoder-norm", \.encoderNorm, in: .networks, available: Available.encoderNorms,
      "what normalises the encoder's convolutions"),
    .init(
      choice: "projector-norm", \.projectorNorm, in: .networks, available: Available.headNorms,
      "what normalises the projector's hidden layer"),
    .init(
      choice: "predictor-norm", \.predictorNorm, in: .networks, available: Available.headNorms,
      "what normalises the predictor's hidden layer"),
    .init(
      choice: "weight-standardization", \.weightStandardization, in: .networks,
      "convolutions and linear layers with standardised weights"),
    .init(
      "bn-scope", \.bnScope, forms: Available.scopeForms, note: Available.scopeCounts,
      in: .networks,
      "the images that share batch-norm statistics", isAvailable: { _ in true }),
    scope("encoder-bn-scope", \.encoderBnScope, "of the encoder's batch norms; unset: --bn-scope"),
    scope("head-bn-scope", \.headBnScope, "of the projector's and predictor's batch norms; unset: --bn-scope"),
    .init(choice: "bn-views", \.bnViews, in: .networks, "views normalised each by itself, or together"),
    .init(
      "brn-r-max", \.brnRMax, "R", in: .networks, expects: "a number from 1 to 1000",
      "batch renormalisation scales by 1/R to R"
    ) { $0 >= 1 && $0 <= 1000 },
    .init(
      "brn-d-max", \.brnDMax, "D", in: .networks, expects: "a number from 0 to 1000",
      "and shifts by -D to D deviations"
    ) { $0 >= 0 && $0 <= 1000 },
    .init(
      "brn-warmup-steps", \.brnWarmupSteps, "N", in: .networks, expects: "a whole number from 0 to 1000000000",
      "over which R rises from 1 and D from 0; 0: both throughout"
    ) { (0...1_000_000_000).contains($0) },
    .init(
      "brn-momentum", \.brnMomentum, "X", in: .networks, expects: "a number above 0, up to 1",
      "a batch's share in batch renormalisation's running statistics"
    ) { $0 > 0 && $0 <= 1 },
    .init(
      optional: "init", \.initFile, "FILE", in: .networks, expects: "a safetensors file",
      "starting weights by tensor name"
    ) { !$0.isEmpty },
  ]

  private static func scope(
    _ name: String, _ path: WritableKeyPath<Configuration, BatchNormScope?> & Sendable, _ help: String
  ) -> Setting<Configuration> {
    .init(
      optional: name, path, Available.scopeForms.joined(separator: "|"), in: .networks,
      expects: "one of " + Available.scopeForms.joined(separator: ", ") + Available.scopeCounts, help,
      isValid: { _ in true })
  }

  private static let optimizationRows: [Setting<Configuration>] = [
    .init(
      "batch", \.batch, "N", in: .optimization, expects: "a whole number from 2 to 1048576",
      "images per step over all ranks"
    ) { (2...1_048_576).contains($0) },
    .init(
      optional: "epochs", \.epochs, "N", in: .optimization, expects: "a whole number from 1 to 1000000",
      "the run's length in passes over the data, or", excluding: ("steps", \.steps)
    ) { (1...1_000_000).contains($0) },
    .init(
      optional: "steps", \.steps, "N", in: .optimization, expects: "a whole number from 1 to 1000000000",
      "in steps", excluding: ("epochs", \.epochs)
    ) { (1...1_000_000_000).contains($0) },
    .init(choice: "optimizer", \.optimizer, in: .optimization, available: Available.optimizers, "how weights follow"),
    .init(
      "lr", \.lr, "RATE", in: .optimization, expects: "a number above 0, up to 1000",
      "peak learning rate as applied, then a cosine to 0"
    ) { $0 > 0 && $0 <= 1000 },
    .init(
      "momentum", \.momentum, "X", in: .optimization, expects: "a number from 0 to below 1",
      "of the optimizer"
    ) { $0 >= 0 && $0 < 1 },
    .init(
      "weight-decay", \.weightDecay, "X", in: .optimization, expects: "a number from 0 to 1",
      "L2 decay"
    ) { $0 >= 0 && $0 <= 1 },
    .init(
      optional: "decay-on", \.decayOn, "all|weights", in: .optimization, expects: "one of all, weights",
      "with or without biases and norms; unset: all for sgd, weights for lars"
    ) { _ in true },
    .init(
      "lars-trust", \.larsTrust, "X", in: .optimization, expects: "a number above 0, up to 1000",
      "trust coefficient of lars"
    ) { $0 > 0 && $0 <= 1000 },
    .init(
      optional: "lars-on", \.larsOn, "PARTS", in: .optimization,
      expects: "parts with commas between them, of " + NetworkParts.names,
      "lars there and sgd elsewhere; unset: lars everywhere"
    ) { _ in true },
    .init(
      optional: "warmup-steps", \.warmupSteps, "N", in: .optimization,
      expects: "a whole number from 0 to 1000000000",
      "of linear rise to the peak learning rate; unset: a tenth of the run, at most \(longestUsualWarmup)"
    ) { (0...1_000_000_000).contains($0) },
    .init(
      "ema", \.ema, "TAU", in: .optimization, expects: "a number from 0 to 1",
      "the target keeps TAU of itself each step"
    ) { $0 >= 0 && $0 <= 1 },
    .init(
      optionalChoice: "ema-schedule", \.emaSchedule, in: .optimization,
      "from TAU to 1 over the run, or TAU throughout; unset: constant for moco, else cosine"),
    .init(choice: "ema-on", \.emaOn, in: .optimization, "who computes the target; bitwise the same").operational,
  ]

  private static let runRows: [Setting<Configuration>] = [
    .init(
      optional: "threads", \.threads, "N", in: .run, expects: "a whole number from 1 to 1024",
      "per rank; unset: the host's cores over its ranks"
    ) { (1...1024).contains($0) }.operational,
    .init(
      optional: "out", \.out, "DIR", in: .run, expects: "a directory's path",
      "the run directory; unset: a new one in runs/"
    ) { !$0.isEmpty }.operational,
    .init(choice: "resume", \.resume, in: .run, "go on with the unfinished run in --out").operational,
    .init(
      "checkpoint-every", \.checkpointEvery, "N", in: .run, expects: "a whole number of steps from 0 to 1000000000",
      "steps between checkpoints; 0: at the end alone"
    ) { (0...1_000_000_000).contains($0) }.operational,
    .init(
      "keep", \.keep, "K", in: .run, expects: "a whole number from 1 to 1000000", "checkpoints that stay on disk"
    ) { (1...1_000_000).contains($0) }.operational,
    .init(
      "probe-every", \.probeEvery, "N", in: .run, expects: "a whole number of steps from 0 to 1000000000",
      "steps between linear probes; 0: at the end alone"
    ) { (0...1_000_000_000).contains($0) }.operational,
    .init(
      "measure-every", \.measureEvery, "N", in: .run, expects: "a whole number of steps from 0 to 1000000000",
      "steps between effective ranks in metrics.jsonl; 0: at probes and the end alone"
    ) { (0...1_000_000_000).contains($0) }.operational,
    .init(
      choice: "on-collapse", \.onCollapse, in: .run,
      "when images can no longer be told apart: say so, or also end the run as finished"
    ).operational,
    .init(
      optional: "log-every", \.logEvery, "N", in: .run, expects: "a whole number of steps from 1 to 1000000000",
      "steps between printed lines where there is no terminal; unset: a line after 10 seconds, later fewer"
    ) { (1...1_000_000_000).contains($0) }.operational,
  ]
}

extension Configuration {
  /// The flags of the settings that results depend on and in which the two differ: why a run cannot go on as another.
  public func resultDifferences(from other: Configuration) -> [String] {
    Self.settings.filter { $0.shapesResults && $0.json(in: self) != $0.json(in: other) }.map { "--" + $0.name }
  }
}
