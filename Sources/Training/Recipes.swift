/// The shipped configurations that `--config` names.
public enum Recipe: String, CaseIterable, Codable, Sendable {
  /// A small encoder on the embedded data set: minutes on two cores.
  case quick
  /// Fetterman & Albrecht (2020): ResNet-18, ten epochs.
  case study

  public var configuration: Configuration {
    var settings = Configuration()
    switch self {
    case .quick:
      settings.encoder = .resnet10
      settings.width = 16
      settings.stem = .small
      settings.hidden = 256
      settings.batch = 64
      settings.steps = 2000
      settings.lr = 0.2
      settings.ema = 0.98
    case .study:
      settings.epochs = 10
      // The paper's loss is 1 - cos a direction, here it is 2 - 2 cos: half its rate of 0.8 and twice its decay of 1e-4
      // take its very steps.
      settings.lr = 0.4
      settings.weightDecay = 2e-4
      settings.warmupSteps = 0
    }
    return settings
  }

  /// The recipe in force where none is named: `quick` without data, `study` with it.
  public static func standard(for data: String?) -> Recipe { data == nil ? .quick : .study }
}
