import Layers
import Training
import XCTest

final class ConfigurationChecksTests: XCTestCase {
  func testABatchThatRanksCannotShare() throws {
    try assertFault(batch: 100, ranks: 8, "--batch 100: 8 ranks cannot share it evenly; should be 96 or 104")
    try assertFault(batch: 2, ranks: 8, "--batch 2: 8 ranks cannot share it evenly; should be 8")
    try assertFault(batch: 96, ranks: 8, nil)
    try assertFault(batch: 7, ranks: 1, nil)
  }

  func testAGhostThatDoesNotDivide() throws {
    try assertFault(
      batch: 128, scope: .ghost(5), ranks: 8,
      "--bn-scope ghost:5: does not divide the local batch of 16 (128 over 8 ranks); "
        + "should be ghost:4 or ghost:8 or --batch 160")
    try assertFault(
      batch: 16, scope: .ghost(32), ranks: 1,
      "--bn-scope ghost:32: does not divide the local batch of 16 (16 over 1 ranks); "
        + "should be ghost:16 or --batch 32")
    try assertFault(batch: 128, scope: .ghost(4), ranks: 8, nil)
    try assertFault(batch: 128, scope: .ghost(16), ranks: 8, nil)
  }

  func testABatchNormNeedsTwoImages() throws {
    let reason = "batch norm over a single image has no variance; should be "
    try assertFault(batch: 8, scope: .local, ranks: 8, "--bn-scope local: \(reason)sync, or --batch 16 or more")
    try assertFault(batch: 8, scope: .ghost(1), ranks: 1, "--bn-scope ghost:1: \(reason)ghost:2 or more")
    try assertFault(batch: 8, scope: .sync, ranks: 8, nil)
    var configuration = Recipe.quick.configuration
    configuration.batch = 8
    configuration.bnScope = .local
    configuration.encoderNorm = .gn
    configuration.projectorNorm = .none
    configuration.predictorNorm = .ln
    XCTAssertNoThrow(try configuration.validate(ranks: 8))
  }

  /// Statistics of one sample are refused wherever they come from, and only where a norm takes any.
  func testTheSamplesThatShareStatistics() throws {
    // Ranks, the fewest on a host, batch, scope, views, and whether it can be run.
    let table: [(Int, Int?, Int, BatchNormScope, ViewNormalization, Bool)] = [
      (2, 2, 2, .group(1), .apart, false), (4, 4, 4, .group(1), .apart, false), (4, 4, 4, .group(2), .apart, true),
      (2, 2, 4, .group(1), .apart, true), (4, 2, 4, .node, .apart, true), (4, 1, 4, .node, .apart, false),
      (4, nil, 4, .node, .apart, true), (2, 1, 4, .node, .apart, true), (1, 1, 2, .node, .apart, true),
      (4, 1, 4, .sync, .apart, true), (2, 2, 2, .sync, .apart, true), (2, 2, 2, .local, .apart, false),
      (2, 2, 4, .local, .apart, true), (1, 1, 2, .ghost(1), .apart, false), (1, 1, 2, .ghost(2), .apart, true),
      (2, 2, 2, .ghost(1), .apart, false), (1, 1, 2, .group(1), .apart, true),
      // Both views of one image do not make a batch.
      (2, 2, 2, .group(1), .joint, false), (2, 2, 2, .local, .joint, false), (2, 1, 2, .node, .joint, false),
    ]
    for (ranks, fewest, batch, scope, views, isRight) in table {
      var configuration = Recipe.quick.configuration
      (configuration.batch, configuration.bnScope, configuration.bnViews) = (batch, scope, views)
      let name = "\(scope) \(views), batch \(batch) on \(ranks) ranks, \(fewest ?? 0) on a host"
      do {
        try configuration.validate(ranks: ranks, fewestRanksOnHost: fewest)
        XCTAssertTrue(isRight, name)
      } catch {
        XCTAssertFalse(isRight, "\(name): \(error)")
        XCTAssertTrue("\(error)".contains("a single image has no variance; should be "), "\(error)")
      }
      configuration.encoderNorm = .gn
      (configuration.projectorNorm, configuration.predictorNorm) = (.ln, .none)
      XCTAssertNoThrow(
        try configuration.validate(ranks: ranks, fewestRanksOnHost: fewest), "no norm takes any: \(name)")
      configuration.projectorNorm = .brn
      XCTAssertEqual(
        (try? configuration.validate(ranks: ranks, fewestRanksOnHost: fewest)) != nil, isRight, "batch renorm: \(name)")
      (configuration.projectorNorm, configuration.predictorNorm) = (.ln, .bn)
      configuration.predictorDepth = 1
      XCTAssertNoThrow(
        try configuration.validate(ranks: ranks, fewestRanksOnHost: fewest), "a predictor without a norm: \(name)")
    }
    try assertFault(
      batch: 4, scope: .group(1), ranks: 4,
      "--bn-scope group:1: batch norm over a single image has no variance; should be group:2, or --batch 8 or more")
  }

  func testCountsThatAreTooLarge() throws {
    for count in [1_048_577, Int(Int32.max), Int.max] {
      XCTAssertNil(BatchNormScope("ghost:\(count)"))
      XCTAssertNil(BatchNormScope("group:\(count)"))
      for scope in [BatchNormScope.ghost(count), .group(count)] {
        try assertFault(
          batch: 8, scope: scope, ranks: 4, "--bn-scope \(scope): should have a count from 1 to 1048576")
      }
    }
    XCTAssertEqual(BatchNormScope("ghost:1048576"), .ghost(1_048_576))
    try assertFault(
      batch: 1_048_576, ranks: 3, "--batch 1048576: 3 ranks cannot share it evenly; should be 1048575")
  }

