import Files
import Foundation
import Training
import XCTest

final class MemoryEstimateTests: XCTestCase {
  private func settings(_ change: (inout Configuration) -> Void = { _ in }) -> Configuration {
    var settings = Recipe.study.configuration
    settings.imageSize = 64
    settings.batch = 32
    settings.threads = 1
    change(&settings)
    return settings.withMethodResolved(samples: nil)
  }

  /// The product takes steps on one batch of views, of networks in which another part is the largest each.
  func testTheEstimateIsWhatTheProgramTakes() throws {
    let table: [(String, [String], Configuration)] = [
      (
        "activations", ["--encoder", "resnet10", "--stem", "small", "--width", "32", "--batch", "96"],
        settings { ($0.encoder, $0.stem, $0.width, $0.batch) = (.resnet10, .small, 32, 96) }
      ),
      (
        "bottlenecks", ["--encoder", "resnet50", "--stem", "small", "--width", "16"],
        settings { ($0.encoder, $0.stem, $0.width) = (.resnet50, .small, 16) }
      ),
      (
        "parameters", ["--image-size", "32", "--batch", "8", "--hidden", "4096"],
        settings { ($0.imageSize, $0.batch, $0.hidden) = (32, 8, 4096) }
      ),
      (
        "queue", ["--image-size", "32", "--width", "16", "--method", "moco", "--queue", "131072"],
        settings { ($0.imageSize, $0.width, $0.method, $0.queue) = (32, 16, .moco, 131_072) }
      ),
    ]
    // What the program takes with next to nothing in it.
    let small = ["--encoder", "resnet10", "--width", "4", "--image-size", "32", "--batch", "2", "--hidden", "16"]
    let base = try peakBytes(small)
    for (name, flags, settings) in table {
      var use = MemoryUse()
      use.batchesOfViews = 1
      let estimate = MemoryEstimate(settings, use).ownBytes
      XCTAssertGreaterThan(estimate, 2 * base, "\(name): too little to tell from what else there is")
      let ratio = (estimate + base) / (try peakBytes(["--image-size", "64", "--batch", "32"].merging(flags)))
      XCTAssertGreaterThan(ratio, 0.75, name)
      // A run that there is memory for is never refused.
      XCTAssertLessThan(ratio, 1.05, name)
    }
  }

  /// The most memory of `bench step` by the program that lies beside these tests'.
  private func peakBytes(_ flags: [String]) throws -> Double {
    let process = Process()
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.executableURL = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("byol-dist")
    process.arguments = ["bench", "step", "--json", "--warmup", "1", "--steps", "1", "--threads", "1"] + flags
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    XCTAssertEqual(process.terminationStatus, 0)
    return try XCTUnwrap(JSON.parse(Array(output))["peak_rss_bytes"]?.double)
  }

  func testEachSettingThatTakesMemoryIsCounted() {
    func bytes(_ change: (inout Configuration) -> Void) -> Double {
      MemoryEstimate(settings(change), MemoryUse()).ownBytes
    }
    let base = bytes { _ in }
    let changes: [(String, (inout Configuration) -> Void)] = [
      ("batch", { $0.batch *= 2 }), ("image-size", { $0.imageSize *= 2 }), ("width", { $0.width *= 2 }),
      ("hidden", { $0.hidden *= 2 }), ("dim", { $0.dim *= 2 }), ("encoder", { $0.encoder = .resnet50 }),
      ("stem", { $0.stem = .cifar }), ("method", { $0.method = .moco }),
      ("weight-standardization", { $0.weightStandardization = .on }),
    ]
    for (name, change) in changes { XCTAssertGreaterThan(bytes(change), base, name) }
    XCTAssertLessThan(bytes { $0.method = .simsiam }, base, "no target")
    XCTAssertGreaterThan(
      bytes { ($0.method, $0.queue) = (.moco, 1 << 20) }, bytes { ($0.method, $0.queue) = (.moco, 0) } + 4e8)
    XCTAssertGreaterThan(
      bytes { ($0.method, $0.dim) = (.vicreg, 8192) }, bytes { $0.method = .vicreg } + 8192 * 8192 * 8)
  }

