import Training

/// Refuses arguments that are not UTF-8: `CommandLine.arguments` repairs them, and a repaired path is another one.
/// - Throws: `UsageError` that shows the bytes.
func checkArguments() throws {
  let bytes = CommandLine.unsafeArgv
  for index in 1..<max(1, Int(CommandLine.argc)) {
    guard let argument = bytes[index], String(validatingCString: argument) == nil else { continue }
    let text = escaped(UnsafeBufferPointer(start: argument, count: length(of: argument)).map { UInt8(bitPattern: $0) })
    let flag = index > 1 ? bytes[index - 1].flatMap { String(validatingCString: $0) } : nil
    let name = flag.map { $0.hasPrefix("--") && !$0.contains("=") ? $0 + " " : "" } ?? ""
    throw UsageError("\(name)\(text): is not UTF-8; should be UTF-8, as every argument and path")
  }
}

private func length(of text: UnsafePointer<CChar>) -> Int {
  var length = 0
  while text[length] != 0 { length += 1 }
  return length
}

/// ASCII as it is, every other byte as `\xHH`, in quotes.
package func escaped(_ bytes: [UInt8]) -> String {
  let text = bytes.map { byte -> String in
    switch byte {
    case UInt8(ascii: "\\"), UInt8(ascii: "\""): "\\" + String(UnicodeScalar(byte))
    case 0x20..<0x7F: String(UnicodeScalar(byte))
    default: "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
  }
  return "\"" + text.joined() + "\""
}
