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

  package static func text(on topic: HelpTopic) -> String {
    switch topic {
    case .program: program
    case .train: train
    case .study: study
    case .report: "usage: byol-dist report DIR\n\nPrints the table of a study's directory, or a run's figures."
    case .preview: preview
    case .bench: bench
    }
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

  private static var train: String {
    let config = option(configFlag.name, configFlag.placeholder, configFlag.help)
    let groups = SettingGroup.allCases.map { group in
      ([group.rawValue] + rows(of: Configuration.settings.filter { $0.group == group }, defaults: recipeDefaults))
        .joined(separator: "\n")
    }
    return (["usage: [mpirun -n RANKS] byol-dist [train] [--FLAG VALUE]...\n\n" + config] + groups)
      .joined(separator: "\n\n")
  }

  private static var study: String {
    let rows = StudyRequest.flags.map { option($0.name, $0.placeholder, $0.help) }
    return
      ([
        "usage: [mpirun -n RANKS] byol-dist study NAME|FILE [--FLAG VALUE]...\n",
        "NAME is one of \(ShippedStudy.names); FILE is JSON as --print shows it.\n",
      ] + rows + ["\nEvery other flag of train overrides what all runs share: byol-dist train --help"])
      .joined(separator: "\n")
  }

  private static var preview: String {
    let rows = rows(of: PreviewRequest.settings) { $0.text(in: PreviewRequest()) }
    return (["usage: byol-dist data preview --out FILE.png [--FLAG VALUE]...\n"] + rows).joined(separator: "\n")
  }

  private static var bench: String {
    let rows = rows(of: BenchRequest.settings) { $0.text(in: BenchRequest(.step)) }
    let json = option("json", "", "one JSON object instead of a table")
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

  private static func rows<Target>(of settings: [Setting<Target>], defaults: (Setting<Target>) -> String?) -> [String] {
    settings.map { setting in
      option(setting.name, setting.placeholder, setting.help + (defaults(setting).map { " [\($0)]" } ?? ""))
    }
  }

  /// `--name PLACEHOLDER` and, in a column of its own, the help.
  private static func option(_ name: String, _ placeholder: String, _ help: String) -> String {
    let column = 36
    let flag = "  --\(name) \(placeholder)"
    let gap = flag.count + 2 <= column ? String(repeating: " ", count: column - flag.count) : "\n" + indent(column)
    return flag + gap + wrapped(help, to: 120 - column).joined(separator: "\n" + indent(column))
  }

  private static func indent(_ count: Int) -> String { String(repeating: " ", count: count) }

  private static func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }
}
