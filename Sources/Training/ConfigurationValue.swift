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

extension SettingInput {
  /// The number that was given, the same in flags and in files: a flag's text is a number where it is one in JSON (RFC
  /// 8259). Swift's own reading of text would also take hexadecimal digits, `inf` and `nan`.
  var number: JSON? {
    switch self {
    case .json(let json): return json
    case .text(let text):
      guard text.utf8.allSatisfy({ !JSON.isSpace($0) }), let json = try? JSON(parsing: text), json.double != nil else {
        return nil
      }
      return json
    }
  }
}

extension JSON {
  fileprivate static func isSpace(_ byte: UInt8) -> Bool { byte <= 0x20 }
}

extension Int: SettingValue {
  package init?(_ input: SettingInput) {
    guard let value = input.number?.int else { return nil }
    self = value
  }

  package var json: JSON { JSON(self) }
}

extension UInt64: SettingValue {
  package init?(_ input: SettingInput) {
    guard let value = input.number?.uint64 else { return nil }
    self = value
  }

  package var json: JSON { JSON(self) }
}

extension Double: SettingValue {
  /// Finite numbers alone.
  package init?(_ input: SettingInput) {
    guard let value = input.number?.double, value.isFinite else { return nil }
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
