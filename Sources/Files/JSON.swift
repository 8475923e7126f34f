/// A JSON value whose objects keep their order, so that what is written is deterministic down to the byte.
///
/// Integers are wide enough for Int64 and UInt64 (a seed must survive the way to the file and back), and equality
/// means the same value: 1 equals 1.0, and the order of an object's members does not matter.
public enum JSON: Sendable {
  case null
  case bool(Bool)
  case integer(Int128)
  /// Finite; `init(_: Double)` maps anything else to null.
  case number(Double)
  case string(String)
  case array([JSON])
  /// No name twice.
  case object([Member])

  public struct Member: Sendable, Equatable {
    public let key: String
    public let value: JSON

    public init(_ key: String, _ value: JSON) {
      self.key = key
      self.value = value
    }
  }
}

extension JSON {
  public init(_ value: some BinaryInteger) { self = .integer(Int128(value)) }
  public init(_ value: String) { self = .string(value) }
  public init(_ value: Bool) { self = .bool(value) }
  /// NaN and infinities, which JSON lacks, become null.
  public init(_ value: Double) { self = value.isFinite ? .number(value) : .null }
  /// The double with the float's shortest decimal form: 0.1, not 0.10000000149011612.
  public init(_ value: Float) { self.init(Double(value.description) ?? .nan) }

  public var int: Int? {
    if case .integer(let value) = self { return Int(exactly: value) }
    return nil
  }
  public var uint64: UInt64? {
    if case .integer(let value) = self { return UInt64(exactly: value) }
    return nil
  }
  /// Any number.
  public var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
  public var string: String? {
    if case .string(let value) = self { return value }
    return nil
  }
  public var bool: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }
  public var array: [JSON]? {
    if case .array(let value) = self { return value }
    return nil
  }
  public var members: [Member]? {
    if case .object(let value) = self { return value }
    return nil
  }
  /// The member of that name; nil if there is none or this is no object.
  public subscript(key: String) -> JSON? { members?.first { $0.key == key }?.value }
}

extension JSON: Equatable {
  public static func == (a: JSON, b: JSON) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.integer(let a), .integer(let b)): a == b
    case (.integer, .number), (.number, .integer), (.number, .number): a.double == b.double
    case (.string(let a), .string(let b)): a == b
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a.count == b.count && a.allSatisfy { b.contains($0) }
    default: false
    }
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self.init(value) }
  public init(floatLiteral value: Double) { self.init(value) }
}

extension JSON: ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}

// MARK: - Text

extension JSON: CustomStringConvertible {
  /// One line without spaces; doubles in the shortest form that reads back as the same double.
  public var description: String {
    var text = ""
    append(to: &text, indent: nil)
    return text
  }

  /// A member a line, two spaces of indent, arrays of plain values on one line, a newline at the end.
  public var pretty: String {
    var text = ""
    append(to: &text, indent: 0)
    return text + "\n"
  }

  /// `text` in quotes, control characters escaped: also the safe way to show a name out of a file on a terminal.
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  private func append(to text: inout String, indent: Int?) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += value.description
    case .number(let value): text += value.isFinite ? value.description : "null"
    case .string(let value): text += Self.quoted(value)
    case .array(let elements):
      let plain = elements.allSatisfy { $0.members == nil && $0.array == nil }
      Self.append(
        elements.map { ("", $0) }, between: ("[", "]"), to: &text, indent: plain ? nil : indent,
        comma: plain && indent != nil ? ", " : ",")
    case .object(let members):
      let keyed = members.map { (Self.quoted($0.key) + (indent == nil ? ":" : ": "), $0.value) }
      Self.append(keyed, between: ("{", "}"), to: &text, indent: indent, comma: ",")
    }
  }

  private static func append(
    _ items: [(String, JSON)], between brackets: (String, String), to text: inout String, indent: Int?, comma: String
  ) {
    let inner = indent.map { "\n" + String(repeating: " ", count: $0 + 2) } ?? ""
    text += brackets.0
    for (index, item) in items.enumerated() {
      text += (index == 0 ? "" : comma) + inner + item.0
      item.1.append(to: &text, indent: indent.map { $0 + 2 })
    }
    if !items.isEmpty, let indent { text += "\n" + String(repeating: " ", count: indent) }
    text += brackets.1
  }
}
