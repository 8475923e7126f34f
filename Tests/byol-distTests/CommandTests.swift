import Files
import Training
import XCTest
import byol_dist

final class CommandTests: XCTestCase {
  func testNoCommandIsTrain() throws {
    let none = try parse()
    XCTAssertEqual(none, try parse("train"))
    XCTAssertEqual(none, .train(RunRequest(configuration: Recipe.quick.configuration, recipe: .quick)))
  }

  func testBothFormsOfAFlag() throws {
    let spaced = try trained("--lr", "0.5", "--bn-scope", "ghost:4")
    XCTAssertEqual(spaced, try trained("--lr=0.5", "--bn-scope=ghost:4"))
    XCTAssertEqual(spaced.configuration.lr, 0.5)
    XCTAssertEqual(spaced.configuration.bnScope, .ghost(4))
    XCTAssertEqual(try trained("--out=a=b").configuration.out, "a=b")
  }

  func testDataDecidesTheRecipe() throws {
    XCTAssertEqual(try trained("--data", "cifar").recipe, .study)
    XCTAssertEqual(try trained("--data", "shapes").recipe, .study)
    let both = try trained("--data", "cifar", "--config", "quick")
    XCTAssertEqual(both.recipe, .quick)
    XCTAssertEqual(both.configuration.data, "cifar")
  }

  func testEpochsAndStepsReplaceEachOther() throws {
    let epochs = try trained("--epochs", "3").configuration
    XCTAssertEqual(epochs.epochs, 3)
    XCTAssertNil(epochs.steps)
    let steps = try trained("--data", "x", "--steps", "20").configuration
    XCTAssertEqual(steps.steps, 20)
    XCTAssertNil(steps.epochs)
    assertUsage("--epochs and --steps: both given; should be one of them", "--steps", "1", "--epochs", "2")
  }

