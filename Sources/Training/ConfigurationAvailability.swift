import Layers
import Methods

/// What of the contract this version has: what is not listed here is refused by name and not shown as a choice.
enum Available {
  static let methods = MethodKind.allCases
  static let encoders = EncoderKind.allCases
  static let encoderNorms: [NormKind] = [.bn, .gn, .none]
  static let headNorms: [NormKind] = [.bn, .ln, .gn, .brn, .none]
  static let optimizers = OptimizerKind.allCases

  static let scopeForms = ["sync", "node", "group:K", "local", "ghost:N"]
  static let scopeCounts = " with K and N from 1 to \(BatchNormScope.greatestCount)"
}

extension Configuration {
  /// The settings that this version does not have, a line each; empty where it can run. Flags and files are checked as
  /// they are read; this is for configurations made in code.
  public var unsupported: [String] {
    Self.settings.filter { !$0.available(self) }.map {
      "--\($0.name) \($0.text(in: self) ?? ""): not available in this version; should be \($0.expectation)"
    }
  }
}
