import Files

/// What a wrong value was probably meant to be: what a message adds where the setting would take it.
extension SettingInput {
  /// Other ways to write the value, the likeliest first.
  var respellings: [SettingInput] {
    switch self {
    case .text(let text): Self.respellings(of: text).map { .text($0) }
    case .json(.string(let text)):
      // A file's numbers have no quotes.
      ([text] + Self.respellings(of: text)).flatMap { spelling -> [SettingInput] in
        let number = SettingInput.text(spelling).number.map { [SettingInput.json($0)] } ?? []
        return number + [.json(.string(spelling))]
      }
    case .json(.bool(let value)): [.json(value ? "on" : "off")]
    case .json(.number(let value)): Self.whole(value).map { [.json(.integer(Int128($0)))] } ?? []
    case .json(.integer(let value)): [.json(.string(value.description))]
    case .json: []
    }
  }

  /// How a message says it after "should be …".
  func hint(for wrong: SettingInput) -> String {
    guard case .json(let json) = self, case .json(let given) = wrong else { return ", written as \(shownText)" }
    switch (given.string != nil, json.string != nil) {
    case (true, false): return ", without quotes: \(shownText)"
    case (false, true): return ", in quotes: \(shownText)"
    default: return ", written as \(shownText)"
    }
  }

  private static func respellings(of text: String) -> [String] {
    let trimmed = text.trimmingPrefix { $0.isWhitespace }.reversed().trimmingPrefix { $0.isWhitespace }.reversed()
    // Quotes that a shell has not taken away, other scripts' digits, and the minus and the dashes of typeset text.
    let plain = String(
      trimmed.filter { !"\"'“”‘’".contains($0) }.map { character -> Character in
        if !character.isASCII, let digit = character.wholeNumberValue, (0...9).contains(digit) {
          return Character("\(digit)")
        }
        return isDash(character) ? "-" : character
      })
    let name = plain.lowercased().replacing("_", with: "-")
    return [plain, name] + switches(name) + numbers(plain)
  }

  private static func switches(_ name: String) -> [String] {
    if ["true", "yes", "1", "enable", "enabled"].contains(name) { return ["on"] }
    return ["false", "no", "0", "disable", "disabled"].contains(name) ? ["off"] : []
  }

  /// The same number as JSON writes it, for `0x10`, `+5`, `1_000`, `1,5`, `.5`, `007`, `1e3` and `1000.0`.
  private static func numbers(_ text: String) -> [String] {
    guard text.count <= 64, text.contains(where: \.isNumber) else { return [] }
    let digits = text.replacing("_", with: "").replacing(" ", with: "")
    let groups = digits.split(separator: ",", omittingEmptySubsequences: false)
    // 1,000 has its digits in threes; 1,5 has a decimal comma.
    let isGrouped = groups.count > 1 && groups.dropFirst().allSatisfy { $0.count == 3 }
    let spellings = [digits.replacing(",", with: isGrouped ? "" : ".")]
    return spellings.flatMap { spelling -> [String] in
      let isDecimal = spelling.utf8.allSatisfy { "+-.eE0123456789".utf8.contains($0) }
      if isDecimal {
        // Digits alone may be more than a double holds.
        let whole = spelling.drop { $0 == "+" }.drop { $0 == "0" }
        if !whole.isEmpty, whole.allSatisfy(\.isNumber) { return [String(whole)] }
      } else if !spelling.lowercased().hasPrefix("0x") {
        return []
      }
      guard let value = Double(spelling), value.isFinite else { return [] }
      return (Self.whole(value).map { [String($0)] } ?? []) + [value.description]
    }
  }

  private static func whole(_ value: Double) -> Int? {
    abs(value) < 9_007_199_254_740_992 ? Int(exactly: value) : nil
  }

  /// Whether a character looks like a hyphen: the Unicode dashes and the minus sign.
  static func isDash(_ character: Character) -> Bool {
    guard let scalar = character.unicodeScalars.first, character.unicodeScalars.count == 1 else { return false }
    return scalar.value != 0x2D && scalar.properties.generalCategory == .dashPunctuation || scalar.value == 0x2212
  }
}
