import Kernels
import Layers

/// SGD with momentum, as torch.optim.SGD: v = momentum v + (g + decay w); w = w - lr v, on every parameter.
public final class SGD {
  /// v, laid out as the parameters.
  public let velocity: AlignedBuffer
  private let momentum: Float
  private let decay: Float

  public init(_ store: ParameterStore, momentum: Double, decay: Double) {
    velocity = AlignedBuffer(count: store.values.count)
    self.momentum = Float(momentum)
    self.decay = Float(decay)
  }

  /// Takes one step with the store's gradients, which must be those of the mean over the global batch.
  public func update(_ store: ParameterStore, rate: Double, team: ThreadTeam) {
    ParameterUpdates.sgd(
      weights: store.values.pointer, gradients: store.gradients.pointer, velocity: velocity.pointer,
      range: 0..<store.values.count, rate: Float(rate), momentum: momentum, decay: decay, team: team)
  }
}