  func testFlagsOverrideTheFile() throws {
    let request = try trained("--config", "my.json", "--lr", "0.3", files: ["my.json": #"{"lr": 0.1, "dim": 64}"#])
    XCTAssertEqual(request.file, "my.json")
    XCTAssertEqual(request.configuration.lr, 0.3)
    XCTAssertEqual(request.configuration.dim, 64)
    XCTAssertEqual(request.recipe, .quick)
  }

  func testMistakesInFlags() {
    assertUsage("unknown flag --warmup-step; the nearest known one is --warmup-steps", "--warmup-step", "5")
    assertUsage("unknown flag --check; the nearest known one is --checkpoint-every", "--check", "5")
    assertUsage("unknown flag --confg; the nearest known one is --config", "--confg", "quick")
    assertUsage("--lr: given twice; should be given once", "--lr", "1", "--lr=2")
    assertUsage("--lr: lacks its value; should be --lr VALUE", "--lr")
    assertUsage("--out: lacks its value; should be --out VALUE", "--out", "--lr", "1")
    assertUsage("unexpected argument cifar; should be --FLAG VALUE, see --help", "--lr", "1", "cifar")
    assertUsage(
      "unexpected argument -n; there is no such setting: the number of ranks is mpirun's, mpirun -n RANKS byol-dist",
      "-n",
      "2")
    assertUsage("--lr -1: should be a number above 0, up to 1000", "--lr", "-1")
    assertUsage("--out \"\": should be a directory's path", "--out=")
    assertUsage("--optimizer adam: should be one of sgd, lars", "--optimizer", "adam")
    assertUsage(
      "--encoder-norm ln: not available in this version; should be one of bn, gn, none", "--encoder-norm", "ln")
    assertUsage(
      "--method dino: should be one of byol, contrastive, simclr, moco, simsiam, barlow-twins, vicreg", "--method",
      "dino")
  }

  func testMistakesInCommands() {
    assertUsage("unknown command trian; the nearest known one is train", "trian", "--lr", "1")
    assertUsage(
      "export: not available in this version; should be train, study, report, data preview or bench", "export")
    assertUsage("data: lacks what to do; should be data preview", "data")
    assertUsage("data show: unknown; should be data preview", "data", "show")
  }

  func testPreview() throws {
    guard case .preview(let request) = try parse("data", "preview", "--out", "a.png", "--seed", "3", "--count", "5")
    else { return XCTFail("no preview") }
    XCTAssertEqual(request.out, "a.png")
    XCTAssertEqual(request.count, 5)
    XCTAssertEqual(request.configuration.seed, 3)
    XCTAssertEqual(request.configuration.data, "shapes")
    assertUsage("data preview: lacks --out; should be --out FILE.png", "data", "preview")
    assertUsage("--out a.jpg: should be the name of a PNG file, FILE.png", "data", "preview", "--out", "a.jpg")
    assertUsage(
      "--lr: is a flag of train, not of data preview; see byol-dist data preview --help", "data", "preview", "--lr", "1"
    )
  }

  func testHelpAndVersion() throws {
    XCTAssertEqual(try parse("--help"), .help(.program))
    XCTAssertEqual(try parse("train", "--lr", "x", "--help"), .help(.train))
    XCTAssertEqual(try parse("data", "preview", "-h"), .help(.preview))
    XCTAssertEqual(try parse("--version"), .version)
  }

  func testBenchTakesTheModelsFlags() throws {
    guard case .bench(let request) = try parse("bench", "step", "--width", "16", "--steps", "3", "--json") else {
      return XCTFail("no bench")
    }
    XCTAssertEqual(request.kind, .step)
    XCTAssertEqual(request.configuration.width, 16)
    XCTAssertEqual(request.configuration.batch, 64)
    XCTAssertEqual(request.steps, 3)
    XCTAssertTrue(request.json)
    XCTAssertThrowsError(try parse("bench")) {
      XCTAssertEqual("\($0)", "bench: lacks what to measure; should be one of step, collectives, kernels")
    }
    XCTAssertThrowsError(try parse("bench", "stap")) {
      XCTAssertEqual("\($0)", "bench stap: unknown; the nearest known one is bench step")
    }
    XCTAssertThrowsError(try parse("bench", "step", "--lr", "1"), "lr is no flag of bench")
  }

  func testHelpNamesEveryFlagAndNoMissingPolicy() {
    let help = HelpText.text(on: .train)
    for setting in Configuration.settings { XCTAssertTrue(help.contains("  --\(setting.name) "), setting.name) }
    XCTAssertTrue(help.contains("[quick 0.2, study 0.4]"))
    XCTAssertTrue(help.contains("--encoder-norm bn|gn|none "), "ln is a choice of the heads alone")
    let study = HelpText.text(on: .study)
    for flag in ["quick", "seeds N|a,b,c", "out DIR", "dry-run", "list", "print"] {
      XCTAssertTrue(study.contains("  --\(flag) "), flag)
    }
    let bench = HelpText.text(on: .bench)
    for setting in BenchRequest.settings { XCTAssertTrue(bench.contains("  --\(setting.name) "), setting.name) }
    for topic in [HelpTopic.program, .train, .study, .report, .preview, .bench] {
      let words = HelpText.text(on: topic, columns: 120).split { $0 == " " || $0 == "\n" }
      for columns in [60, 80, 100, 120] {
        let text = HelpText.text(on: topic, columns: columns)
        // A flag with its choices is one word, too long for the narrowest.
        for line in text.split(separator: "\n") where !line.contains("|") || columns >= 80 {
          XCTAssertLessThanOrEqual(line.count, columns, String(line))
        }
        XCTAssertEqual(text.split { $0 == " " || $0 == "\n" }, words, "the same words in every width")
      }
    }
  }

  // MARK: -

  private func parse(_ arguments: String..., files: [String: String] = [:]) throws -> Command {
    try parse(arguments, files: files)
  }

  private func parse(_ arguments: [String], files: [String: String]) throws -> Command {
    try Command(arguments) { path in
      guard let text = files[path] else { throw FileError(path, "is not there") }
      return Array(text.utf8)
    }
  }

  private func trained(_ arguments: String..., files: [String: String] = [:]) throws -> RunRequest {
    guard case .train(let request) = try parse(arguments, files: files) else {
      throw UsageError("no training: \(arguments)")
    }
    return request
  }

  private func assertUsage(_ message: String, _ arguments: String..., line: UInt = #line) {
    XCTAssertThrowsError(try parse(arguments, files: [:]), line: line) {
      XCTAssertEqual("\($0)", message, line: line)
      XCTAssertTrue($0 is UsageError, line: line)
    }
  }
}
