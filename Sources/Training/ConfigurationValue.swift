import Files
import Layers

/// A setting's value as the user gave it: a flag's text or a file's JSON.
public enum SettingInput: Equatable, Sendable {
  case text(String)
  case json(JSON)

  /// As a message shows it.
  var shownText: String {
    switch self {
    case .text(let text): shown(text)
    case .json(let json): json.description
    }
  }
}

/// A type that settings can have: read from text and JSON, written as JSON.
package protocol SettingValue: Equatable, Sendable {
  init?(_ input: SettingInput)
  var json: JSON { get }
}

extension Int: SettingValue {
  package init?(_ input: SettingInput) {
    switch input {
    case .text(let text): self.init(text)
    case .json(let json):
      guard let value = json.int else { return nil }
      self = value
    }
  }

  package var json: JSON { JSON(self) }
}

extension UInt64: SettingValue {
  package init?(_ input: SettingInput) {
    switch input {
    case .text(let text): self.init(text)
    case .json(let json):
      guard let value = json.uint64 else { return nil }
      self = value
    }
  }

  package var json: JSON { JSON(self) }
}

extension Double: SettingValue {
  /// Finite numbers alone.
  package init?(_ input: SettingInput) {
    let value: Double? =
      switch input {
      case .text(let text): Double(text)
      case .json(let json): json.double
      }
    guard let value, value.isFinite else { return nil }
    self = value
  }

  package var json: JSON { JSON(self) }
}

extension String: SettingValue {
  package init?(_ input: SettingInput) {
    switch input {
    case .text(let text): self = text
    case .json(let json):
      guard let value = json.string else { return nil }
      self = value
    }
  }

  package var json: JSON { JSON(self) }
}

extension BatchNormScope: SettingValue {
  package init?(_ input: SettingInput) {
    guard let text = String(input) else { return nil }
    self.init(text)
  }

  package var json: JSON { JSON(description) }
}

extension Optional: SettingValue where Wrapped: SettingValue {
  /// JSON's null is nil; every text is a value.
  package init?(_ input: SettingInput) {
    if case .json(.null) = input {
      self = .none
    } else if let value = Wrapped(input) {
      self = value
    } else {
      return nil
    }
  }

  package var json: JSON { map(\.json) ?? .null }
}
