import Studies
import Training

/// What `--help` prints, made from the tables that the parser reads.
package enum HelpText {
  /// The one flag of `train` that is not a setting.
  static let configFlag = (
    name: "config", placeholder: Recipe.allCases.map(\.rawValue).joined(separator: "|") + "|FILE",
    help: "a recipe, or a JSON file of settings as a run's config.json; flags override it "
      + "[quick; with a data set's path study]"
  )

  /// - Parameter columns: characters of a line.
  package static func text(on topic: HelpTopic, columns: Int = 120) -> String {
    let text =
      switch topic {
      case .program: program
      case .train: train(columns)
      case .study: study(columns)
      case .report: "usage: byol-dist report DIR\n\nPrints the table of a study's directory, or a run's figures."
      case .preview: preview(columns)
      case .bench: bench(columns)
      }
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { fitted($0, to: columns) }
      .joined(separator: "\n")
  }

  /// A line that is too long, on several: what follows a gap of two spaces goes on below its own beginning.
  private static func fitted(_ line: Substring, to columns: Int) -> String {
    guard line.count > columns else { return String(line) }
    let start = line.prefix { $0 == " " }.count
    let body = line.dropFirst(start)
    guard let gap = body.firstRange(of: "  ") else {
      return indent(start)
        + TextWidth.wrapped(String(body), to: columns - start, indent: start)
        .joined(separator: "\n")
    }
    let text = body[gap.lowerBound...].drop { $0 == " " }
    let column = line.distance(from: line.startIndex, to: text.startIndex)
    let lines = TextWidth.wrapped(String(text), to: max(columns - column, 20))
    return line[..<text.startIndex] + lines.joined(separator: "\n" + indent(column))
  }

  private static let program = """
    byol-dist \(byolDistVersion): pretrains image encoders without labels on CPUs, over MPI

    usage: [mpirun -n RANKS] byol-dist [COMMAND] [--FLAG VALUE | --FLAG=VALUE]...

      train          pretrain an encoder; the default
      study          train variants of settings with several seeds, and a table of them; study --list
      report         the table of what a study or a run has left
      data preview   draw images of a data set above their two views
      bench step | collectives | kernels   measure this machine

      --help         this, or after a command its flags: byol-dist train --help
      --version

    Exit status: 0 done, 2 a mistake in flags or files, 75 stopped by a signal after a complete checkpoint, 1 else.
    """

  private static func train(_ columns: Int) -> String {
    let config = option(configFlag.name, configFlag.placeholder, configFlag.help, columns)
    let groups = SettingGroup.allCases.map { group in
      ([group.rawValue]
        + rows(of: Configuration.settings.filter { $0.group == group }, columns, defaults: recipeDefaults))
        .joined(separator: "\n")
    }
    return (["usage: [mpirun -n RANKS] byol-dist [train] [--FLAG VALUE]...\n\n" + config] + groups)
      .joined(separator: "\n\n")
  }

  private static func study(_ columns: Int) -> String {
    let rows = StudyRequest.flags.map { option($0.name, $0.placeholder, $0.help, columns) }
    return
      ([
        "usage: [mpirun -n RANKS] byol-dist study NAME|FILE [--FLAG VALUE]...\n",
        "NAME is one of \(ShippedStudy.names); FILE is JSON as --print shows it.\n",
      ] + rows + ["\nEvery other flag of train overrides what all runs share: byol-dist train --help"])
      .joined(separator: "\n")
  }

  private static func preview(_ columns: Int) -> String {
    let rows = rows(of: PreviewRequest.settings, columns) { $0.text(in: PreviewRequest()) }
    return (["usage: byol-dist data preview --out FILE.png [--FLAG VALUE]...\n"] + rows).joined(separator: "\n")
  }

  private static func bench(_ columns: Int) -> String {
    let rows = rows(of: BenchRequest.settings, columns) { $0.text(in: BenchRequest(.step)) }
    let json = option("json", "", "one JSON object instead of a table", columns)
    return
      ([
        "usage: [mpirun -n RANKS] byol-dist bench step|collectives|kernels [--FLAG VALUE]...\n",
        "  step         median step, images/s, where the time goes, convolution work beside OpenBLAS's sgemm",
        "  collectives  latency and bandwidth by size",
        "  kernels      each convolution of the network by algorithm\n",
      ] + rows + [json]).joined(separator: "\n")
  }

  /// A default, or both where the recipes differ.
  private static func recipeDefaults(_ setting: Setting<Configuration>) -> String? {
    let values = Recipe.allCases.map { ($0.rawValue, setting.text(in: $0.configuration)) }
    if values.allSatisfy({ $0.1 == values[0].1 }) { return values[0].1 }
    return values.compactMap { recipe, value in value.map { "\(recipe) \($0)" } }.joined(separator: ", ")
  }

  private static func rows<Target>(
    of settings: [Setting<Target>], _ columns: Int, defaults: (Setting<Target>) -> String?
  ) -> [String] {
    settings.map { setting in
      option(setting.name, setting.placeholder, setting.help + (defaults(setting).map { " [\($0)]" } ?? ""), columns)
    }
  }

  /// `--name PLACEHOLDER` and, in a column of its own, the help.
  private static func option(_ name: String, _ placeholder: String, _ help: String, _ columns: Int) -> String {
    let column = min(36, columns * 3 / 8)
    let flag = "  --\(name) \(placeholder)"
    let gap = flag.count + 2 <= column ? String(repeating: " ", count: column - flag.count) : "\n" + indent(column)
    return flag + gap + TextWidth.wrapped(help, to: columns - column).joined(separator: "\n" + indent(column))
  }

  private static func indent(_ count: Int) -> String { String(repeating: " ", count: count) }
}
