import Foundation
import Training
import XCTest

final class StopSignalsTests: XCTestCase {
  override func setUp() { StopSignals.install() }
  override func tearDown() {
    StopSignals.reset()
    for number in [SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGINT, SIGHUP] { signal(number, SIG_DFL) }
  }

  func testEachSignalIsNotedAndTheProcessGoesOn() {
    for number in [SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGINT, SIGHUP] {
      StopSignals.reset()
      XCTAssertNil(StopSignals.requested)
      raise(number)
      XCTAssertEqual(StopSignals.requested, number)
    }
  }

  /// As `nohup` has it.
  func testAHangUpThatIsIgnoredStaysIgnored() {
    signal(SIGHUP, SIG_IGN)
    StopSignals.install()
    raise(SIGHUP)
    XCTAssertNil(StopSignals.requested)
  }

  func testTheFirstIsTheReason() {
    raise(SIGUSR1)
    raise(SIGTERM)
    raise(SIGTERM)
    raise(SIGINT)
    XCTAssertEqual(StopSignals.requested, SIGUSR1)
    XCTAssertEqual(StopSignals.name(SIGUSR1), "SIGUSR1")
  }

  /// In a child, this test again, since its end is the result.
  func testASecondInterruptEndsTheProcess() throws {
    let variable = "BYOL_DIST_INTERRUPTED_CHILD"
    if ProcessInfo.processInfo.environment[variable] != nil {
      raise(SIGINT)
      raise(SIGTERM)
      FileHandle.standardError.write(Data("still here".utf8))
      raise(SIGINT)
      exit(0)
    }
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    child.arguments = ["TrainingTests.StopSignalsTests/testASecondInterruptEndsTheProcess"]
    child.environment = ProcessInfo.processInfo.environment.merging([variable: "1"]) { $1 }
    let pipe = Pipe()
    child.standardError = pipe
    child.standardOutput = FileHandle.nullDevice
    try child.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    child.waitUntilExit()
    XCTAssertTrue(output.contains("still here"), "the first interrupt does not end it: " + output)
    XCTAssertEqual(child.terminationReason, .uncaughtSignal)
    XCTAssertEqual(child.terminationStatus, SIGINT)
  }

  func testAClosedPipeIsNotTheEnd() {
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    close(ends[0])
    XCTAssertEqual(write(ends[1], "x", 1), -1)
    XCTAssertEqual(errno, EPIPE)
    close(ends[1])
  }
}
