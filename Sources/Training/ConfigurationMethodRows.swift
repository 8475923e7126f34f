import Files
import Methods

extension Configuration {
  /// The rows of what methods have of their own.
  static let methodRows: [Setting<Configuration>] = [
    .init(
      optionalChoice: "loss", \.loss, in: .networks,
      "between predictions and keys; unset: l2 for byol and simsiam, cross-entropy for contrastive, simclr and moco"),
    .init(
      optional: "predictor-depth", \.predictorDepth, "0|1|2", in: .networks, expects: "0, 1 or 2",
      "linear layers of the predictor; unset: 2 for byol, contrastive and simsiam, else 0"
    ) { PredictorDepth(rawValue: $0) != nil },
    .init(
      optionalChoice: "stop-gradient", \.stopGradient, in: .networks,
      "whether gradients stop at the keys; unset: off for simclr, barlow-twins and vicreg, else on"),
    .init(
      optional: "temperature", \.temperature, "T", in: .networks, expects: "a number above 0, up to 100",
      "of the logits cos/T; unset: 0.5 for simclr, else 0.2"
    ) { $0 > 0 && $0 <= 100 },
    .init(
      optional: "queue", \.queue, "N", in: .networks, expects: "a whole number of keys from 0 to 16777216",
      "keys of earlier batches as negatives, a multiple of the batch; 0: the batch's own; unset: 65536 for moco, at "
        + "most the training images, else 0"
    ) { (0...16_777_216).contains($0) },
    .init(
      optional: "eqco-alpha", \.eqcoAlpha, "A", in: .networks, expects: "a number above 0, up to 1e9",
      "the negatives' share of the softmax is multiplied by A over their number; unset: by 1"
    ) { $0 > 0 && $0 <= 1e9 },
    .init(
      choice: "shuffle-bn", \.shuffleBn, in: .networks,
      "the keys' images change places over the ranks before their batch norm"),
    .init(
      optional: "lambda", \.lambda, "X", in: .networks, expects: "a number from 0 to 1000",
      "barlow-twins' weight of what is off the diagonal; unset: 0.005"
    ) { (0...1000).contains($0) },
    weight("vicreg-invariance", \.vicregInvariance, "vicreg's weight of the views' distance; unset: 25"),
    weight("vicreg-variance", \.vicregVariance, "vicreg's weight of the variance term; unset: 25"),
    weight("vicreg-covariance", \.vicregCovariance, "vicreg's weight of the covariance term; unset: 1"),
  ]

  private static func weight(
    _ name: String, _ path: WritableKeyPath<Configuration, Double?> & Sendable, _ help: String
  ) -> Setting<Configuration> {
    .init(optional: name, path, "X", in: .networks, expects: "a number from 0 to 1e6", help) { (0...1e6).contains($0) }
  }
}
