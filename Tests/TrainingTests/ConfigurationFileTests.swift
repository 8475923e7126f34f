import Files
import Layers
import Training
import XCTest

final class ConfigurationFileTests: XCTestCase {
  func testARunsFileRepeatsTheRun() throws {
    var request = RunRequest(configuration: Recipe.study.configuration, recipe: .study)
    request.configuration.data = "some data\n\"set\""
    request.configuration.seed = .max
    request.configuration.steps = 31
    request.configuration.epochs = nil
    request.configuration.lr = 0.1 + 0.2
    request.configuration.bnScope = .ghost(8)
    request.configuration.threads = 3
    request.configuration.initFile = "weights.safetensors"
    request.configuration.emaOn = .everyRank
    let resolved = request.configuration.resolved(samples: 500, side: 96, threads: 5)
    let again = try read(request.json(ranks: 4, dataDigest: "train 500", resolved: resolved).pretty)
    XCTAssertEqual(again.configuration, request.configuration)
    XCTAssertEqual(again.recipe, .study)
    XCTAssertEqual(again.file, "config.json")
    XCTAssertEqual(again.recordedRanks, 4)
  }

  /// What the method, the data, the length and the machine gave a run is not asked for in its repetition.
  func testWhatWasLeftOpenStaysOpen() throws {
    var asked = Recipe.quick.configuration
    asked.method = .moco
    let request = RunRequest(configuration: asked, recipe: .quick)
    let resolved = asked.resolved(samples: 5000, side: 32, threads: 6)
    let json = request.json(ranks: 2, dataDigest: "", resolved: resolved)
    let found: [(key: String, asked: JSON, resolved: JSON)] = [
      ("threads", .null, 6), ("image_size", 0, 32), ("warmup_steps", .null, 50), ("queue", .null, 4992),
      ("temperature", .null, 0.2), ("loss", .null, "cross-entropy"), ("ema_schedule", .null, "constant"),
      ("lr", 0.2, 0.2),
    ]
    for (key, asked, resolved) in found {
      XCTAssertEqual(json[key], asked, key)
      XCTAssertEqual(json["resolved"]?[key], resolved, key)
    }
    XCTAssertEqual(json["resolved"]?.members?.count, Configuration.settings.count)
    var shorter = try read(json.pretty).configuration
    XCTAssertEqual(shorter, asked)
    shorter.steps = 20
    XCTAssertEqual(shorter.resolved(samples: 5000, side: 32, threads: 1).warmupSteps, 2)
  }

