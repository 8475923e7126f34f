import Files
import Layers
import Training
import XCTest

/// Every number that a user can give, at the ends of what is allowed and beyond: a line, or settings that can be run. A
/// product of them that overflowed would end this process.
final class ConfigurationLimitsTests: XCTestCase {
  private static let beyond = [
    "-9223372036854775809", "-9223372036854775808", "-1048577", "-1", "-0", "0", "1", "2", "3", "8", "4095", "4096",
    "4097", "65535", "65536",
    "65537", "1048575", "1048576", "1048577", "16777215", "16777216", "16777217", "1000000", "1000001", "1000000000",
    "1000000001", "2147483647", "2147483648", "4294967295", "4294967296", "9007199254740993", "4611686018427387904",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "170141183460469231731687303715884105728", "1e308", "-1e308", "1e-308", "5e-324", "1e400",
    String(repeating: "9", count: 400), "0.5", "0.9999999999999999", "1.0000000000000002", "1000.0000000000001",
  ]
  private static let scopes = ["group:", "ghost:"].flatMap { form in beyond.map { form + $0 } }

  /// The rows that numbers can be given to, found by trying, so that a new one cannot be forgotten.
  private func values(_ setting: Setting<Configuration>) -> [String] {
    setting.name.hasSuffix("bn-scope") ? Self.scopes : Self.beyond
  }

  private func isUsable(_ setting: Setting<Configuration>, _ text: String) -> Bool {
    var settings = Recipe.quick.configuration
    return (try? setting.set(.text(text), in: &settings, from: .flag)) != nil
  }

  private var numbers: [Setting<Configuration>] {
    Configuration.settings.filter { setting in
      // A path takes any text; it is no number.
      !["data", "out", "init"].contains(setting.name) && values(setting).contains { isUsable(setting, $0) }
    }
  }

  func testTheTableIsSwept() {
    let names = numbers.map(\.name)
    for name in ["batch", "queue", "image-size", "seed", "lr", "bn-scope", "head-bn-scope", "brn-warmup-steps", "keep"]
    {
      XCTAssertTrue(names.contains(name), name)
    }
    XCTAssertGreaterThan(names.count, 30)
  }

  func testEachAloneInFlagsAndInFiles() {
    for setting in numbers {
      for text in values(setting) {
        var settings = Recipe.quick.configuration
        let error = fault { try setting.set(.text(text), in: &settings, from: .flag) }
        assertLine(error, setting.name, text)
        if error == nil { exercise(settings, "\(setting.name) \(text)") }
        let quoted = setting.name.hasSuffix("bn-scope") ? JSON.quoted(text) : text
        var request: RunRequest?
        let fileError = fault {
          request = try RunRequest(config: "f.json", data: nil) { _ in Array(#"{"\#(setting.key)": \#(quoted)}"#.utf8) }
        }
        assertLine(fileError, setting.name, text)
        // -0 is no whole number in a file, where it is a double.
        if text != "-0" { XCTAssertEqual(error == nil, fileError == nil, "\(setting.name) \(text)") }
        if let request, error == nil, text != "-0" { XCTAssertEqual(request.configuration, settings) }
      }
    }
  }

  func testPairsOfTheLargeOnes() throws {
    func extremes(_ setting: Setting<Configuration>) -> [String] {
      let usable = values(setting).filter { isUsable(setting, $0) }
      return Array(Set([usable.first, usable.last].compactMap { $0 }))
    }
    // The last of the list that is allowed is the greatest whole number, or near it.
    for (index, first) in numbers.enumerated() {
      for second in numbers[(index + 1)...] {
        for one in extremes(first) {
          for other in extremes(second) {
            var settings = Recipe.quick.configuration
            try first.set(.text(one), in: &settings, from: .flag)
            try second.set(.text(other), in: &settings, from: .flag)
            exercise(settings, "\(first.name) \(one), \(second.name) \(other)")
          }
        }
      }
    }
  }

  func testAllAtTheirGreatestTogether() throws {
    for (kind, stem, method) in [
      ("resnet50", "cifar", "moco"), ("resnet18", "imagenet", "vicreg"), ("resnet34", "small", "simclr"),
    ] {
      var settings = Recipe.study.configuration
      for (name, text) in [
        ("batch", "1048576"), ("image-size", "4096"), ("width", "4096"), ("hidden", "65536"), ("dim", "65536"),
        ("steps", "1000000000"), ("warmup-steps", "1000000000"), ("encoder", kind), ("stem", stem), ("method", method),
        ("seed", "18446744073709551615"), ("threads", "1024"), ("weight-standardization", "on"),
      ] + (method == "moco" ? [("queue", "16777216")] : []) {
        try Configuration.settings.first { $0.name == name }!.set(.text(text), in: &settings, from: .flag)
      }
      exercise(settings, "all")
      let use = MemoryUse()
      XCTAssertGreaterThan(MemoryEstimate(settings.withMethodResolved(samples: nil), use).ownBytes, 1e17)
      XCTAssertNotNil(MemoryCheck.fault(settings.withMethodResolved(samples: nil), use, MemoryAvailable(host: 1e15)))
    }
  }

  /// What a run does with settings before it allocates: one line, or nothing.
  private func exercise(_ settings: Configuration, _ name: String) {
    for ranks in [1, 2, 3, 8, 4096, 1_048_576] {
      let error = fault { try settings.validate(ranks: ranks, fewestRanksOnHost: 1, samples: 100_000) }
      assertLine(error, name, "\(ranks) ranks")
      guard error == nil else { continue }
      var resolved = settings.withMethodResolved(samples: 100_000)
      if resolved.imageSize == 0 { resolved.imageSize = 32 }
      let total = resolved.totalSteps(samples: 100_000)
      for step in [0, max(0, total - 1)] {
        let rate = Schedules.learningRate(
          step: step, peak: resolved.lr, warmup: resolved.warmup(total: total), total: total)
        XCTAssertTrue(rate.isFinite && rate >= 0, name)
      }
      var use = MemoryUse()
      (use.ranks, use.ranksOnHost, use.testImages, use.classes) = (ranks, ranks, 1 << 40, 1 << 30)
      XCTAssertTrue(MemoryEstimate(resolved, use).ownBytes.isFinite, name)
      XCTAssertGreaterThan(MemoryEstimate(resolved, use).ownBytes, 0, name)
      XCTAssertFalse(RunRequest(configuration: resolved, recipe: .quick).text(ranks: ranks).isEmpty)
    }
  }

  private func fault(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch { return "\(error)" }
  }

  private func assertLine(_ error: String?, _ name: String, _ value: String) {
    guard let error else { return }
    XCTAssertFalse(error.contains("\n"), error)
    XCTAssertTrue(
      error.contains("should be") || error.contains("should have") || error.contains("out of range")
        || error.contains("too small"), "\(name) \(value): \(error)")
  }
}
