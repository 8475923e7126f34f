import Files
import Training

/// What others published of a variant, beside which the table puts what was measured. Accuracies in percent.
public struct Published: Equatable, Sendable {
  public var probeAccuracy: Double?
  public var positiveCosine: Double?
  public var negativeCosine: Double?

  public init(probeAccuracy: Double? = nil, positiveCosine: Double? = nil, negativeCosine: Double? = nil) {
    self.probeAccuracy = probeAccuracy
    self.positiveCosine = positiveCosine
    self.negativeCosine = negativeCosine
  }
}

/// A grid of named variants of some settings, each trained with several seeds.
public struct Study: Equatable, Sendable {
  public struct Variant: Equatable, Sendable {
    /// Also the name of its directory: letters, digits, `-`, `_` and `+`.
    public var name: String
    /// What differs from the base: keys and values as in a run's config.json.
    public var settings: [JSON.Member]
    public var published: Published?
    /// The number of ranks that `local` in a BN scope of `settings` speaks of; see `LocalScope`.
    public var localRanks: Int?
  }

  public enum Size: String, Sendable { case quick, full }

  public var name: String
  public var title: String
  public var description: String
  public var size: Size
  /// Where the published figures are from, with what data, networks and length.
  public var publishedFrom: String
  /// What was published of the encoder as it starts.
  public var randomEncoder: Published?
  public var recipe: Recipe
  /// What all variants share; its seed, run directory and resume policy are not in use.
  public var base: Configuration
  public var seeds: [UInt64]
  public var variants: [Variant]

  /// Settings that a study gives its runs itself, with what a user is to say instead.
  public static let ownSettings = [
    "seed": "a study's seeds are its --seeds", "out": "a study's runs are below its own --out",
    "resume": "a study always goes on where it was",
  ]
}

/// One run of a study.
public struct StudyRun: Equatable, Sendable {
  /// Index of the variant in the study.
  public let variant: Int
  public let seed: UInt64
  /// The run's directory below the study's, VARIANT/seed-S.
  public let name: String
  /// With its seed; `out` is not set.
  public let configuration: Configuration
  /// The flags in which the run differs from the study's base, `--projector-norm none`.
  public let differences: [String]
  /// What a user should know of how the ranks changed a setting; nil for nothing.
  public let note: String?
}

extension Study {
  /// Every run, variant by variant, as it is on so many ranks.
  /// - Throws: `UsageError` naming variant, setting and value where one of them cannot be run.
  public func runs(ranks: Int) throws -> [StudyRun] {
    try variants.indices.flatMap { try runs(of: $0, ranks: ranks) }
  }

  private func runs(of index: Int, ranks: Int) throws -> [StudyRun] {
    let variant = variants[index]
    var settings = base
    try settings.apply(variant.settings, from: "\(name):variants.\(variant.name)")
    let note = try LocalScope.resolve(in: &settings, variant, ranks: ranks)
    do { try settings.validate(ranks: ranks) } catch { throw UsageError("\(name), variant \(variant.name): \(error)") }
    let differences = settings.differences(from: base)
    return seeds.map { seed in
      settings.seed = seed
      return StudyRun(
        variant: index, seed: seed, name: "\(variant.name)/seed-\(seed)", configuration: settings,
        differences: differences, note: note)
    }
  }

  /// Where the study's runs are unless `--out` says otherwise: always the same place, so that the same command goes on.
  public var standardOut: String {
    let last = base.data.split(separator: "/").last.map(String.init) ?? "data"
    let plain = String(last.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "-" })
    return "runs/study-\(name)\(size == .quick ? "-quick" : "")-\(plain)"
  }
}

extension Configuration {
  /// The flags and values of the settings in which this differs, in the table's order.
  fileprivate func differences(from base: Configuration) -> [String] {
    Self.settings.filter { $0.json(in: self) != $0.json(in: base) }.compactMap { setting in
      setting.text(in: self).map { "--\(setting.name) \($0)" }
    }
  }
}