  /// A run whose statistics are of a rank's own batch is another experiment on another number of ranks.
  func testARecordedRunOnOtherRanks() throws {
    func refusal(_ ranks: Int, _ settings: String, recorded: Int = 4) -> String? {
      do {
        let file = #"{"version": "0.1.0", "recipe": "quick", "ranks": \#(recorded), \#(settings)}"#
        try read(file).validate(ranks: ranks)
        return nil
      } catch { return "\(error)" }
    }
    for scope in ["sync", "ghost:8"] { XCTAssertNil(refusal(2, #""bn_scope": "\#(scope)""#), scope) }
    for scope in ["local", "group:2", "node"] { XCTAssertNil(refusal(4, #""bn_scope": "\#(scope)""#), scope) }
    for (ranks, scope, same) in [
      (2, "local", "ghost:16"), (8, "local", "group:2"), (2, "group:2", "local"), (1, "group:2", "ghost:32"),
    ] {
      let text = refusal(ranks, #""bn_scope": "\#(scope)""#) ?? "accepted"
      XCTAssertTrue(
        text.contains("should be started with 4 ranks, or with --bn-scope \(same), which is the same"), text)
    }
    XCTAssertTrue(refusal(2, #""bn_scope": "node""#)?.hasSuffix("should be started with 4 ranks") ?? false)
    XCTAssertTrue(refusal(2, #""head_bn_scope": "local""#)?.contains("--head-bn-scope ghost:16") ?? false)
    // No norm takes statistics of the batch there.
    let none = #""bn_scope": "local", "encoder_norm": "gn", "projector_norm": "none", "predictor_norm": "ln""#
    XCTAssertNil(refusal(2, none))
    // A user's own file says nothing of ranks.
    XCTAssertNoThrow(try read(#"{"bn_scope": "local", "recipe": "quick"}"#).validate(ranks: 2))
  }

  func testTheFileOfARunHoldsFactsAndEverySetting() throws {
    let json = RunRequest(configuration: Recipe.quick.configuration, recipe: .quick)
      .json(ranks: 4, dataDigest: "train 3", resolved: Recipe.quick.configuration)
    XCTAssertEqual(json["version"], JSON(byolDistVersion))
    XCTAssertEqual(json["recipe"], "quick")
    XCTAssertEqual(json["ranks"], 4)
    XCTAssertEqual(json["weight_decay"], 1e-4)
    XCTAssertEqual(json["ema_on"], "rank0")
    XCTAssertEqual(json["epochs"], .null)
    XCTAssertEqual(json["data_digest"], "train 3")
    XCTAssertEqual(json.members?.count, 5 + Configuration.settings.count)
  }

  /// The directory of a finished run must not be written to by its repetition; one that the user chose is kept.
  func testOnlyAUsersFileSaysWhereToWrite() throws {
    XCTAssertEqual(try read(#"{"out": "here"}"#).configuration.out, "here")
    XCTAssertNil(try read(#"{"out": "here", "version": "0.1.0"}"#).configuration.out)
  }

  func testTheRecipeUnderAFile() throws {
    XCTAssertEqual(try read(#"{"lr": 1}"#).recipe, .quick)
    XCTAssertEqual(try read(#"{"data": "cifar"}"#).recipe, .study)
    XCTAssertEqual(try read(#"{"data": "cifar", "recipe": "quick"}"#).recipe, .quick)
    XCTAssertEqual(try read(#"{"lr": 1}"#, data: "cifar").configuration.encoder, .resnet18)
    XCTAssertEqual(try read(#"{"epochs": 2}"#).configuration.steps, nil)
    XCTAssertEqual(try read(#"{"epochs": null, "steps": null}"#).configuration.steps, 2000)
  }

  func testMistakesInFiles() {
    assertMistake(
      #"{"weight-decay": 1}"#, "config.json: unknown key weight-decay; should be weight_decay")
    assertMistake(
      #"{"lr": "0.1"}"#, #"config.json: lr "0.1": should be a number above 0, up to 1000, without quotes: 0.1"#)
    assertMistake(#"{"batch": 12.5}"#, "config.json: batch 12.5: should be a whole number from 2 to 1048576")
    assertMistake(#"{"batch": true}"#, "config.json: batch true: should be a whole number from 2 to 1048576")
    assertMistake(#"{"data": null}"#, "config.json: data null: should be shapes or a path")
    assertMistake(
      #"{"shuffle": false}"#, #"config.json: shuffle false: should be one of on, off, in quotes: "off""#)
    assertMistake(#"{"epochs": 1, "steps": 2}"#, "config.json: both epochs and steps; should be one of them")
    assertMistake(#"{"recipe": "slow"}"#, #"config.json: recipe "slow": should be one of quick, study"#)
    assertMistake(
      #"{"encoder_norm": "ln"}"#,
      #"config.json: encoder_norm "ln": not available in this version; should be one of bn, gn, none"#)
    assertMistake("[1]", "--config config.json: should be a JSON object of settings")
    XCTAssertThrowsError(try read(#"{"lr": }"#)) {
      XCTAssertTrue("\($0)".hasPrefix("--config config.json: not valid JSON"))
    }
    XCTAssertThrowsError(try RunRequest(config: "quik", data: nil) { throw FileError($0, "is not there") }) {
      XCTAssertEqual("\($0)", "--config quik: should be a recipe (quick, study) or a JSON file; is not there")
    }
  }

  func testACompleteFileIsNeededWhereARunIsCompared() throws {
    let json = Recipe.quick.configuration.json
    let members = try XCTUnwrap(json.members)
    XCTAssertEqual(try Configuration(json: json, from: "state.json"), Recipe.quick.configuration)
    XCTAssertThrowsError(try Configuration(json: .object(members.filter { $0.key != "ema" }), from: "state.json")) {
      XCTAssertEqual("\($0)", "state.json: lacks the key ema")
    }
  }

  func testOnlySettingsThatShapeResultsStopAResume() {
    var other = Recipe.quick.configuration
    other.threads = 7
    other.out = "elsewhere"
    other.resume = .must
    other.probeEvery = 5
    other.checkpointEvery = 1
    other.emaOn = .everyRank
    XCTAssertEqual(Recipe.quick.configuration.resultDifferences(from: other), [])
    other.lr = 0.3
    other.bnScope = .local
    other.initFile = "w"
    XCTAssertEqual(Recipe.quick.configuration.resultDifferences(from: other), ["--bn-scope", "--init", "--lr"])
  }

  private func read(_ text: String, data: String? = nil) throws -> RunRequest {
    try RunRequest(config: "config.json", data: data) { _ in Array(text.utf8) }
  }

  private func assertMistake(_ text: String, _ message: String, line: UInt = #line) {
    XCTAssertThrowsError(try read(text), line: line) { XCTAssertEqual("\($0)", message, line: line) }
  }
}
