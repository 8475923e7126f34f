/// What of the instructions that this program is compiled to a processor lacks.
/// - Parameter cpuinfo: the text of /proc/cpuinfo.
/// - Returns: names among avx2 and fma; none for a text without x86's `flags`.
package func missingInstructions(cpuinfo: String) -> [String] {
  for line in cpuinfo.split(separator: "\n") {
    let parts = line.split(separator: ":", maxSplits: 1)
    guard let name = parts.first, name.split(whereSeparator: \.isWhitespace) == ["flags"] else { continue }
    let flags = Set((parts.count == 2 ? parts[1] : "").split(whereSeparator: \.isWhitespace))
    return ["avx2", "fma"].filter { !flags.contains(Substring($0)) }
  }
  return []
}
