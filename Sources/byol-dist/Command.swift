import Studies
import Training

/// What the arguments ask for.
package enum Command: Equatable {
  case train(RunRequest)
  case study(StudyRequest)
  /// The table of a study's or a run's directory.
  case report(String)
  case preview(PreviewRequest)
  case bench(BenchRequest)
  case help(HelpTopic)
  case version
}

package enum HelpTopic: Equatable {
  case program, train, study, report, preview, bench
}

extension Command {
  /// Commands of the contract that this version does not have.
  private static let later = ["eval", "export"]
  private static let present = ["train", "study", "report", "data", "bench"]

  /// Reads the arguments after the program's name; no command means `train`.
  /// - Parameter read: the bytes of the file that `--config` names.
  /// - Throws: `UsageError`.
  package init(_ arguments: [String], read: (String) throws -> [UInt8]) throws {
    let word = arguments.first.flatMap { $0.hasPrefix("-") ? nil : $0 }
    let rest = Array(word == nil ? arguments : Array(arguments.dropFirst()))
    if word == nil, let first = rest.first, ["--help", "-h"].contains(first), rest.count == 1 {
      self = .help(.program)
    } else if rest.contains("--version") {
      self = .version
    } else {
      switch word {
      case nil, "train": self = try Self.train(rest, read: read)
      case "study":
        self = Self.asksForHelp(rest) ? .help(.study) : .study(try StudyRequest(rest, read: read))
      case "report": self = try Self.report(rest)
      case "data": self = try Self.data(rest)
      case "bench": self = try Self.bench(rest)
      case .some(let word) where Self.later.contains(word):
        throw UsageError(
          "\(word): not available in this version; should be train, study, report, data preview or bench")
      case .some(let word): throw Self.unknown(word)
      }
    }
  }

  private static var trainFlags: [String] { [HelpText.configFlag.name] + Configuration.settings.map(\.name) }

  /// What is wrong with a first word that is no command: another name, or a flag without its dashes.
  private static func unknown(_ word: String) -> UsageError {
    let mistakes = FlagMistakes(known: trainFlags, command: "train")
    if mistakes.means(word) { return mistakes.unexpected(word, after: nil) }
    let commands = present.joined(separator: ", ")
    return UsageError(
      "unknown command \(shown(word))"
        + suggestion(for: word, among: present, otherwise: "should be one of \(commands)"))
  }

  private static func train(_ arguments: [String], read: (String) throws -> [UInt8]) throws -> Command {
    if asksForHelp(arguments) { return .help(.train) }
    let flags = try Flags(arguments, known: trainFlags, of: "train")
    var request = try RunRequest(config: flags[HelpText.configFlag.name], data: flags["data"], read: read)
    try flags.set(Configuration.settings, in: &request.configuration)
    if ["bn-scope", "encoder-bn-scope", "head-bn-scope"].contains(where: { flags[$0] != nil }) {
      request.recordedRanks = nil
    }
    return .train(request)
  }

  private static func report(_ arguments: [String]) throws -> Command {
    if asksForHelp(arguments) { return .help(.report) }
    guard arguments.count == 1, let path = arguments.first, !path.hasPrefix("-"), !path.isEmpty else {
      throw UsageError("report: should be report DIR, the directory of a study or a run")
    }
    return .report(path)
  }

  private static func data(_ arguments: [String]) throws -> Command {
    switch arguments.first {
    case "preview":
      let rest = Array(arguments.dropFirst())
      if asksForHelp(rest) { return .help(.preview) }
      let flags = try Flags(rest, known: PreviewRequest.settings.map(\.name), of: "data preview")
      var request = PreviewRequest()
      try flags.set(PreviewRequest.settings, in: &request)
      guard request.out != nil else { throw UsageError("data preview: lacks --out; should be --out FILE.png") }
      return .preview(request)
    case "--help", "-h": return .help(.preview)
    case nil: throw UsageError("data: lacks what to do; should be data preview")
    case .some(let word): throw UsageError("data \(shown(word)): unknown; should be data preview")
    }
  }

  private static func bench(_ arguments: [String]) throws -> Command {
    let kinds = BenchRequest.Kind.allCases.map(\.rawValue)
    guard let word = arguments.first else {
      throw UsageError("bench: lacks what to measure; should be one of \(kinds.joined(separator: ", "))")
    }
    if asksForHelp(arguments) { return .help(.bench) }
    guard let kind = BenchRequest.Kind(rawValue: word) else {
      let right = suggestion(for: word, among: kinds, otherwise: "should be one of \(kinds.joined(separator: ", "))") {
        "bench \($0)"
      }
      throw UsageError("bench \(shown(word)): unknown\(right)")
    }
    var request = BenchRequest(kind)
    // The one flag without a value.
    request.json = arguments.contains("--json")
    let flags = try Flags(
      arguments.dropFirst().filter { $0 != "--json" }, known: BenchRequest.settings.map(\.name) + ["json"], of: "bench")
    try flags.set(BenchRequest.settings, in: &request)
    return .bench(request)
  }

  private static func asksForHelp(_ arguments: [String]) -> Bool {
    arguments.contains { $0 == "--help" || $0 == "-h" }
  }
}
