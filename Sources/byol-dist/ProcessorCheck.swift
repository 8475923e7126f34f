/// The instructions that this program is compiled to, by their names in /proc/cpuinfo.
package var compiledInstructions: [String] {
  #if AVX512
    ["avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
  #else
    ["avx2", "fma"]
  #endif
}

/// What of the instructions a processor lacks.
/// - Parameter cpuinfo: the text of /proc/cpuinfo.
/// - Returns: names among those needed; none for a text without x86's `flags`.
package func missingInstructions(cpuinfo: String, needed: [String] = compiledInstructions) -> [String] {
  for line in cpuinfo.split(separator: "\n") {
    let parts = line.split(separator: ":", maxSplits: 1)
    guard let name = parts.first, name.split(whereSeparator: \.isWhitespace) == ["flags"] else { continue }
    let flags = Set((parts.count == 2 ? parts[1] : "").split(whereSeparator: \.isWhitespace))
    return needed.filter { !flags.contains(Substring($0)) }
  }
  return []
}

/// One line for the user of a processor that lacks some.
package func complaint(of missing: [String], host: String) -> String {
  let advice =
    missing.allSatisfy { $0.hasPrefix("avx512") }
    ? "this program was built on one that has them; building with BYOL_DIST_MARCH=x86-64-v3 makes one that does without"
    : "should be x86-64 with AVX2 and FMA"
  return "the processor of \(host) lacks \(missing.joined(separator: " and ")); \(advice)"
}
