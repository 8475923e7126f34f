import Files

/// A mistake of the user: one line that names the flag or file, the value and what would be right. Exit status 2.
public struct UsageError: Error, Equatable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// A user's text as it may stand in a message of one line: in quotes when it would not be clear or safe without.
package func shown(_ text: String) -> String {
  let plain = text.unicodeScalars.allSatisfy { $0.value > 0x20 && !(0x7F...0x9F).contains($0.value) && $0 != "\"" }
  return plain && !text.isEmpty ? text : JSON.quoted(text)
}
