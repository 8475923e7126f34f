import Files
import Methods
import Training
import XCTest

/// What each method means where nothing else is said, and what does not go together.
final class ConfigurationMethodTests: XCTestCase {
  private func settings(_ method: MethodKind, _ change: (inout Configuration) -> Void = { _ in }) -> Configuration {
    var settings = Recipe.study.configuration
    settings.method = method
    change(&settings)
    return settings
  }

  func testEveryMethodsDefaults() {
    func resolved(_ method: MethodKind) -> [String: JSON] {
      let json = settings(method).withMethodResolved(samples: 105_000).json
      let keys = [
        "loss", "predictor_depth", "stop_gradient", "temperature", "queue", "ema_schedule", "lambda",
        "vicreg_invariance", "vicreg_variance", "vicreg_covariance", "eqco_alpha",
      ]
      return Dictionary(uniqueKeysWithValues: keys.compactMap { key in json[key].map { (key, $0) } }).filter {
        $0.value != .null
      }
    }
    XCTAssertEqual(
      resolved(.byol), ["loss": "l2", "predictor_depth": 2, "stop_gradient": "on", "ema_schedule": "cosine"])
    XCTAssertEqual(
      resolved(.contrastive),
      [
        "loss": "cross-entropy", "predictor_depth": 2, "stop_gradient": "on", "ema_schedule": "cosine",
        "temperature": 0.2, "queue": 0,
      ])
    XCTAssertEqual(
      resolved(.simclr),
      ["loss": "cross-entropy", "predictor_depth": 0, "stop_gradient": "off", "temperature": 0.5, "queue": 0])
    XCTAssertEqual(
      resolved(.moco),
      [
        "loss": "cross-entropy", "predictor_depth": 0, "stop_gradient": "on", "ema_schedule": "constant",
        "temperature": 0.2, "queue": 65_536,
      ])
    XCTAssertEqual(resolved(.simsiam), ["loss": "l2", "predictor_depth": 2, "stop_gradient": "on"])
    XCTAssertEqual(resolved(.barlowTwins), ["predictor_depth": 0, "stop_gradient": "off", "lambda": 0.005])
    XCTAssertEqual(
      resolved(.vicreg),
      [
        "predictor_depth": 0, "stop_gradient": "off", "vicreg_invariance": 25.0, "vicreg_variance": 25.0,
        "vicreg_covariance": 1.0,
      ])
    for method in MethodKind.allCases { XCTAssertNoThrow(try settings(method).validate(ranks: 8), method.rawValue) }
  }

  /// Resolved once or twice, with or without the data: what is there stays, so that a run's own file repeats it.
  func testResolvedSettingsStay() throws {
    for method in MethodKind.allCases {
      let once = settings(method).withMethodResolved(samples: 1000)
      XCTAssertEqual(once.withMethodResolved(samples: nil), once)
      XCTAssertEqual(try Configuration(json: once.json, from: "test"), once)
      XCTAssertNoThrow(try once.validate(ranks: 2, samples: 1000), method.rawValue)
      XCTAssertEqual(settings(method).methodPlan.hasTarget, method.hasTarget)
    }
    XCTAssertEqual(settings(.moco).withMethodResolved(samples: 1000).queue, 768, "whole batches of 256")
    XCTAssertEqual(settings(.moco) { $0.batch = 96 }.withMethodResolved(samples: nil).queue, 65_472)
    XCTAssertEqual(settings(.moco) { $0.queue = 512 }.withMethodResolved(samples: nil).queue, 512)
    XCTAssertEqual(settings(.moco) { $0.loss = .l2 }.withMethodResolved(samples: nil).queue, nil)
  }

