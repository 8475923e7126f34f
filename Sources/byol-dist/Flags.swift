import Training

/// The arguments `--name value` and `--name=value`, each name once.
struct Flags {
  private var values: [(name: String, value: String)] = []

  /// - Parameters:
  ///   - known: the names of the command's flags.
  ///   - command: as a message names it, `bench step`.
  /// - Throws: `UsageError` for an unknown name, one given twice, a lack of a value, and an argument that is no flag,
  ///   with what would be right.
  init(_ arguments: [String], known: [String], of command: String) throws {
    let mistakes = FlagMistakes(known: known, command: command)
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--") else {
        throw mistakes.unexpected(argument, after: values.last?.name)
      }
      let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard known.contains(name) else { throw mistakes.unknown(name) }
      guard self[name] == nil else { throw UsageError("--\(name): given twice; should be given once") }
      if parts.count == 2 {
        values.append((name, String(parts[1])))
      } else if let value = rest.first, !value.hasPrefix("--") {
        values.append((name, value))
        rest.removeFirst()
      } else {
        throw UsageError("--\(name): lacks its value; should be --\(name) \(mistakes.placeholder(name))")
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
