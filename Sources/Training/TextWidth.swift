/// The width of lines that people read.
public enum TextWidth {
  /// The terminal's width, from 60 to 120 characters; 80 where there is no terminal, since logs are read in windows of
  /// that.
  public static func standardOutput(_ screen: Screen = .standardOutput()) -> Int {
    screen.columns().map { min(max($0, 60), 120) } ?? 80
  }

  /// The words of a text on lines of at most `width` characters, those after the first indented. A longer word has a
  /// line of its own and is not cut.
  package static func wrapped(_ text: String, to width: Int, indent: Int = 0) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(repeating: " ", count: lines.isEmpty ? 0 : indent) + word)
      }
    }
    return lines
  }
}