  /// Each part's scope must fit, and a message names the flag that it came from.
  func testScopesApart() throws {
    func fault(_ change: (inout Configuration) -> Void) -> String? {
      var configuration = Recipe.quick.configuration
      configuration.batch = 64
      change(&configuration)
      do { try configuration.validate(ranks: 4) } catch { return "\(error)" }
      return nil
    }
    XCTAssertEqual(
      fault { $0.headBnScope = .ghost(5) },
      "--head-bn-scope ghost:5: does not divide the local batch of 16 (64 over 4 ranks); "
        + "should be ghost:4 or ghost:8 or --batch 80")
    XCTAssertEqual(
      fault { ($0.encoderBnScope, $0.headBnScope) = (.group(3), .local) },
      "--encoder-bn-scope group:3: does not divide 4 ranks; should be group:2 or group:4")
    XCTAssertEqual(
      fault { ($0.bnScope, $0.encoderBnScope) = (.ghost(1), .local) },
      "--bn-scope ghost:1: batch norm over a single image has no variance; should be ghost:2 or more")
    XCTAssertNil(fault { ($0.bnScope, $0.encoderBnScope, $0.headBnScope) = (.group(3), .local, .ghost(4)) })
    XCTAssertNil(fault { ($0.headBnScope, $0.projectorNorm, $0.predictorNorm) = (.ghost(1), .gn, .none) })
    XCTAssertNotNil(fault { ($0.headBnScope, $0.projectorNorm, $0.predictorNorm) = (.ghost(1), .brn, .none) })
  }

  func testPartsWithoutLARS() throws {
    var configuration = Recipe.quick.configuration
    configuration.larsOn = NetworkParts([.layer1, .layer2])
    XCTAssertThrowsError(try configuration.validate(ranks: 1)) {
      XCTAssertEqual("\($0)", "--lars-on layer1,layer2: is for --optimizer lars alone, not sgd")
    }
    configuration.optimizer = .lars
    XCTAssertNoThrow(try configuration.validate(ranks: 1))
  }

  func testABatchBeyondTheData() throws {
    var configuration = Recipe.quick.configuration
    configuration.data = "few"
    XCTAssertNoThrow(try configuration.validate(ranks: 4, samples: 64))
    XCTAssertThrowsError(try configuration.validate(ranks: 4, samples: 63)) {
      XCTAssertEqual("\($0)", "--batch 64: few has only 63 training images; should be at most 60")
    }
  }

  func testLength() {
    var configuration = Recipe.quick.configuration
    XCTAssertEqual(configuration.totalSteps(samples: 1000), 2000)
    configuration.steps = nil
    configuration.epochs = 3
    XCTAssertEqual(configuration.totalSteps(samples: 1000), 45)
  }

  func testTheFirstLines() {
    var request = RunRequest(configuration: Recipe.quick.configuration, recipe: .quick)
    XCTAssertFalse(request.text(ranks: 1).contains("*"))
    request.configuration.lr = 0.5
    request.configuration.out = "runs/a directory of a rather long name that takes several columns"
    let text = request.text(ranks: 2)
    XCTAssertTrue(text.hasPrefix("byol-dist \(byolDistVersion) on 2 ranks: recipe quick"))
    XCTAssertTrue(text.contains("*lr 0.5"))
    XCTAssertTrue(text.contains(" momentum 0.9"))
    XCTAssertTrue(text.contains("*out \"runs/a directory"))
    XCTAssertEqual(text.filter { $0 == "*" }.count, 3)
    let out = "*out \"runs/a directory of a rather long name that takes several columns\""
    for columns in [60, 80, 100, 120] {
      let lines = request.text(ranks: 2, columns: columns).split(separator: "\n")
      for line in lines { XCTAssertLessThanOrEqual(line.count, max(columns, out.count + 1), String(line)) }
      XCTAssertTrue(lines.contains { $0.contains(out) }, "a long value is never cut")
      let words = lines.joined(separator: " ").split(separator: " ").filter { !$0.isEmpty }
      XCTAssertEqual(words, text.split { $0 == " " || $0 == "\n" }, "the same words in every width")
    }
  }

  func testTheWidthIsTheTerminals() {
    let table: [(Screen, Int)] = [
      (.plain, 80), (.fixed(columns: 0), 60), (.fixed(columns: 59), 60), (.fixed(columns: 80), 80),
      (.fixed(columns: 119), 119), (.fixed(columns: 300), 120),
    ]
    for (screen, width) in table { XCTAssertEqual(TextWidth.standardOutput(screen), width) }
  }

  private func assertFault(
    batch: Int, scope: BatchNormScope = .sync, ranks: Int, _ message: String?, line: UInt = #line
  ) throws {
    var configuration = Recipe.quick.configuration
    configuration.batch = batch
    configuration.bnScope = scope
    guard let message else { return XCTAssertNoThrow(try configuration.validate(ranks: ranks), line: line) }
    XCTAssertThrowsError(try configuration.validate(ranks: ranks), line: line) {
      XCTAssertEqual("\($0)", message, line: line)
    }
  }
}
