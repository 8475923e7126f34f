import Foundation
import Synchronization
import XCTest

/// A directory of its own for each test, removed at the process's end: XCTest keeps a test's properties until then, and
/// does not free them.
final class TemporaryDirectory {
  let path: String
  private static let made = Mutex<[String]>([])

  init() {
    path = NSTemporaryDirectory() + "byol-dist-files-" + UUID().uuidString
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let isFirst = Self.made.withLock {
      $0.append(path)
      return $0.count == 1
    }
    if isFirst {
      atexit {
        TemporaryDirectory.made.withLock { for path in $0 { try? FileManager.default.removeItem(atPath: path) } }
      }
    }
  }

  func callAsFunction(_ name: String) -> String { path + "/" + name }
}

func fixture(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)").path
}

/// The text of the error that `body` throws; fails the test if it throws none.
func message<Result>(_ body: () throws -> Result, file: StaticString = #filePath, line: UInt = #line) -> String {
  do {
    _ = try body()
    XCTFail("no error", file: file, line: line)
    return ""
  } catch { return "\(error)" }
}

/// Runs a program.
/// - Returns: its status and what it printed to both outputs.
func launch(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: program)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return (process.terminationStatus, output)
}

/// The first Python that has the reference library; BYOL_PYTHON names one.
func pythonWithSafetensors() throws -> String {
  let candidates = [ProcessInfo.processInfo.environment["BYOL_PYTHON"], "/opt/peers/bin/python", "/usr/bin/python3"]
  for python in candidates.compactMap({ $0 }) where FileManager.default.isExecutableFile(atPath: python) {
    if try launch(python, ["-c", "import numpy, safetensors.numpy"]).status == 0 { return python }
  }
  throw XCTSkip("no Python with the safetensors library here")
}
