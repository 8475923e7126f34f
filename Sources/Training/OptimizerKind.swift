import Files

/// The optimizers that `--optimizer` names.
public enum OptimizerKind: String, CaseIterable, Codable, Sendable {
  /// Stochastic gradient descent with momentum as torch.optim.SGD: v = momentum v + (g + decay w); w = w - lr v.
  case sgd
  /// Layer-wise adaptive rates (You et al. 2017, arXiv 1708.03888), as BYOL uses them.
  case lars
}

/// The parameters that weight decay acts on.
public enum DecayedParameters: String, CaseIterable, Sendable {
  case all
  /// Convolutions and linear layers, without biases and the norms' parameters.
  case weights
}

extension DecayedParameters: SettingValue {
  package init?(_ input: SettingInput) {
    guard let text = String(input) else { return nil }
    self.init(rawValue: text)
  }

  package var json: JSON { JSON(rawValue) }
}

/// A part of the online network by name.
public enum NetworkPart: String, CaseIterable, Sendable {
  case encoder, stem, layer1, layer2, layer3, layer4, projector, predictor

  /// What the names of its parameters start with.
  var prefixes: [String] {
    switch self {
    case .encoder, .projector, .predictor: [rawValue + "."]
    case .stem: ["encoder.conv1.", "encoder.bn1."]
    case .layer1, .layer2, .layer3, .layer4: ["encoder.\(rawValue)."]
    }
  }
}

/// Parts of the online network, in text with commas between them: `layer1,layer2`.
public struct NetworkParts: Equatable, Sendable {
  public let parts: [NetworkPart]

  public init(_ parts: [NetworkPart]) { self.parts = parts }

  public static let none = NetworkParts([])
  public static let all = NetworkParts([.encoder, .projector, .predictor])
  static let names = NetworkPart.allCases.map(\.rawValue).joined(separator: ", ")

  public var text: String { parts.map(\.rawValue).joined(separator: ",") }

  /// Whether the parameter of this name, `encoder.layer1.0.conv1.weight`, belongs to one of them.
  public func contain(_ name: String) -> Bool {
    parts.contains { $0.prefixes.contains { name.hasPrefix($0) } }
  }
}

extension NetworkParts: SettingValue {
  /// At least one part, each once.
  package init?(_ input: SettingInput) {
    guard let text = String(input) else { return nil }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { NetworkPart(rawValue: String($0)) }
    let known = parts.compactMap { $0 }
    guard !known.isEmpty, known.count == parts.count, Set(known).count == known.count else { return nil }
    self.init(known)
  }

  package var json: JSON { JSON(text) }
}
