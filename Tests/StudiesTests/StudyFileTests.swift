import Files
import Studies
import Training
import XCTest

final class StudyFileTests: XCTestCase {
  private let full = """
    {"title": "T", "description": "D", "data": "STL-10", "published_from": "P", "random_encoder": {"published": 28.8},
     "base": {"recipe": "study", "lr": 0.4, "momentum": 0.8, "width": 8}, "seeds": 3,
     "variants": [
       {"name": "a", "settings": {"dim": 16, "hidden": 32}, "quick": {"dim": 24}, "published": 57.7},
       {"name": "b-1+x", "settings": {"epochs": 7}, "quick": {"steps": 5},
        "published": {"probe_accuracy": 1, "negative_cosine": 0.5}},
       {"name": "c", "settings": {"bn_scope": "local"}, "local_ranks": 8}],
     "quick": {"base": {"steps": 50, "lr": 0.1, "momentum": 0.7, "batch": 32}, "seeds": [4, 9], "variants": ["b-1+x", "a"]}}
    """

  private func file(_ text: String) throws -> StudyFile {
    try StudyFile(name: "my", source: "my.json", bytes: Array(text.utf8))
  }

  private func study(
    _ text: String, quick: Bool = false, _ override: (inout Configuration) throws -> Void = { _ in }
  ) throws -> Study { try file(text).study(isQuick: quick, override: override) }

  func testFullSize() throws {
    let study = try study(full) { $0.data = "stl" }
    XCTAssertEqual([study.name, study.title, study.description, study.publishedFrom], ["my", "T", "D", "P"])
    XCTAssertEqual(study.randomEncoder, Published(probeAccuracy: 28.8))
    XCTAssertEqual(study.seeds, [0, 1, 2])
    XCTAssertEqual(study.variants.map(\.name), ["a", "b-1+x", "c"])
    XCTAssertEqual(
      study.variants.map(\.published),
      [
        Published(probeAccuracy: 57.7), Published(probeAccuracy: 1, negativeCosine: 0.5), nil,
      ])
    XCTAssertEqual(study.base.lr, 0.4)
    XCTAssertEqual(study.base.epochs, 10, "the recipe's")
    let runs = try study.runs(ranks: 8)
    XCTAssertEqual(runs.map(\.name)[1...4], ["a/seed-1", "a/seed-2", "b-1+x/seed-0", "b-1+x/seed-1"])
    XCTAssertEqual(runs.map(\.configuration.seed), [0, 1, 2, 0, 1, 2, 0, 1, 2])
    XCTAssertEqual(runs[0].configuration.dim, 16)
    XCTAssertEqual(runs[0].differences, ["--hidden 32", "--dim 16"])
    XCTAssertEqual(runs[3].configuration.epochs, 7)
    XCTAssertEqual(runs[8].configuration.bnScope, .local)
    XCTAssertNil(runs[8].note)
  }

  /// Base, the quick size's base, flags, the variant, the variant's quick settings: each over those before it.
  func testWhatOverridesWhat() throws {
    let study = try study(full, quick: true) {
      $0.momentum = 0.6
      $0.hidden = 99
    }
    XCTAssertEqual(study.size, .quick)
    XCTAssertEqual(study.seeds, [4, 9])
    XCTAssertEqual(study.variants.map(\.name), ["b-1+x", "a"])
    XCTAssertEqual(study.base.width, 8, "base")
    XCTAssertEqual(study.base.lr, 0.1, "quick over base")
    XCTAssertEqual(study.base.momentum, 0.6, "flag over quick")
    let runs = try study.runs(ranks: 1)
    XCTAssertEqual(runs[2].configuration.hidden, 32, "variant over flag")
    XCTAssertEqual(runs[2].configuration.dim, 24, "variant's quick over variant")
    XCTAssertEqual(runs[0].configuration.steps, 5, "a quick length replaces the other kind of length")
    XCTAssertNil(runs[0].configuration.epochs)
    XCTAssertEqual(try file(full).study(isQuick: true, seeds: [3]).seeds, [3])
  }

  func testTheRecordRepeatsTheStudy() throws {
    for quick in [false, true] {
      let first = try study(full, quick: quick) { $0.data = "stl" }
      let record = first.record(ranks: 4)
      let again = try StudyFile(name: "other", source: "study.json", bytes: Array(record.pretty.utf8)).study()
      XCTAssertEqual(again, first)
      XCTAssertEqual(record["ranks"]?.int, 4)
      XCTAssertNil(record["base"]?["seed"])
    }
  }

