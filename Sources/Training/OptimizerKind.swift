/// The optimizers that `--optimizer` names.
public enum OptimizerKind: String, CaseIterable, Codable, Sendable {
  /// Stochastic gradient descent with momentum as torch.optim.SGD: v = momentum v + (g + decay w); w = w - lr v.
  case sgd
  /// Layer-wise adaptive rates (You et al. 2017, arXiv 1708.03888).
  case lars
}
