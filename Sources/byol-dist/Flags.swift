import Training

/// The arguments `--name value` and `--name=value`, each name once.
struct Flags {
  private var values: [(name: String, value: String)] = []

  /// - Throws: `UsageError` for an unknown name (with the nearest known one), one given twice, a lack of a value, and
  ///   an argument that is no flag.
  init(_ arguments: [String], known: [String]) throws {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--") else {
        throw UsageError("unexpected argument \(shown(argument)); should be --FLAG VALUE, see --help")
      }
      let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard known.contains(name) else {
        let near = nearest(to: name, among: known)
        throw UsageError("unknown flag \(shown("--" + name)); the nearest known one is --\(near)")
      }
      guard self[name] == nil else { throw UsageError("--\(name): given twice; should be given once") }
      if parts.count == 2 {
        values.append((name, String(parts[1])))
      } else if let value = rest.first, !value.hasPrefix("--") {
        values.append((name, value))
        rest.removeFirst()
      } else {
        throw UsageError("--\(name): lacks its value; should be --\(name) VALUE")
      }
    }
  }

  subscript(name: String) -> String? { values.first { $0.name == name }?.value }

  /// Sets every setting that a flag names.
  /// - Throws: `UsageError` for a wrong value, and for two settings that exclude each other.
  func set<Target>(_ settings: [Setting<Target>], in target: inout Target) throws {
    for setting in settings {
      guard let value = self[setting.name] else { continue }
      if let other = setting.excludes, self[other] != nil {
        throw UsageError("--\(setting.name) and --\(other): both given; should be one of them")
      }
      try setting.set(.text(value), in: &target, from: .flag)
    }
  }
}