  func testMistakesNameFileAndKey() {
    func wrong(_ text: String, _ message: String, quick: Bool = false, line: UInt = #line) {
      XCTAssertEqual(usageError({ try study(text, quick: quick) }, line: line), message, line: line)
    }
    func variant(_ text: String) -> String { #"{"variants": [{"name": "v", \#(text)}]}"# }
    wrong("[1]", "my.json: should be a JSON object")
    wrong(#"{"a": 1, "a": 2}"#, #"my.json: not valid JSON at byte 12: the name "a" is there twice"#)
    wrong(#"{"titel": ""}"#, "my.json: unknown key titel; the nearest known one is title")
    wrong("{}", "my.json: lacks variants; should have at least one")
    wrong(#"{"title": 3, "variants": [{"name": "v"}]}"#, "my.json:title 3: should be a text")
    wrong(#"{"variants": [{"settings": {}}]}"#, "my.json:variants[0]: lacks the key name")
    wrong(
      #"{"variants": [{"name": "a/b"}]}"#,
      #"my.json:variants[0].name "a/b": should be up to 64 letters, digits, -, _ and +"#)
    wrong(
      #"{"variants": [{"name": "a"}, {"name": "a"}]}"#,
      #"my.json:variants[1].name "a": should be another than that of an earlier variant"#)
    wrong(
      variant(#""setings": {}"#), "my.json:variants[0]: unknown key setings; the nearest known one is settings")
    wrong(
      variant(#""settings": {"lrr": 1}"#), "my.json:variants.v: unknown key lrr; the nearest known one is lr")
    wrong(variant(#""settings": {"lr": -1}"#), "my.json:variants.v: lr -1: should be a number above 0, up to 1000")
    wrong(
      variant(#""settings": {"seed": 1}"#),
      "my.json:variants.v.settings: seed is no setting of a study; a study's seeds are its --seeds")
    wrong(
      variant(#""settings": {"steps": 5, "epochs": 1}"#),
      "my.json:variants.v: both steps and epochs; should be one of them")
    wrong(
      variant(#""local_ranks": 0"#), "my.json:variants.v.local_ranks 0: should be a whole number from 1 to 1048576")
    wrong(
      variant(#""published": "57""#),
      #"my.json:variants.v.published "57": should be an accuracy in percent, or an object of figures"#)
    wrong(
      #"{"base": {"recipe": "x"}, "variants": [{"name": "v"}]}"#,
      #"my.json:base.recipe "x": should be one of quick, study"#)
    for seeds in ["0", "[]", "[1, 1]", "[-1]", "\"3\"", "1001"] {
      let text = #"{"seeds": \#(seeds), "variants": [{"name": "v"}]}"#
      let message = usageError { try self.study(text) }
      XCTAssertTrue(message.hasPrefix("my.json:seeds "), message)
      XCTAssertTrue(message.hasSuffix("should be \(Seeds.expectation)"), message)
    }
    wrong(#"{"variants": [{"name": "v"}]}"#, "my.json: has no quick size; should be run without --quick", quick: true)
    wrong(
      #"{"variants": [{"name": "v"}], "quick": {"variants": ["w"]}}"#,
      #"my.json:quick.variants "w": should be one of v"#)
    wrong(full, "study my: its full size is for STL-10; should have --data DIR, or be --quick on shapes")
  }

  func testARunThatCannotBeIsNamedByItsVariant() throws {
    let study = try study(#"{"variants": [{"name": "odd", "settings": {"batch": 15}}]}"#)
    XCTAssertEqual(
      usageError { try study.runs(ranks: 2) },
      "my, variant odd: --batch 15: 2 ranks cannot share it evenly; should be 14 or 16")
  }

  func testSeedsOfAFlag() throws {
    XCTAssertEqual(try Seeds.parse("3"), [0, 1, 2])
    XCTAssertEqual(try Seeds.parse("5,7"), [5, 7])
    XCTAssertEqual(try Seeds.parse("5,"), [5])
    for text in ["", "0", "-1", "5,5", "a", "1,,2", ",", "5,-7", "1001"] {
      XCTAssertTrue(usageError { try Seeds.parse(text) }.contains("should be \(Seeds.expectation)"), text)
    }
  }

  func testLocalScopeOfOtherRanks() throws {
    var study = try study(full) { $0.data = "stl" }
    study.variants = [study.variants[2]]
    study.seeds = [0]
    for (ranks, scope) in [(1, "ghost:32"), (2, "ghost:32"), (4, "ghost:32"), (8, "local"), (16, "group:2")] {
      let run = try study.runs(ranks: ranks)[0]
      XCTAssertEqual(run.configuration.bnScope.description, scope)
      XCTAssertEqual(run.note, ranks == 8 ? nil : "c: local scope of 8 ranks, on \(ranks) as \(scope)")
    }
    study.base.batch = 240
    XCTAssertTrue(usageError { try study.runs(ranks: 5) }.contains("local scope of 8 ranks cannot be had on 5 ranks"))
    XCTAssertTrue(usageError { try study.runs(ranks: 12) }.contains("should be run on 8 ranks or a divisor of them"))
  }

  func testWhereAStudyIsByDefault() throws {
    var study = try study(full, quick: true)
    XCTAssertEqual(study.standardOut, "runs/study-my-quick-shapes")
    study.base.data = "../some data/cifar 10/"
    study.size = .full
    XCTAssertEqual(study.standardOut, "runs/study-my-cifar-10")
  }

  func testEveryShippedStudyResolves() throws {
    for shipped in ShippedStudy.allCases {
      XCTAssertEqual(try shipped.file.name, shipped.rawValue)
      XCTAssertTrue(usageError { try shipped.file.study() }.contains("should have --data DIR"))
      for quick in [true, false] {
        let study = try shipped.file.study(isQuick: quick) { if !quick { $0.data = "stl" } }
        for ranks in [1, 2, 4, 8] {
          let runs = try study.runs(ranks: ranks)
          XCTAssertEqual(runs.count, study.variants.count * study.seeds.count)
          XCTAssertEqual(Set(runs.map(\.name)).count, runs.count)
          for run in runs { try run.configuration.validate(ranks: ranks, samples: 105_000) }
          // Two variants of the same settings would train the same thing twice.
          let first = runs.filter { $0.seed == study.seeds[0] }
          for (index, run) in first.enumerated() {
            let same = first.dropFirst(index + 1).first { $0.configuration == run.configuration }
            XCTAssertNil(same, "\(shipped) on \(ranks): \(run.name) and \(same?.name ?? "")")
          }
        }
      }
    }
  }
}
