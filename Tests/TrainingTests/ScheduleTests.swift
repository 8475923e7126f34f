import Training
import XCTest

/// A rise that is longer than the run is refused where it was asked for, and follows the run's length where it was not.
final class ScheduleTests: XCTestCase {
  private func settings(_ steps: Int, warmup: Int? = nil, renorm: Int = 0) -> Configuration {
    var settings = Recipe.quick.configuration
    (settings.steps, settings.warmupSteps, settings.brnWarmupSteps) = (steps, warmup, renorm)
    return settings
  }

  func testTheRecipesRiseFollowsTheLength() {
    for (steps, rise) in [(2000, 50), (500, 50), (499, 49), (20, 2), (9, 0), (1, 0)] {
      let resolved = settings(steps).resolved(samples: 1000, side: 32, threads: 1)
      XCTAssertEqual(resolved.warmupSteps, rise, "\(steps) steps")
      let highest = (0..<steps).map {
        Schedules.learningRate(step: $0, peak: 1, warmup: resolved.warmup(total: steps), total: steps)
      }.max()
      XCTAssertEqual(try XCTUnwrap(highest), 1, accuracy: 1e-12, "the peak is reached in \(steps) steps")
    }
    var epochs = Recipe.study.configuration
    epochs.warmupSteps = nil
    XCTAssertEqual(epochs.resolved(samples: 2560, side: 96, threads: 1).warmupSteps, 10, "of 10 epochs of 10 steps")
    XCTAssertEqual(Recipe.study.configuration.resolved(samples: 2560, side: 96, threads: 1).warmupSteps, 0)
  }

  func testARiseBeyondTheRunIsRefused() throws {
    for settings in [settings(20, warmup: 20), settings(20, warmup: 0), settings(20, renorm: 20)] {
      XCTAssertNoThrow(try settings.validate(ranks: 1))
    }
    for (settings, flag) in [
      (settings(20, warmup: 50), "--warmup-steps 50"), (settings(20, warmup: 21), "--warmup-steps 21"),
      (settings(20, renorm: 50), "--brn-warmup-steps 50"), (settings(1, warmup: 1_000_000_000), "--warmup-steps"),
    ] {
      XCTAssertThrowsError(try settings.validate(ranks: 1)) {
        XCTAssertTrue("\($0)".hasPrefix(flag), "\($0)")
        XCTAssertTrue("\($0)".contains("should be at most"), "\($0)")
      }
    }
    // Where epochs say the length, the data tells it.
    var epochs = Recipe.study.configuration
    epochs.warmupSteps = 101
    XCTAssertNoThrow(try epochs.validate(ranks: 1))
    XCTAssertThrowsError(try epochs.validate(ranks: 1, samples: 2560)) {
      XCTAssertTrue("\($0)".contains("should be at most 100"), "\($0)")
    }
  }

  /// 2 - 2 cos a direction has twice the gradient of the paper's 1 - cos: half the rate and twice the decay.
  func testTheStudyRecipeTakesThePapersSteps() {
    let study = Recipe.study.configuration
    let (paperRate, paperDecay) = (0.8, 1e-4)
    for (gradient, weight) in [(0.3, -2.0), (-0.01, 0.5)] {
      XCTAssertEqual(
        study.lr * (2 * gradient + study.weightDecay * weight), paperRate * (gradient + paperDecay * weight),
        accuracy: 1e-15)
    }
  }
}
