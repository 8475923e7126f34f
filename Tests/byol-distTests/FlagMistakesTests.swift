import Files
import Training
import XCTest
import byol_dist

/// What a user who makes a mistake is told: the end of the line names what would be right.
final class FlagMistakesTests: XCTestCase {
  func testNamesOfOtherPrograms() {
    let table = [
      "learning_rate": "--lr", "learning-rate": "--lr", "wd": "--weight-decay", "bs": "--batch",
      "batch_size": "--batch",
      "workers": "--threads", "num_workers": "--threads", "arch": "--encoder", "model": "--encoder",
      "backbone": "--encoder", "output": "--out", "out_dir": "--out", "output-dir": "--out", "dataset": "--data",
      "data_dir": "--data", "data-path": "--data", "max_steps": "--steps", "max-epochs": "--epochs",
      "n_epochs": "--epochs",
      "size": "--image-size", "img_size": "--image-size", "resolution": "--image-size", "tau": "--ema",
      "ema_decay": "--ema", "momentum-encoder": "--ema", "temp": "--temperature", "lr_warmup": "--warmup-steps",
      "warmup": "--warmup-steps", "weight_decay": "--weight-decay", "LR": "--lr", "weightDecay": "--weight-decay",
      "Batch": "--batch", "no-shuffle": "--shuffle off", "no_shuffle_bn": "--shuffle-bn off",
    ]
    for (name, right) in table {
      assertLine(["--" + name, "1"], ends: "unknown flag --\(name); should be \(right)")
      assertLine(["--" + name + "=1"], ends: "unknown flag --\(name); should be \(right)")
      let key = String(right.dropFirst(2)).replacing("-", with: "_")
      // Files have no --no-shuffle, and their keys have underscores.
      guard !right.contains(" "), name != key else { continue }
      XCTAssertThrowsError(try RunRequest(config: "f", data: nil) { _ in Array(#"{"\#(name)": 1}"#.utf8) }) {
        XCTAssertEqual("\($0)", "f: unknown key \(name); should be \(key)")
      }
    }
  }

  /// Every name that a message may offer is one.
  func testWhatIsMeantIsKnown() {
    let known = Set(Configuration.settings.map(\.name) + ["config"])
    for name in SettingNames.known { XCTAssertTrue(known.contains(SettingNames.meant(by: name) ?? ""), name) }
  }

  func testSettingsThatThereAreNot() {
    for name in ["gpus", "device", "amp", "fp16", "cuda", "n", "np", "world_size"] {
      assertLine(["--" + name, "1"], contains: "unknown flag --\(name); there is no such setting: ")
    }
  }

  func testGuessesAreNear() {
    let table = [
      "warmup-step": "; the nearest known one is --warmup-steps",
      "weigth-decay": "; the nearest known one is --weight-decay",
      "norm": "; the nearest known ones are --encoder-norm, --projector-norm, --predictor-norm",
      "xyzzy": "; see byol-dist train --help", "quantum-flux": "; see byol-dist train --help",
      "q": "; see byol-dist train --help", "": "; see byol-dist train --help",
    ]
    for (name, end) in table { assertLine(["--" + name, "1"], ends: end) }
    assertLine(["foo"], ends: "unknown command foo; should be one of train, study, report, data, bench")
    assertLine(["bench", "foo"], ends: "should be one of step, collectives, kernels")
    assertLine(["study", "foo"], ends: "should be one of norms, scope, escapes")
    assertLine(["bench", "step", "--optimizer", "sgd"], contains: "--optimizer: is a flag of train, not of bench")
  }

  func testArgumentsThatAreNoFlags() {
    let table: [([String], String)] = [
      (["-batch", "64"], "unexpected argument -batch: should begin with two dashes; should be --batch"),
      (["–batch", "64"], "unexpected argument –batch: begins with another character than -; should be --batch"),
      (
        ["train", "—batch=64"], "unexpected argument —batch=64: begins with another character than -; should be --batch"
      ),
      (["--lr", "1", "−-batch", "6"], "begins with another character than -; should be --batch"),
      (["batch=64"], "unexpected argument batch=64; should be --batch=VALUE"),
      (["train", "batch", "64"], "unexpected argument batch; should be --batch VALUE"),
      (["--batch 64"], "unknown flag \"--batch 64\"; should be two arguments, --batch and its value"),
      (
        ["--data", "my", "pictures"],
        "unexpected argument pictures behind --data; should be in quotes where a path has spaces"
      ),
      (["--shuffle"], "--shuffle: lacks its value; should be --shuffle on|off"),
      (["--shuffle", "--lr", "1"], "--shuffle: lacks its value; should be --shuffle on|off"),
      (["--lr="], "--lr \"\": should be a number above 0, up to 1000"),
    ]
    for (arguments, end) in table { assertLine(arguments, ends: end) }
  }

  /// A number is what JSON calls one, in flags and files alike; others are refused, with the number they seem to be.
  func testNumbers() {
    let wrong: [(String, String)] = [
      ("0x10", ", written as 16"), ("1_000", ", written as 1000"), ("1,5", ", written as 1.5"),
      ("+5", ", written as 5"),
      (" 5", ", written as 5"), ("5 ", ", written as 5"), ("\t5", ", written as 5"), ("٣", ", written as 3"),
      ("５", ", written as 5"), (".5", ", written as 0.5"), ("5.", ", written as 5"), ("05", ", written as 5"),
      ("1e−3", ", written as 1e-3"), ("1,000", ", written as 1000"), ("\"5\"", ", written as 5"), ("inf", ""),
      ("-inf", ""),
      ("nan", ""), ("NaN", ""), ("infinity", ""), ("1e400", ""), ("-0", ""), ("0x1p3", ", written as 8"), ("1e", ""),
      ("e5", ""), ("--5", ""), ("1 2 x", ""), ("½", ""), ("true", ""), ("", ""),
    ]
    for (text, hint) in wrong where !text.hasPrefix("--") {
      assertLine(["--lr=\(text)"], ends: "--lr \(shownAs(text)): should be a number above 0, up to 1000\(hint)")
    }
    for (text, value) in [("1e-3", 1e-3), ("1E2", 100), ("0.5", 0.5), ("5", 5), ("1e+1", 10), ("5.0", 5)] {
      guard case .train(let request) = try? Command(["--lr", text], read: { _ in [] }) else {
        XCTFail(text)
        continue
      }
      XCTAssertEqual(request.configuration.lr, value)
    }
    for (text, hint) in [
      ("1e3", ", written as 1000"), ("1000.0", ", written as 1000"), ("064", ", written as 64"), ("12.5", ""),
      ("0x40", ", written as 64"), ("1,024", ", written as 1024"), ("1e300", ""), ("1e-300", ""),
    ] {
      assertLine(["--batch", text], ends: "--batch \(text): should be a whole number from 2 to 1048576\(hint)")
    }
  }

  func testChoices() {
    let table = [
      (["--shuffle", "True"], ", written as on"), (["--shuffle", "0"], ", written as off"),
      (["--optimizer", "SGD"], ", written as sgd"), (["--loss", "cross_entropy"], ", written as cross-entropy"),
      (["--encoder", "ResNet18"], ", written as resnet18"), (["--bn-scope", "Ghost:4"], ", written as ghost:4"),
      (["--optimizer", "adam"], "should be one of sgd, lars"),
    ]
    for (arguments, end) in table { assertLine(arguments, ends: end) }
  }

  func testValuesInFiles() {
    let table = [
      (#"{"lr": "0.1"}"#, ", without quotes: 0.1"), (#"{"batch": "64"}"#, ", without quotes: 64"),
      (#"{"lr": "0x10"}"#, ", without quotes: 16"), (#"{"batch": 64.0}"#, ", written as 64"),
      (#"{"batch": 1e2}"#, ", written as 100"), (#"{"shuffle": true}"#, #", in quotes: "on""#),
      (#"{"optimizer": "SGD"}"#, #", written as "sgd""#),
      (#"{"lr": null}"#, "lr null: should be a number above 0, up to 1000"),
      (#"{"lr": true}"#, "lr true: should be a number above 0, up to 1000"), (#"{"data": 5}"#, #", in quotes: "5""#),
      (#"{"lr": [1]}"#, "lr [1]: should be a number above 0, up to 1000"), (#"{"seed": 1.5}"#, "18446744073709551615"),
    ]
    for (text, end) in table {
      XCTAssertThrowsError(try RunRequest(config: "f", data: nil) { _ in Array(text.utf8) }, text) {
        XCTAssertTrue("\($0)".hasSuffix(end), "\($0)")
      }
    }
  }

  private func shownAs(_ text: String) -> String {
    text.isEmpty || text.contains { $0 == " " || $0 == "\t" || $0 == "\"" } ? JSON.quoted(text) : text
  }

  private func assertLine(
    _ arguments: [String], ends end: String = "", contains part: String = "", line: UInt = #line
  ) {
    XCTAssertThrowsError(
      try Command(arguments, read: { throw FileError($0, cannot: "open", code: ENOENT) }), "\(arguments)", line: line
    ) {
      XCTAssertTrue($0 is UsageError, line: line)
      let text = "\($0)"
      XCTAssertTrue(
        text.hasSuffix(end) && (part.isEmpty || text.contains(part)), "\(text) should end in \(end)", line: line)
      XCTAssertFalse(text.contains("\n"), text, line: line)
    }
  }
}
