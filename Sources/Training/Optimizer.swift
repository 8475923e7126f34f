import Kernels
import Layers

/// SGD with momentum as torch.optim.SGD, v = momentum v + (g + decay w); w = w - lr v, and LARS on the parts that ask for
/// it: there g + decay w is scaled by trust |w| / |g + decay w|, norms over the whole tensor, before it joins v, and left
/// where one of the norms is 0 (You et al. 2017; as BYOL uses it, Grill et al. 2020, section 3.3). Biases and norm
/// parameters are never adapted.
public final class Optimizer {
  /// v, laid out as the parameters.
  public let velocity: AlignedBuffer
  private let momentum: Float
  private let trust: Double
  private let rules: [Rule]
  private let partials: UnsafeMutablePointer<Double>

  /// What happens to a range of the flat buffer.
  private struct Rule {
    var range: Range<Int>
    let decay: Float
    let adapts: Bool
  }

  /// - Parameters:
  ///   - adapted: the parts on which LARS acts; none for SGD.
  ///   - trust: LARS's trust coefficient.
  public init(
    _ store: ParameterStore, momentum: Double, decay: Double, decayOn: DecayedParameters = .all,
    adapted: NetworkParts = .none, trust: Double = 0.001
  ) {
    velocity = AlignedBuffer(count: store.values.count)
    self.momentum = Float(momentum)
    self.trust = trust
    var rules: [Rule] = []
    let ends = store.parameters.dropFirst().map(\.offset) + [store.values.count]
    for (parameter, end) in zip(store.parameters, ends) {
      let isVector = parameter.layout == .vector
      let rule = Rule(
        range: parameter.offset..<end, decay: isVector && decayOn == .weights ? 0 : Float(decay),
        adapts: !isVector && adapted.contain(parameter.name))
      // Neighbours that are treated alike are one range; a layer's own rate is its own.
      if let last = rules.last, !last.adapts, !rule.adapts, last.decay == rule.decay {
        rules[rules.count - 1].range = last.range.lowerBound..<end
      } else {
        rules.append(rule)
      }
    }
    self.rules = rules
    partials = .allocate(capacity: SquaredSums.partials(rules.map(\.range.count).max() ?? 0))
  }

  deinit { partials.deallocate() }

  /// Takes one step with the store's gradients, which must be those of the mean over the global batch. Every rank
  /// computes the same bits from the same gradients, on any number of threads.
  public func update(_ store: ParameterStore, rate: Double, team: ThreadTeam) {
    for rule in rules {
      ParameterUpdates.sgd(
        weights: store.values.pointer, gradients: store.gradients.pointer, velocity: velocity.pointer,
        range: rule.range, rate: Float(rate), momentum: momentum, decay: rule.decay,
        adaptation: rule.adapts ? adaptation(rule, store, team) : 1, team: team)
    }
  }

  private func adaptation(_ rule: Rule, _ store: ParameterStore, _ team: ThreadTeam) -> Float {
    let squares = SquaredSums.weightsAndGradients(
      weights: store.values.pointer, gradients: store.gradients.pointer, range: rule.range, decay: rule.decay,
      partials: partials, team: team)
    guard squares.weights > 0, squares.gradients > 0 else { return 1 }
    return Float(trust * (squares.weights / squares.gradients).squareRoot())
  }
}

extension Optimizer {
  /// The optimizer that the settings ask for.
  public convenience init(_ store: ParameterStore, _ settings: Configuration) {
    let adapted: NetworkParts = settings.optimizer == .lars ? settings.larsOn ?? .all : .none
    self.init(
      store, momentum: settings.momentum, decay: settings.weightDecay,
      decayOn: settings.decayOn ?? (settings.optimizer == .lars ? .weights : .all), adapted: adapted,
      trust: settings.larsTrust)
  }
}
