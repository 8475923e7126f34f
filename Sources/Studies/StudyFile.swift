import Files
import Training

/// A study as its JSON file has it:
///
///     {"title": "…", "description": "…", "data": "STL-10", "published_from": "…",
///      "random_encoder": {"published": 28.8},
///      "base": {"recipe": "study", "batch": 256}, "seeds": 3,
///      "variants": [{"name": "byol", "settings": {}, "quick": {}, "published": 57.7, "local_ranks": 8}],
///      "quick": {"base": {"steps": 800}, "seeds": [0, 1], "variants": ["byol"]}}
///
/// Only `variants` and their names must be there. `base`, `settings` and `quick`'s `base` have the keys of a run's
/// config.json. `data` says what the full size is for: it is then not run without `--data`.
public struct StudyFile: Sendable {
  public let name: String
  /// What messages call the file.
  let source: String
  let members: [JSON.Member]

  static let keys = [
    "title", "description", "data", "published_from", "random_encoder", "base", "seeds", "variants", "quick",
  ]
  /// What a study's own record has beside them.
  static let factKeys = ["name", "version", "ranks", "size"]

  /// - Parameter name: of the study; a record's own `name` counts more.
  /// - Throws: `UsageError` naming the file.
  public init(name: String, source: String, bytes: [UInt8]) throws {
    let json: JSON
    do { json = try JSON.parse(bytes) } catch { throw UsageError("\(shown(source)): \(error)") }
    let reader = StudyReader(json, source)
    members = try reader.members(keys: Self.keys + Self.factKeys)
    self.source = source
    self.name = try reader.string("name") ?? name
  }

  /// The study at one of its sizes.
  /// - Parameters:
  ///   - isQuick: whether `quick`'s overrides count.
  ///   - seeds: those to take instead of the file's.
  ///   - override: what flags say, over the base and below the variants.
  /// - Throws: `UsageError` naming file, key and value.
  public func study(
    isQuick: Bool = false, seeds: [UInt64]? = nil, override: (inout Configuration) throws -> Void = { _ in }
  ) throws -> Study {
    let file = StudyReader(.object(members), source)
    guard let quick = try file.object("quick", keys: ["base", "seeds", "variants"]) ?? (isQuick ? nil : file.empty)
    else { throw UsageError("\(shown(source)): has no quick size; should be run without --quick") }
    let base = try file.settings("base", allowing: ["recipe"])
    let recipe = try Self.recipe(base, in: file)
    var settings = recipe.configuration
    try settings.apply(base.filter { $0.key != "recipe" }, from: file.place("base"))
    let quickBase = try quick.settings("base")
    let variants = try variants(isQuick: isQuick, file)
    let chosen = try Self.chosen(variants, by: quick)
    if isQuick { try settings.apply(quickBase, from: quick.place("base")) }
    try override(&settings)
    let ownSeeds = try file.seeds()
    let quickSeeds = try quick.seeds()
    let isFromRecord = members.contains { $0.key == "size" }
    let size = try file.string("size").flatMap(Study.Size.init) ?? (isQuick ? .quick : .full)
    if let wanted = try file.string("data"), !isQuick, !isFromRecord, settings.data == "shapes" {
      throw UsageError(
        "study \(shown(name)): its full size is for \(wanted); should have --data DIR, or be --quick on shapes")
    }
    let study = Study(
      name: name, title: try file.string("title") ?? name, description: try file.string("description") ?? "",
      size: size, publishedFrom: try file.string("published_from") ?? "",
      randomEncoder: try file.object("random_encoder", keys: ["published"])?.published(), recipe: recipe,
      base: settings, seeds: seeds ?? (isQuick ? quickSeeds : nil) ?? ownSeeds ?? [0],
      variants: isQuick ? chosen : variants)
    try check(study)
    return study
  }