  func testPlans() {
    func comparison(_ settings: Configuration) -> ComparisonPlan? {
      if case .comparison(let plan) = settings.methodPlan.loss { return plan }
      return nil
    }
    XCTAssertEqual(settings(.byol).methodPlan, .byol)
    XCTAssertEqual(comparison(settings(.contrastive)), ComparisonPlan(negatives: .batch, temperature: 0.2))
    XCTAssertEqual(
      comparison(settings(.contrastive) { ($0.queue, $0.eqcoAlpha) = (512, 7) }),
      ComparisonPlan(negatives: .queue(512), loss: .crossEntropy(alpha: 7), temperature: 0.2))
    XCTAssertEqual(comparison(settings(.simclr)), ComparisonPlan(negatives: .bothViews, temperature: 0.5))
    XCTAssertEqual(
      comparison(settings(.byol) { ($0.loss, $0.temperature) = (.bce, 0.1) }),
      ComparisonPlan(negatives: .batch, loss: .binaryCrossEntropy, temperature: 0.1))
    XCTAssertEqual(settings(.simsiam).methodPlan, MethodPlan(keys: .online(stopsGradient: true), loss: .l2))
    XCTAssertEqual(
      settings(.simsiam) { $0.stopGradient = .off }.methodPlan,
      MethodPlan(keys: .online(stopsGradient: false), loss: .l2))
    XCTAssertEqual(settings(.barlowTwins) { $0.lambda = 0.25 }.methodPlan.loss, .barlowTwins(lambda: 0.25))
    XCTAssertEqual(
      settings(.vicreg) { ($0.vicregInvariance, $0.vicregVariance, $0.vicregCovariance) = (1, 2, 3) }.methodPlan.loss,
      .vicreg(VICRegCoefficients(invariance: 1, variance: 2, covariance: 3)))
    XCTAssertTrue(settings(.moco) { $0.shuffleBn = .on }.methodPlan.shufflesKeys)
    XCTAssertEqual(settings(.moco).modelShape.predictor, .none)
    XCTAssertEqual(settings(.moco) { $0.predictorDepth = 1 }.modelShape.predictor, .linear)
  }

  func testWhatDoesNotGoTogether() {
    func fault(_ method: MethodKind, _ message: String, line: UInt = #line, _ change: (inout Configuration) -> Void) {
      XCTAssertThrowsError(try settings(method, change).validate(ranks: 1), line: line) {
        XCTAssertEqual("\($0)", message, line: line)
      }
    }
    fault(.moco, "--queue 1000: is not a multiple of the batch of 256; should be 768 or 1024") { $0.queue = 1000 }
    fault(.moco, "--queue 100: is not a multiple of the batch of 256; should be 256") { $0.queue = 100 }
    fault(.simclr, "--queue 512: simclr takes its negatives from the batch; should be 0, or --method moco") {
      $0.queue = 512
    }
    fault(.simclr, "--loss l2: simclr takes none of it; should be cross-entropy or bce") { $0.loss = .l2 }
    fault(.vicreg, "--loss l2: vicreg has a loss of its own; should be left out") { $0.loss = .l2 }
    fault(.vicreg, "--predictor-depth 2: vicreg compares projections with each other; should be 0") {
      $0.predictorDepth = 2
    }
    fault(
      .byol,
      "--stop-gradient off: byol's keys come from an EMA target, which has no gradient; should be on, or --method simsiam"
    ) { $0.stopGradient = .off }
    fault(
      .simsiam,
      "--shuffle-bn on: simsiam has no target network whose images could change places; should be off, or --method moco"
    ) { $0.shuffleBn = .on }
    fault(.byol, "--temperature 0.2: byol has no negatives; should be left out, or --loss cross-entropy") {
      $0.temperature = 0.2
    }
    fault(.barlowTwins, "--eqco-alpha 3.0: barlow-twins has no negatives; should be left out") { $0.eqcoAlpha = 3 }
    fault(.moco, "--eqco-alpha 3.0: changes a softmax; should be left out, or --loss cross-entropy") {
      ($0.eqcoAlpha, $0.loss) = (3, .bce)
    }
    fault(.byol, "--lambda 0.5: is barlow-twins's alone; should be left out of byol") { $0.lambda = 0.5 }
    fault(.barlowTwins, "--vicreg-variance 3.0: is vicreg's alone; should be left out of barlow-twins") {
      $0.vicregVariance = 3
    }
  }

  /// A run's first lines mark what the user chose, not what the method chose for him.
  func testTheMethodsOwnValuesAreNotMarked() {
    var request = RunRequest(configuration: Recipe.quick.configuration, recipe: .quick)
    request.configuration.method = .contrastive
    request.configuration = request.configuration.withMethodResolved(samples: nil)
    XCTAssertEqual(request.text(ranks: 1).filter { $0 == "*" }.count, 2, request.text(ranks: 1))
    XCTAssertTrue(request.text(ranks: 1).contains("*method contrastive"))
    XCTAssertTrue(request.text(ranks: 1).contains(" temperature 0.2"))
    request.configuration.temperature = 0.3
    XCTAssertTrue(request.text(ranks: 1).contains("*temperature 0.3"))
  }
}
