import Collectives
import Files

/// The program's version, as `--version`, config.json and checkpoints have it.
public let byolDistVersion = "0.1.0"

/// A training run as the user asked for it.
public struct RunRequest: Equatable, Sendable {
  public var configuration: Configuration
  /// The recipe that gave what neither flags nor file did.
  public var recipe: Recipe
  /// The file that `--config` named.
  public var file: String?
  /// Ranks of the run whose config.json that is; nil for a file of a user's own, or where flags set the scopes anew.
  public var recordedRanks: Int?

  public init(configuration: Configuration, recipe: Recipe, file: String? = nil) {
    self.configuration = configuration
    self.recipe = recipe
    self.file = file
  }
}

extension Configuration {
  /// What config.json holds of a run beside its settings; accepted and ignored when it is read back, but for `recipe`.
  public static let factKeys = ["version", "recipe", "ranks", PreparedRun.digestKey, "resolved"]

  /// Every setting by its key, in the table's order; what is not set is null.
  public var json: JSON { .object(Self.settings.map { JSON.Member($0.key, $0.json(in: self)) }) }

  /// Reads what `json` wrote.
  /// - Throws: `UsageError` naming `source`, also when a key is missing.
  public init(json: JSON, from source: String) throws {
    self.init()
    guard let members = json.members else { throw UsageError("\(shown(source)): should be an object of settings") }
    if let missing = Self.settings.first(where: { json[$0.key] == nil }) {
      throw UsageError("\(shown(source)): lacks the key \(missing.key)")
    }
    try apply(members, from: source)
  }

  /// Sets what the members say; the others keep their values.
  /// - Throws: `UsageError` for an unknown key, a wrong value, or `epochs` beside `steps`.
  package mutating func apply(_ members: [JSON.Member], from source: String) throws {
    let given = Set(members.filter { $0.value != .null }.map(\.key))
    for member in members where !Self.factKeys.contains(member.key) {
      guard let setting = Self.settings.first(where: { $0.key == member.key }) else {
        let right = SettingNames.suggestion(
          for: member.key, among: Self.settings.map(\.name), otherwise: "see byol-dist train --help"
        ) { String($0.map { $0 == "-" ? "_" : $0 }) }
        throw UsageError("\(shown(source)): unknown key \(shown(member.key))\(right)")
      }
      if let other = setting.excludes, given.contains(setting.key), given.contains(other) {
        throw UsageError("\(shown(source)): both \(setting.key) and \(other); should be one of them")
      }
      try setting.set(.json(member.value), in: &self, from: .file(source))
    }
  }
}

extension RunRequest {
  /// What config.json holds: facts of the run, every setting as asked for, and every one as in force.
  /// - Parameters:
  ///   - ranks: of the run.
  ///   - dataDigest: of the images.
  package func json(ranks: Int, dataDigest: String, resolved: Configuration) -> JSON {
    let facts: [JSON.Member] = [
      .init("version", JSON(byolDistVersion)), .init("recipe", JSON(recipe.rawValue)), .init("ranks", JSON(ranks)),
      .init(PreparedRun.digestKey, JSON(dataDigest)),
    ]
    return .object(facts + (configuration.json.members ?? []) + [.init("resolved", resolved.json)])
  }

  /// What flags and files alone can have wrong on so many ranks.
  /// - Throws: `UsageError`, also where a recorded run would be another experiment.
  public func validate(ranks: Int) throws {
    if let recordedRanks, let file {
      try configuration.validateScopes(
        ranksThen: recordedRanks, now: ranks, source: "the run of \(shown(file))", offersSame: true)
    }
    try configuration.validate(ranks: ranks)
  }

  /// The recipe, or the settings of a file over a recipe, that `--config` names.
  /// - Parameters:
  ///   - config: `--config`'s value, nil where it is not given.
  ///   - data: `--data`'s value, which decides the recipe where nothing else does.
  ///   - read: a file's bytes.
  /// - Throws: `UsageError`.
  public init(config: String?, data: String?, read: (String) throws -> [UInt8]) throws {
    guard let config else {
      self.init(recipe: .standard(for: data))
      return
    }
    if let recipe = Recipe(rawValue: config) {
      self.init(recipe: recipe)
      return
    }
    let members = try Self.members(of: config, read: read)
    func member(_ key: String) -> JSON? { members.first { $0.key == key }?.value }

    let named = member("recipe")
    if let named, Recipe(rawValue: named.string ?? "") == nil {
      throw UsageError("\(shown(config)): recipe \(named): should be one of \(Recipe.names)")
    }
    let recipe = named?.string.flatMap(Recipe.init) ?? .standard(for: data ?? member("data")?.string)
    self.init(recipe: recipe)
    file = config
    // Where a run wrote its files is no setting to repeat: the same settings make a run of their own.
    let isRunsOwn = member("version") != nil
    if isRunsOwn { recordedRanks = member("ranks")?.int }
    try configuration.apply(members.filter { !(isRunsOwn && $0.key == "out") }, from: config)
  }

  private init(recipe: Recipe) { self.init(configuration: recipe.configuration, recipe: recipe) }

  private static func members(of path: String, read: (String) throws -> [UInt8]) throws -> [JSON.Member] {
    let bytes: [UInt8]
    do {
      bytes = try read(path)
    } catch {
      let cause = (error as? SharedError)?.underlying ?? error
      let reason = (cause as? FileError)?.reason ?? "\(error)"
      throw UsageError("--config \(shown(path)): should be a recipe (\(Recipe.names)) or a JSON file; \(reason)")
    }
    do {
      if let members = try JSON.parse(bytes).members { return members }
    } catch {
      throw UsageError("--config \(shown(path)): \(error)")
    }
    throw UsageError("--config \(shown(path)): should be a JSON object of settings")
  }
}

extension Recipe {
  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
