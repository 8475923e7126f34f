import Collectives
import Files
import Foundation
import NetworkTesting
import Studies
import Training
import XCTest

/// A study's JSON and its directory: small runs on a few images, in a temporary directory.
final class TemporaryStudy {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "byol-dist-studies-" + UUID().uuidString
    try TinyImages.write(to: path + "/data")
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func callAsFunction(_ name: String) -> String { path + "/" + name }

  /// Two variants with two seeds, of 8 steps each.
  func study(
    variants: String = #"{"name": "bn"}, {"name": "none", "settings": {"projector_norm": "none"}}"#,
    _ change: (inout Configuration) throws -> Void = { _ in }
  ) throws -> Study {
    let text = """
      {"title": "Tiny", "base": {"recipe": "quick", "width": 4, "hidden": 16, "dim": 8, "batch": 16, "steps": 8,
       "lr": 0.02, "warmup_steps": 2, "ema": 0.9, "checkpoint_every": 3, "threads": 1, "image_size": 32},
       "seeds": [0, 7], "variants": [\(variants)]}
      """
    return try StudyFile(name: "tiny", source: "tiny.json", bytes: Array(text.utf8)).study {
      $0.data = self("data")
      try change(&$0)
    }
  }

  func runner(_ study: Study, _ name: String, shown: Lines = Lines()) throws -> StudyRunner {
    try StudyRunner(study, path: self(name), world: try Communicator.start()) { shown.text += $0 }
  }

  func text(_ name: String) throws -> String { try String(contentsOfFile: self(name), encoding: .utf8) }

  func json(_ name: String) throws -> JSON { try JSON(parsing: try text(name)) }

  func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: self(name))) }

  /// table.csv without the columns of speed, which are the last two.
  func timelessTable(_ name: String) throws -> [[String]] {
    try text(name + "/table.csv").split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).dropLast(2).map(String.init)
    }
  }

  /// Every file of a directory with its bytes, but for locks.
  func everything(_ name: String) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for file in try FileManager.default.subpathsOfDirectory(atPath: self(name)) where !file.hasSuffix(".lock") {
      guard !AtomicDirectory.isDirectory(self(name + "/" + file)) else { continue }
      result[file] = try bytes(name + "/" + file)
    }
    return result
  }
}

/// What a study printed.
final class Lines {
  var text = ""
}

/// A run's death between checkpoints.
struct Killed: Error {}

/// The text of the usage error that `body` throws.
func usageError<R>(_ body: () throws -> R, file: StaticString = #filePath, line: UInt = #line) -> String {
  do {
    _ = try body()
    XCTFail("no error", file: file, line: line)
    return ""
  } catch {
    XCTAssertEqual(ExitStatus(for: error), .usage, "\(error)", file: file, line: line)
    XCTAssertFalse("\(error)".contains("\n"), "\(error)", file: file, line: line)
    return "\(error)"
  }
}