  func testRanksOfAHostShareParameters() {
    var use = MemoryUse()
    (use.ranks, use.ranksOnHost) = (4, 4)
    let settings = settings()
    let apart = MemoryEstimate(settings, use)
    use.sharesParameters = true
    let shared = MemoryEstimate(settings, use)
    XCTAssertEqual(apart.shared, 0)
    XCTAssertEqual(
      apart.hostBytes(ranks: 4) - shared.hostBytes(ranks: 4), 3 * shared.shared, accuracy: 1,
      "parameters, velocity and target once instead of four times")
  }

  func testARefusalSaysWhatIsNeededWhatIsThereAndWhatToLower() {
    let table: [(Configuration, String, String)] = [
      (
        settings { ($0.batch, $0.imageSize) = (1024, 4096) }, "--batch 1024 with --image-size 4096: ",
        " are activations; 23 GB are available; should be a smaller --batch, --image-size or --width"
      ),
      (
        settings { ($0.hidden, $0.dim, $0.width) = (65536, 65536, 2048) }, "--width 2048 with --hidden 65536: ",
        " are parameters; 23 GB are available; should be a smaller --width, --hidden or --dim"
      ),
      (
        settings { ($0.method, $0.queue, $0.dim) = (.moco, 16_777_216, 1024) }, "--queue 16777216 with --dim 1024: ",
        " are the loss's keys and logits; 23 GB are available; should be a smaller --queue, --dim or --batch"
      ),
    ]
    for (settings, start, end) in table {
      var use = MemoryUse()
      (use.ranks, use.ranksOnHost) = (2, 2)
      let fault = MemoryCheck.fault(settings, use, MemoryAvailable(host: 23e9)) ?? ""
      XCTAssertTrue(fault.hasPrefix(start + "2 ranks of this host need about "), fault)
      XCTAssertTrue(fault.hasSuffix(end), fault)
      XCTAssertFalse(fault.contains("\n"))
    }
  }

  func testWhatIsThereDecides() {
    let settings = settings()
    let needed = MemoryEstimate(settings, MemoryUse()).ownBytes
    func fault(_ available: MemoryAvailable) -> String? { MemoryCheck.fault(settings, MemoryUse(), available) }
    XCTAssertNil(fault(MemoryAvailable(host: needed)))
    XCTAssertNil(fault(MemoryAvailable(host: .infinity)))
    XCTAssertNotNil(fault(MemoryAvailable(host: needed - 1)))
    let buffer = 134_221_824.0
    XCTAssertNil(fault(MemoryAvailable(host: needed, process: needed + buffer)))
    XCTAssertNotNil(fault(MemoryAvailable(host: needed, process: needed + buffer - 1)), "OpenBLAS's buffer")
    XCTAssertEqual(fault(MemoryAvailable(host: needed, process: 2e6))?.contains("a process (ulimit -v"), true)
  }

  func testBytesAsText() {
    let table: [(Double, String)] = [
      (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"),
      (3.14e12, "3.1 TB"),
      (23.4e9, "23 GB"), (9.96e9, "10 GB"), (1e25, "10000000 EB"),
    ]
    for (bytes, text) in table { XCTAssertEqual(MemoryCheck.text(bytes), text) }
  }
}

extension [String] {
  /// Flags with their values, of which others' take the place of these.
  fileprivate func merging(_ others: [String]) -> [String] {
    let given = Set(stride(from: 0, to: others.count, by: 2).map { others[$0] })
    let kept = stride(from: 0, to: count, by: 2).filter { !given.contains(self[$0]) }
    return kept.flatMap { [self[$0], self[$0 + 1]] } + others
  }
}
