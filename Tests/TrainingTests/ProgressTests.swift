import Foundation
import Training
import XCTest

final class ProgressTests: XCTestCase {
  private func reading(_ step: Int, of steps: Int = 800, loss: Double = 1.23456) -> ProgressReading {
    ProgressReading(
      step: step, steps: steps, loss: loss, positiveCosine: 0.87312, negativeCosine: 0.99994, imagesPerSecond: 1234.6)
  }

  func testTheBarFitsEveryWidth() {
    for steps in [1, 800, 1_000_000] {
      for step in [1, steps / 2, steps] where step > 0 {
        for columns in 0...200 {
          let text = ProgressText.bar(reading(step, of: steps), secondsLeft: 3723, columns: columns)
          XCTAssertLessThanOrEqual(text.count, max(columns - 1, 0), "in \(columns) columns")
          if columns >= 30 { XCTAssertTrue(text.contains("\(step)/\(steps)"), text) }
        }
      }
    }
  }

  func testTheBarSaysAllOnAWideTerminalAndTheMostImportantOnANarrowOne() {
    XCTAssertEqual(
      ProgressText.bar(reading(400), secondsLeft: 151, columns: 130),
      "[================>                 ]  step 400/800  loss 1.2346  cosine positive 0.8731 negative 0.9999  1235 images/s"
        + "  2:31 left")
    XCTAssertEqual(
      ProgressText.bar(reading(400), secondsLeft: 151, columns: 80),
      "[===>     ]  400/800  loss 1.2346  pos 0.8731 neg 0.9999  1235 img/s  2:31 left")
    XCTAssertEqual(ProgressText.bar(reading(400), secondsLeft: nil, columns: 21), "400/800  -:-- left")
    XCTAssertTrue(ProgressText.bar(reading(800), secondsLeft: 0, columns: 80).contains("==]"))
    XCTAssertTrue(ProgressText.bar(reading(1), secondsLeft: 0, columns: 80).contains("[   "))
  }

  func testTheLine() {
    XCTAssertEqual(
      ProgressText.line(reading(200, loss: .nan), secondsLeft: 62),
      "step 200/800 (25 %)  loss nan  positive cosine 0.8731  negative cosine 0.9999  1235 images/s  1:02 left")
  }

  func testDurations() {
    let cases: [(Double?, String)] = [
      (0, "0:00"), (9.4, "0:09"), (59.6, "1:00"), (725, "12:05"), (3723, "1:02:03"), (273_900, "3d 04:05"),
      (nil, "-:--"), (.infinity, "-:--"), (.nan, "-:--"), (-1, "-:--"), (1e300, "-:--"),
    ]
    for (seconds, text) in cases { XCTAssertEqual(ProgressText.duration(seconds), text) }
  }

  /// A display on which a step takes `seconds`.
  private func shown(_ screen: Screen, steps: Int, seconds: Double, every: Int? = nil) -> String {
    var now = 100.0
    var output = ""
    let display = ProgressDisplay(screen: screen, every: every, clock: { now }, write: { output += $0 })
    for step in 1...steps {
      now += seconds
      display.update(reading(step, of: steps))
    }
    display.finish()
    return output
  }

  func testLinesAtIntervals() {
    func steps(_ output: String) -> [Int] {
      XCTAssertFalse(output.contains("\r") || output.contains("\u{1B}"))
      return output.split(separator: "\n").map { Int($0.dropFirst(5).prefix { $0 != "/" })! }
    }
    XCTAssertEqual(steps(shown(.plain, steps: 100, seconds: 1)), [1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100])
    XCTAssertEqual(steps(shown(.plain, steps: 50, seconds: 0.01, every: 20)), [1, 20, 40, 50])
    XCTAssertEqual(steps(shown(.plain, steps: 3, seconds: 30)), [1, 2, 3])
    let day = steps(shown(.plain, steps: 86400, seconds: 1))
    XCTAssertEqual(day.last, 86400)
    XCTAssertLessThan(day.count, 400)
    XCTAssertLessThanOrEqual(zip(day, day.dropFirst()).map { $1 - $0 }.max()!, 300)
  }

  func testTimeLeftComesFromTheClock() {
    let lines = shown(.plain, steps: 100, seconds: 2).split(separator: "\n")
    let sixth = lines.first { $0.hasPrefix("step 6/100 ") } ?? ""
    XCTAssertTrue(sixth.hasSuffix("3:08 left"), String(sixth))
    XCTAssertEqual(lines.last?.hasSuffix("0:00 left"), true)
  }

  func testAPauseCountsAndIsForgotten() {
    var now = 0.0
    var output = ""
    let display = ProgressDisplay(screen: .plain, every: 1, clock: { now }, write: { output = $0 })
    func left(after seconds: Double, _ step: Int) -> String {
      now += seconds
      display.update(reading(step, of: 1000))
      return String(output.split(separator: " ").dropLast().last ?? "")
    }
    for step in 1...399 { _ = left(after: 1, step) }
    XCTAssertEqual(left(after: 1, 400), "10:00")
    let paused = left(after: 60, 401).split(separator: ":").compactMap { Int($0) }
    XCTAssertTrue((15...45).contains(paused.first ?? 0), "\(paused)")
    for step in 402...699 { _ = left(after: 1, step) }
    XCTAssertTrue(left(after: 1, 700).hasPrefix("5:0"), output)
  }

  func testTheTerminalLineIsRedrawnTenTimesASecondAtMost() {
    let output = shown(.fixed(columns: 80), steps: 1000, seconds: 0.01)
    let draws = output.components(separatedBy: "\r").dropFirst()
    XCTAssertTrue((80...110).contains(draws.count), "\(draws.count) draws in 10 seconds")
    for draw in draws { XCTAssertTrue(draw.hasSuffix("\u{1B}[K") || draw.hasSuffix("\u{1B}[K\n")) }
    XCTAssertTrue(output.hasSuffix("\u{1B}[K\n"), "the cursor ends below the bar")
    XCTAssertEqual(draws.last?.contains("1000/1000"), true, "the last step is always shown")
  }

  func testOtherLinesClearTheBarAndItComesBack() {
    var output = ""
    let display = ProgressDisplay(screen: .fixed(columns: 60), clock: { 5 }, write: { output += $0 })
    display.print("before")
    XCTAssertEqual(output, "before\n")
    display.update(reading(1))
    output = ""
    display.print("checkpoint at step 1")
    XCTAssertEqual(output, "\r\u{1B}[Kcheckpoint at step 1\n")
    output = ""
    display.update(reading(2))
    XCTAssertTrue(output.contains("2/800"), "drawn at once though no time has gone")
    display.finish()
    output = ""
    display.finish()
    display.print("after")
    XCTAssertEqual(output, "after\n")
  }

  func testTheParentOfAProcessWithAnyName() {
    XCTAssertEqual(Screen.parent(inStat: "77 (a) b (c)) S 4242 77 77 0 -1"), 4242)
    XCTAssertNil(Screen.parent(inStat: "77"))
  }
}
