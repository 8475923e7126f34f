/// Why a text is not JSON, and at which byte.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  /// Nil where the text as a whole is of another kind.
  public let offset: Int?
  public let reason: String
  public var description: String { offset.map { "not valid JSON at byte \($0): \(reason)" } ?? reason }
}

extension JSON {
  /// Strict JSON (RFC 8259); in addition a name twice in an object and numbers beyond a double's range are errors.
  /// - Throws: `JSONError`.
  public init(parsing text: String) throws {
    self = try Self.parse(Array(text.utf8))
  }

  /// - Parameter bytes: UTF-8; a byte order mark before it is passed over.
  /// - Throws: `JSONError`, for one that names another encoding.
  public static func parse(_ bytes: [UInt8]) throws -> JSON {
    do { return try parseText(bytes) } catch let error as JSONError {
      guard let kind = TextEncoding.wrongKind(of: bytes) else { throw error }
      throw JSONError(offset: nil, reason: kind)
    }
  }

  private static func parseText(_ bytes: [UInt8]) throws -> JSON {
    var parser = JSONParser(bytes: bytes, place: bytes.starts(with: TextEncoding.utf8Mark) ? 3 : 0)
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.place == bytes.count else { throw parser.error("text after the end of the value") }
    return value
  }
}

/// Recursive descent with a bounded depth over bytes that may hold anything.
private struct JSONParser {
  let bytes: [UInt8]
  var place = 0

  func error(_ reason: String) -> JSONError { JSONError(offset: place, reason: reason) }

  var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { place += 1 }
  }

  /// Skips spaces and then `byte`, if it is there.
  mutating func take(_ byte: Character) -> Bool {
    skipSpace()
    guard next == byte.asciiValue else { return false }
    place += 1
    return true
  }

  mutating func value(depth: Int) throws -> JSON {
    guard depth < 64 else { throw error("nested more than 64 deep") }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case nil: throw error("the text ends where a value should be")
    default: return try number()
    }
  }

  mutating func word(_ word: String, _ value: JSON) throws -> JSON {
    guard bytes[place...].starts(with: word.utf8) else { throw error("a value should be here") }
    place += word.utf8.count
    return value
  }

  mutating func object(depth: Int) throws -> JSON {
    place += 1
    var members: [JSON.Member] = []
    var names: Set<String> = []
    if take("}") { return .object([]) }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw error("a name in quotes should be here") }
      let key = try string()
      guard names.insert(key).inserted else { throw error("the name \(JSON.quoted(key)) is there twice") }
      guard take(":") else { throw error("a colon should follow the name \(JSON.quoted(key))") }
      members.append(JSON.Member(key, try value(depth: depth + 1)))
    } while take(",")
    guard take("}") else { throw error("a comma or a closing brace should be here") }
    return .object(members)
  }

  mutating func array(depth: Int) throws -> JSON {
    place += 1
    var elements: [JSON] = []
    if take("]") { return .array([]) }
    repeat { elements.append(try value(depth: depth + 1)) } while take(",")
    guard take("]") else { throw error("a comma or a closing bracket should be here") }
    return .array(elements)
  }

  mutating func digits() -> Int {
    let start = place
    while let byte = next, (0x30...0x39).contains(byte) { place += 1 }
    return place - start
  }

  mutating func number() throws -> JSON {
    let start = place
    let negative = take("-")
    let zero = next == UInt8(ascii: "0")
    let whole = digits()
    guard whole == 1 || (whole > 1 && !zero) else { throw error("a value should be here") }
    var isInteger = whole <= 36
    if next == UInt8(ascii: ".") {
      place += 1
      isInteger = false
      guard digits() > 0 else { throw error("a digit should follow the point") }
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      place += 1
      isInteger = false
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { place += 1 }
      guard digits() > 0 else { throw error("a digit should follow the exponent") }
    }
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    if isInteger, let value = Int128(text), !(negative && value == 0) { return .integer(value) }
    guard let value = Double(text), value.isFinite else { throw error("the number \(text) is out of range") }
    return .number(value)
  }

  mutating func string() throws -> String {
    place += 1
    var content: [UInt8] = []
    while let byte = next {
      place += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else { throw error("a string is not UTF-8") }
        return text
      case UInt8(ascii: "\\"): content += try escape()
      case 0..<0x20: throw error("a control character in a string")
      default: content.append(byte)
      }
    }
    throw error("a string does not end")
  }

  mutating func escape() throws -> [UInt8] {
    guard let byte = next else { throw error("a string does not end") }
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      var code = UInt32(try hexadecimal())
      if (0xD800..<0xDC00).contains(code), bytes[place...].starts(with: "\\u".utf8) {
        place += 2
        let low = UInt32(try hexadecimal())
        guard (0xDC00..<0xE000).contains(low) else { throw error("half of a surrogate pair") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair") }
      return Array(String(Character(scalar)).utf8)
    default: throw error("an unknown escape")
    }
  }

  mutating func hexadecimal() throws -> UInt16 {
    var value: UInt16 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw error("four hexadecimal digits should be here")
      }
      value = value << 4 | UInt16(digit)
      place += 1
    }
    return value
  }
}
