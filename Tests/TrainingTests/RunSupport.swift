import Files
import Foundation
import Training
import XCTest

/// A directory of its own for each test.
final class TemporaryRuns {
  let path: String

  /// All of them are in this one, which goes with the process: XCTest keeps its test cases, and so what they own, for as
  /// long.
  private static let root: String = {
    atexit { try? FileManager.default.removeItem(atPath: TemporaryRuns.root) }
    return NSTemporaryDirectory() + "byol-dist-tests-" + UUID().uuidString
  }()

  init() {
    path = Self.root + "/" + UUID().uuidString
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func callAsFunction(_ name: String) -> String { path + "/" + name }

  func text(_ name: String) throws -> String { try String(contentsOfFile: self(name), encoding: .utf8) }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: self(name), atomically: false, encoding: .utf8)
  }

  /// Flips one bit in the middle of a file.
  func damage(_ name: String) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: self(name)))
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: URL(fileURLWithPath: self(name)))
  }

  /// Every regular file's path from here and its bytes.
  func everything() throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
      guard FileKind.of(self(name)) == .regular else { continue }
      result[name] = try Data(contentsOf: URL(fileURLWithPath: self(name)))
    }
    return result
  }
}

/// The text of the error that `body` throws; fails the test if it throws none.
func errorText<Result>(_ body: () throws -> Result, file: StaticString = #filePath, line: UInt = #line) -> String {
  do {
    _ = try body()
    XCTFail("no error", file: file, line: line)
    return ""
  } catch { return "\(error)" }
}

extension CheckpointStore {
  /// A small checkpoint whose tensors tell the step.
  @discardableResult
  func writeSmall(step: Int, value: Float = 1) throws -> Checkpoint {
    try write(
      step: step,
      files: [
        ("optimizer.safetensors", { $0.add("v", values: [Float(step)]) }),
        ("model.safetensors", { $0.add("w", values: [Float(step), value]) }),
      ], state: ["epoch": JSON(step / 10), "seed": JSON(UInt64.max)])
  }
}
