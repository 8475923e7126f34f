import Files
import Layers
import Training
import XCTest

final class ConfigurationTableTests: XCTestCase {
  func testEveryPropertyHasARow() {
    let properties = Mirror(reflecting: Recipe.quick.configuration).children.compactMap(\.label)
    let rows = Configuration.settings.map { $0.name == "init" ? "initFile" : camelCase($0.name) }
    XCTAssertEqual(Set(rows), Set(properties))
    XCTAssertEqual(rows.count, properties.count)
  }

  /// A row wired to a neighbour's property would change another row's value.
  func testARowSetsItsOwnPropertyAlone() throws {
    let values = [
      "data": "d", "image-size": "24", "augment": "none", "shuffle": "off", "seed": "18446744073709551615",
      "method": "moco", "encoder": "resnet50", "width": "8", "stem": "cifar", "hidden": "7", "dim": "9",
      "encoder-norm": "gn", "projector-norm": "ln", "predictor-norm": "none", "bn-scope": "local",
      "weight-standardization": "on",
      "encoder-bn-scope": "ghost:4", "head-bn-scope": "group:2", "bn-views": "joint", "brn-r-max": "2",
      "brn-d-max": "7",
      "brn-warmup-steps": "23", "brn-momentum": "0.125", "init": "w",
      "batch": "6", "epochs": "3", "steps": "5", "optimizer": "lars", "decay-on": "weights", "lars-trust": "0.5",
      "lars-on": "layer2,predictor", "lr": "0.25", "momentum": "0.5",
      "weight-decay": "1e-3", "warmup-steps": "11", "ema": "0.75", "ema-schedule": "constant", "ema-on": "every-rank",
      "threads": "2", "out": "o", "resume": "must", "checkpoint-every": "13", "keep": "1", "probe-every": "17",
      "log-every": "19", "loss": "bce", "predictor-depth": "1", "stop-gradient": "off", "temperature": "0.7",
      "queue": "128", "eqco-alpha": "9", "shuffle-bn": "on", "lambda": "0.3", "vicreg-invariance": "2",
      "vicreg-variance": "3", "vicreg-covariance": "4",
      "measure-every": "23", "on-collapse": "stop",
    ]
    let unchanging: Set<String> = []
    for setting in Configuration.settings {
      let start = Recipe.quick.configuration
      var changed = start
      let value = try XCTUnwrap(values[setting.name], "no value for \(setting.name)")
      try setting.set(.text(value), in: &changed, from: .flag)
      let differing = Configuration.settings.filter { $0.json(in: start) != $0.json(in: changed) }.map(\.name)
      let expected =
        setting.name == "epochs" ? ["epochs", "steps"] : unchanging.contains(setting.name) ? [] : [setting.name]
      XCTAssertEqual(differing, expected)
      let back = try Configuration(json: changed.json, from: "test")
      XCTAssertEqual(back, changed, setting.name)
    }
  }

  func testRanges() {
    let wrong = [
      "lr": ["0", "-0.1", "nan", "inf", "1e400", "0,1", "", "1001"], "ema": ["-0.1", "1.01", "nan"],
      "momentum": ["1", "-0.1"], "weight-decay": ["-1", "2"],
      "batch": ["1", "0", "-8", "12.5", "1e3", "9999999999999"],
      "brn-r-max": ["0.9"], "brn-d-max": ["-0.1"], "brn-momentum": ["0", "1.1"], "bn-views": ["both"],
      "lars-trust": ["0"], "decay-on": ["none"],
      "lars-on": ["", "layer5", "layer1,", "layer1,layer1", "layer1 ,layer2"],
      "encoder-bn-scope": ["ghost", ""], "head-bn-scope": ["local:2"], "width": ["0"], "hidden": ["0"], "dim": ["0"],
      "image-size": ["7", "-1", "4097"], "epochs": ["0"], "steps": ["0"],
      "seed": ["-1", "18446744073709551616"], "warmup-steps": ["-1"], "threads": ["0"], "keep": ["0"],
      "checkpoint-every": ["-1"], "probe-every": ["-1"], "log-every": ["0"], "measure-every": ["-1"],
      "on-collapse": ["end"], "shuffle": ["yes"],
      "loss": ["L2", ""], "predictor-depth": ["-1", "3"], "stop-gradient": ["yes"], "temperature": ["0", "101"],
      "queue": ["-1", "1.5"], "eqco-alpha": ["0"], "shuffle-bn": ["maybe"], "lambda": ["-1"],
      "vicreg-variance": ["-1"],
      "bn-scope": ["ghost", "ghost:0", "ghost:-1", "ghost:+2", "ghost:x", "ghost:", "Sync", "all", "ghost:4 "],
    ]
    for (name, texts) in wrong {
      let setting = Configuration.settings.first { $0.name == name }!
      for text in texts {
        var configuration = Recipe.quick.configuration
        XCTAssertThrowsError(try setting.set(.text(text), in: &configuration, from: .flag), "\(name) \(text)") {
          let parts = "\($0)".components(separatedBy: ": should be \(setting.expectation)")
          XCTAssertEqual(parts.count, 2, "\($0)")
          XCTAssertTrue(parts.last == "" || parts.last?.hasPrefix(", written as ") == true, "\($0)")
        }
        XCTAssertEqual(configuration, Recipe.quick.configuration)
      }
    }
    for (name, text) in [("ema", "0"), ("ema", "1"), ("momentum", "0"), ("batch", "2"), ("image-size", "0")] {
      var configuration = Recipe.quick.configuration
      XCTAssertNoThrow(
        try Configuration.settings.first { $0.name == name }!.set(.text(text), in: &configuration, from: .flag))
    }
  }

  func testScopeText() throws {
    for scope in [BatchNormScope.sync, .node, .group(4), .local, .ghost(16)] {
      XCTAssertEqual(BatchNormScope(scope.description), scope)
      let bytes = try JSONEncoder().encode([scope])
      XCTAssertEqual(try JSONDecoder().decode([BatchNormScope].self, from: bytes), [scope])
    }
    XCTAssertEqual(BatchNormScope.group(4).description, "group:4")
    XCTAssertEqual(BatchNormScope.ghost(16).description, "ghost:16")
  }

  func testWhatThisVersionLacks() {
    var configuration = Recipe.study.configuration
    XCTAssertEqual(configuration.unsupported, [])
    configuration.encoderNorm = .ln
    XCTAssertEqual(
      configuration.unsupported,
      [
        "--encoder-norm ln: not available in this version; should be one of bn, gn, none"
      ])
    XCTAssertThrowsError(try configuration.validate(ranks: 1))
  }

  func testNearest() {
    XCTAssertEqual(nearest(to: "form", among: ["foo", "from", "forty"]), "from")
    XCTAssertEqual(nearest(to: "check", among: ["chick-en", "keep", "checkpoint-every"]), "checkpoint-every")
    XCTAssertEqual(nearest(to: "lrs", among: ["dim", "lr", "ls"]), "lr")
    XCTAssertEqual(nearest(to: "ep", among: ["dim", "epochs"]), "epochs")
    XCTAssertNil(nearest(to: "", among: ["dim", "lr"]))
    XCTAssertNil(nearest(to: "learning-rate", among: ["head-bn-scope", "lr", "warmup-steps"]), "too far off")
    XCTAssertNil(nearest(to: "xyz", among: ["lr", "dim"]))
  }

  private func camelCase(_ name: String) -> String {
    let words = name.split(separator: "-")
    return words[0] + words.dropFirst().map(\.capitalized).joined()
  }
}