  private static func recipe(_ base: [JSON.Member], in file: StudyReader) throws -> Recipe {
    guard let named = base.first(where: { $0.key == "recipe" })?.value else { return .study }
    guard let recipe = named.string.flatMap(Recipe.init) else {
      throw file.wrong("base.recipe", named, "one of \(Recipe.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return recipe
  }

  private func variants(isQuick: Bool, _ file: StudyReader) throws -> [Study.Variant] {
    var variants: [Study.Variant] = []
    for item in try file.objects("variants", keys: ["name", "settings", "quick", "published", "local_ranks"]) {
      guard let name = try item.string("name") else { throw item.fault("lacks the key name") }
      let isPlain = name.utf8.allSatisfy { byte in
        let character = Character(Unicode.Scalar(byte))
        return character.isLetter || character.isNumber || "-_+".contains(character)
      }
      guard isPlain, (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ $0 < 0x80 }) else {
        throw item.wrong("name", JSON(name), "up to 64 letters, digits, -, _ and +")
      }
      guard !variants.contains(where: { $0.name == name }) else {
        throw item.wrong("name", JSON(name), "another than that of an earlier variant")
      }
      let named = item.at("variants.\(name)")
      let quick = try named.settings("quick")
      variants.append(
        Study.Variant(
          name: name, settings: merged(try named.settings("settings"), isQuick ? quick : []),
          published: try named.published(), localRanks: try named.count("local_ranks", in: 1...1_048_576)))
    }
    guard !variants.isEmpty else { throw file.fault("lacks variants; should have at least one") }
    return variants
  }

  /// The variants of the quick size: those that it names, in their order.
  private static func chosen(_ variants: [Study.Variant], by quick: StudyReader) throws -> [Study.Variant] {
    guard let names = try quick.strings("variants") else { return variants }
    return try names.map { name in
      guard let variant = variants.first(where: { $0.name == name }) else {
        throw quick.wrong("variants", JSON(name), "one of \(variants.map(\.name).joined(separator: ", "))")
      }
      return variant
    }
  }

  /// The later members replace the earlier ones; of `epochs` and `steps` the later one stays.
  private func merged(_ first: [JSON.Member], _ second: [JSON.Member]) -> [JSON.Member] {
    let excluded = second.flatMap { later in
      Configuration.settings.filter { $0.key == later.key }.compactMap(\.excludes)
    }
    return first.filter { earlier in
      !second.contains { $0.key == earlier.key } && !excluded.contains(earlier.key)
    } + second
  }

  /// Finds what is wrong with a variant's settings before anything runs, whatever the ranks.
  private func check(_ study: Study) throws {
    for variant in study.variants {
      var settings = study.base
      try settings.apply(variant.settings, from: "\(source):variants.\(variant.name)")
    }
  }
}

extension Study {
  /// The study as a file that repeats it, with the facts of this start: what the study's directory keeps.
  public func record(ranks: Int) -> JSON {
    let left = Set(Self.ownSettings.keys)
    let settings = (base.json.members ?? []).filter { !left.contains($0.key) }
    var members: [JSON.Member] = [
      .init("name", JSON(name)), .init("version", JSON(byolDistVersion)), .init("ranks", JSON(ranks)),
      .init("size", JSON(size.rawValue)), .init("title", JSON(title)), .init("description", JSON(description)),
      .init("published_from", JSON(publishedFrom)),
    ]
    if let randomEncoder { members.append(.init("random_encoder", ["published": randomEncoder.json])) }
    members += [
      .init("base", .object([.init("recipe", JSON(recipe.rawValue))] + settings)),
      .init("seeds", .array(seeds.map { JSON($0) })), .init("variants", .array(variants.map(\.json))),
    ]
    return .object(members)
  }
}

extension Study.Variant {
  fileprivate var json: JSON {
    var members: [JSON.Member] = [.init("name", JSON(name)), .init("settings", .object(settings))]
    if let published { members.append(.init("published", published.json)) }
    if let localRanks { members.append(.init("local_ranks", JSON(localRanks))) }
    return .object(members)
  }
}

extension Published {
  fileprivate var json: JSON {
    .object(
      [
        ("probe_accuracy", probeAccuracy), ("positive_cosine", positiveCosine), ("negative_cosine", negativeCosine),
      ].compactMap { key, value in value.map { JSON.Member(key, JSON($0)) } })
  }
}
