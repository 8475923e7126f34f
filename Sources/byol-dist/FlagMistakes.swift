import Training

/// What is wrong with arguments that are no flags of a command, and what would be right.
struct FlagMistakes {
  let known: [String]
  /// As a message names it, `bench step`.
  let command: String

  private var help: String { "see byol-dist \(command) --help" }

  /// What stands for a flag's value: its choices where it has some.
  func placeholder(_ name: String) -> String {
    let choices = Configuration.settings.first { $0.name == name }?.placeholder ?? ""
    return choices.contains("|") ? choices : "VALUE"
  }

  /// A name behind two dashes.
  func unknown(_ name: String) -> UsageError {
    let subject = "unknown flag \(shown("--" + name))"
    // One argument of a flag and its value, as quotes make it.
    if let space = name.firstIndex(of: " "), known.contains(String(name[..<space])) {
      return UsageError("\(subject); should be two arguments, --\(name[..<space]) and its value")
    }
    if let switched = negated(name) { return UsageError("\(subject); should be --\(switched) off") }
    if !known.contains(name), Configuration.settings.contains(where: { $0.name == name }) || name == "config" {
      return UsageError("--\(name): is a flag of train, not of \(command); \(help)")
    }
    return UsageError(subject + suggestion(name))
  }

  /// An argument without two dashes.
  /// - Parameters:
  ///   - flag: the one before it, which has its value.
  func unexpected(_ argument: String, after flag: String?) -> UsageError {
    let subject = "unexpected argument \(shown(argument))"
    if let name = Self.named(argument) {
      let right = suggestion(name)
      if SettingNames.reasonForNone(name) != nil { return UsageError(subject + right) }
      // Typeset text has other dashes than programs.
      if argument.first.map({ $0 != "-" }) ?? false {
        return UsageError("\(subject): begins with another character than -\(right)")
      }
      return UsageError("\(subject): should begin with two dashes\(right)")
    }
    if let flag, ["data", "out", "init", "config"].contains(flag) {
      return UsageError("\(subject) behind --\(flag); should be in quotes where a path has spaces")
    }
    if let name = assigned(argument) { return UsageError("\(subject); should be --\(name)=VALUE") }
    if known.contains(argument) { return UsageError("\(subject); should be --\(argument) \(placeholder(argument))") }
    return UsageError("\(subject); should be --FLAG VALUE, see --help")
  }

  /// Whether a word that stands where a command should be is meant as a flag.
  func means(_ word: String) -> Bool {
    Self.named(word) != nil || assigned(word) != nil || known.contains(word)
  }

  private func suggestion(_ name: String) -> String {
    SettingNames.suggestion(for: name, among: known, otherwise: help) { "--\($0)" }
  }

  /// The name of a flag behind one dash or behind other dashes; nil where there are none.
  private static func named(_ argument: String) -> String? {
    guard let first = argument.first, first == "-" || SettingNames.isDash(first) else { return nil }
    let name = argument.drop { $0 == "-" || SettingNames.isDash($0) }.prefix { $0 != "=" }
    return name.first?.isLetter ?? false ? String(name) : nil
  }

  /// The flag of `batch=64`.
  private func assigned(_ argument: String) -> String? {
    guard let end = argument.firstIndex(of: "=") else { return nil }
    let name = String(argument[..<end])
    return known.contains(name) ? name : nil
  }

  /// The switch of `--no-shuffle`.
  private func negated(_ name: String) -> String? {
    guard let rest = ["no-", "no_", "disable-"].first(where: name.hasPrefix).map({ name.dropFirst($0.count) }) else {
      return nil
    }
    let switched = String(rest).replacing("_", with: "-")
    return known.contains(switched) && placeholder(switched) == "on|off" ? switched : nil
  }
}
