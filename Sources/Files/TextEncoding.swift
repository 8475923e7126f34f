/// Recognises bytes that should be JSON in UTF-8 and are something else altogether.
enum TextEncoding {
  static let utf8Mark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// - Returns: what the bytes are and what they should be; nil for text with a mistake at some byte.
  static func wrongKind(of bytes: [UInt8]) -> String? {
    if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) || bytes == utf8Mark {
      return "is empty; should be JSON"
    }
    if let name = wideEncoding(of: bytes) { return "is \(name); should be UTF-8" }
    // No text has a zero byte, and none begins with other control characters.
    let isControl: (UInt8) -> Bool = { $0 == 0x7F || $0 < 0x20 && !(0x09...0x0D).contains($0) }
    if bytes.prefix(4096).contains(0) || bytes.prefix(8).contains(where: isControl) {
      return "is binary; should be JSON"
    }
    return nil
  }

  /// By the byte order mark, or by where the zero bytes of a first ASCII character are (RFC 4627, section 3).
  private static func wideEncoding(of bytes: [UInt8]) -> String? {
    let marks: [(mark: [UInt8], name: String)] = [
      // The longer ones first: UTF-32's little-endian mark begins with UTF-16's.
      ([0xFF, 0xFE, 0, 0], "UTF-32"), ([0, 0, 0xFE, 0xFF], "UTF-32"), ([0xFF, 0xFE], "UTF-16"),
      ([0xFE, 0xFF], "UTF-16"),
    ]
    if let found = marks.first(where: { bytes.starts(with: $0.mark) }) { return found.name }
    func isText(_ index: Int) -> Bool {
      (0x09...0x0D).contains(bytes[index]) || (0x20..<0x7F).contains(bytes[index])
    }
    if bytes.count >= 4, bytes.count.isMultiple(of: 4) {
      if bytes[0...2].allSatisfy({ $0 == 0 }), isText(3) { return "UTF-32" }
      if isText(0), bytes[1...3].allSatisfy({ $0 == 0 }) { return "UTF-32" }
    }
    if bytes.count >= 4, bytes.count.isMultiple(of: 2) {
      if bytes[0] == 0, isText(1), bytes[2] == 0, isText(3) { return "UTF-16" }
      if isText(0), bytes[1] == 0, isText(2), bytes[3] == 0 { return "UTF-16" }
    }
    return nil
  }
}

extension JSON {
  /// The value in a small file of JSON.
  /// - Throws: `FileError`.
  public static func read(_ path: String, atMost most: Int = 16 << 20) throws -> JSON {
    let bytes = try OpenFile.bytes(of: path, atMost: most)
    do { return try parse(bytes) } catch { throw FileError(path, "\(error)") }
  }

  /// The object in a small file of JSON.
  /// - Throws: `FileError`.
  public static func readObject(_ path: String, atMost most: Int = 16 << 20) throws -> JSON {
    let json = try read(path, atMost: most)
    guard json.members != nil else { throw FileError(path, "is not a JSON object") }
    return json
  }
}
