import Kernels
import Layers

/// SGD with momentum as torch.optim.SGD, v = momentum v + (g + decay w); w = w - lr v, and LARS on the parts that ask for
/// it: there g + decay w is scaled by trust |w| / |g + decay w|, norms over the whole tensor, before it joins v, and left
/// where one of the norms is 0 (You et al. 2017; as BYOL uses it, Grill et al. 2020, section 3.3). Biases and norm
/// parameters are never adapted.
public final class Optimizer {
  /// v, laid out as the parameters. Another buffer with the same numbers may take its place between steps.
  public var velocity: AlignedBuffer
  private let momentum: Float
  private let trust: Double
  private let rules: [Rule]
  /// Each adapted rule's partial sums of squares.
  private let partials: UnsafeMutablePointer<Double>
  /// How many doubles they are; 0 where nothing is adapted.
  let partialCount: Int

  /// What happens to a range of the flat buffer.
  private struct Rule {
    var range: Range<Int>
    let decay: Float
    let adapts: Bool
    /// Where its partial sums begin.
    var partialsAt = 0
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
    var partialCount = 0
    let ends = store.parameters.dropFirst().map(\.offset) + [store.values.count]
    for (parameter, end) in zip(store.parameters, ends) {
      let isVector = parameter.layout == .vector
      var rule = Rule(
        range: parameter.offset..<end, decay: isVector && decayOn == .weights ? 0 : Float(decay),
        adapts: !isVector && adapted.contain(parameter.name))
      // Neighbours that are treated alike are one range; a layer's own rate is its own.
      if let last = rules.last, !last.adapts, !rule.adapts, last.decay == rule.decay {
        rules[rules.count - 1].range = last.range.lowerBound..<end
      } else {
        if rule.adapts {
          rule.partialsAt = partialCount
          partialCount += SquaredSums.partials(rule.range.count)
        }
        rules.append(rule)
      }
    }
    self.rules = rules
    self.partialCount = partialCount
    partials = .allocate(capacity: max(partialCount, 1))
  }

  deinit { partials.deallocate() }

  /// Takes one step with the store's gradients, which must be those of the mean over the global batch. Every rank
  /// computes the same bits from the same gradients, on any number of threads.
  public func update(_ store: ParameterStore, rate: Double, team: ThreadTeam) {
    let (weights, gradients) = (store.values.pointer, store.gradients.pointer)
    for (index, rule) in rules.enumerated() {
      if rule.adapts {
        let first = rule.range.lowerBound
        team.split(rule.range.count, grain: SquaredSums.chunk) { part in
          let piece = Piece(rule: index, range: first + part.lowerBound..<first + part.upperBound)
          square(piece, weights: weights, gradients: gradients, into: partials)
        }
      }
      ParameterUpdates.sgd(
        weights: weights, gradients: gradients, velocity: velocity.pointer, range: rule.range, rate: Float(rate),
        momentum: momentum, decay: rule.decay, adaptation: adaptation(of: index, partials), team: team)
    }
  }
}

/// The same step piece by piece, each by whoever is free.
extension Optimizer {
  /// A range of the flat buffer that one rule acts on; where it adapts, whole chunks of sums of squares.
  struct Piece {
    let rule: Int
    let range: Range<Int>
  }

  /// All of the flat buffer in pieces of no more than `floats`, from the end.
  /// - Parameter floats: whole chunks of sums of squares.
  func pieces(of floats: Int) -> [Piece] {
    precondition(floats % SquaredSums.chunk == 0, "a piece of \(floats) floats cuts a sum of squares")
    return rules.indices.flatMap { rule in
      let range = rules[rule].range
      return stride(from: range.lowerBound, to: range.upperBound, by: floats).map { low in
        Piece(rule: rule, range: low..<min(low + floats, range.upperBound))
      }
    }.reversed()
  }

  /// Whether the rule of a piece needs sums of squares first.
  func adapts(_ piece: Piece) -> Bool { rules[piece.rule].adapts }

  /// The factor of each rule's gradients.
  /// - Parameter partials: of all pieces that adapt.
  func adaptations(_ partials: UnsafePointer<Double>, into adaptations: UnsafeMutablePointer<Float>) {
    for rule in rules.indices { adaptations[rule] = adaptation(of: rule, partials) }
  }

  var ruleCount: Int { rules.count }

  private func adaptation(of rule: Int, _ partials: UnsafePointer<Double>) -> Float {
    guard rules[rule].adapts else { return 1 }
    let squares = SquaredSums.total(partials + rules[rule].partialsAt, count: rules[rule].range.count)
    guard squares.weights > 0, squares.gradients > 0 else { return 1 }
    return Float(trust * (squares.weights / squares.gradients).squareRoot())
  }

  /// Puts a piece's sums of squares where they belong in `partials`.
  func square(
    _ piece: Piece, weights: UnsafePointer<Float>, gradients: UnsafePointer<Float>,
    into partials: UnsafeMutablePointer<Double>
  ) {
    let rule = rules[piece.rule]
    let first = SquaredSums.partials(piece.range.lowerBound - rule.range.lowerBound)
    SquaredSums.weightsAndGradients(
      weights: weights, gradients: gradients, range: piece.range, decay: rule.decay,
      into: partials + rule.partialsAt + first)
  }

  func update(_ piece: Piece, _ buffers: ParameterUpdates.Buffers, rate: Double, adaptation: Float) {
    ParameterUpdates.sgd(
      buffers, piece.range,
      .init(rate: Float(rate), momentum: momentum, decay: rules[piece.rule].decay, adaptation: adaptation))
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
