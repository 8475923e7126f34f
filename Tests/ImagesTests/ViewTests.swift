import Foundation
import Images
import Kernels
import XCTest

final class ViewTests: XCTestCase {
  private func draw(_ count: Int, height: Int = 96, width: Int = 96, blur: Bool = true) -> [ViewParameters] {
    let recipe = ViewRecipe(policy: .moco, imageSize: blur ? 96 : 32, seed: 11)
    return (0..<count).map { recipe.parameters(height: height, width: width, epoch: 2, sample: $0, view: 1) }
  }

  private func share(_ views: [ViewParameters], _ matches: (ViewParameters) -> Bool) -> Double {
    Double(views.filter(matches).count) / Double(views.count)
  }

  func testOperationsHaveTheirProbabilities() {
    let views = draw(20_000)
    XCTAssertEqual(share(views) { $0.jitter != nil }, 0.8, accuracy: 0.015)
    XCTAssertEqual(share(views) { $0.grey }, 0.2, accuracy: 0.015)
    XCTAssertEqual(share(views) { $0.flip }, 0.5, accuracy: 0.018)
    XCTAssertEqual(share(views) { $0.sigma != nil }, 0.5, accuracy: 0.018)
    XCTAssertEqual(share(views) { $0.grey && $0.flip && $0.sigma != nil && $0.jitter != nil }, 0.04, accuracy: 0.008)
    XCTAssertEqual(share(draw(500, blur: false)) { $0.sigma != nil }, 0, "no blur below 64 pixels")
  }

  func testJitterIsUniformInRangeAndOrder() {
    let jitters = draw(24_000).compactMap(\.jitter)
    for (name, low, high, values) in [
      ("brightness", 0.6, 1.4, jitters.map { Double($0.brightness) }),
      ("contrast", 0.6, 1.4, jitters.map { Double($0.contrast) }),
      ("saturation", 0.6, 1.4, jitters.map { Double($0.saturation) }), ("hue", -0.1, 0.1, jitters.map(\.hue)),
    ] {
      assertUniform(values, low, high, name)
    }
    var orders: [[UInt8]: Int] = [:]
    for jitter in jitters { orders[(0..<4).map { jitter.order[$0] }, default: 0] += 1 }
    XCTAssertEqual(orders.count, 24)
    let expected = Double(jitters.count) / 24
    for count in orders.values { XCTAssertEqual(Double(count), expected, accuracy: 6 * expected.squareRoot()) }
    assertUniform(draw(20_000).compactMap { $0.sigma.map(Double.init) }, 0.1, 2, "sigma")
  }

  func testCropsAreUniformInAreaLogRatioAndPlace() {
    // A large image, so that rounding to whole pixels does not show; at area 0.2 to 0.5 every try fits.
    var random = CounterRandom(3)
    let crops = (0..<20_000).map { _ in
      ViewParameters.Crop.random(
        height: 4000, width: 4000, scale: 0.2...0.5, ratio: 3.0 / 4...4.0 / 3, random: &random)
    }
    assertUniform(crops.map { Double($0.height * $0.width) / 16e6 }, 0.2, 0.5, "area")
    assertUniform(crops.map { log(Double($0.width) / Double($0.height)) }, log(0.75), log(4 / 3.0), "log ratio")
    assertUniform(crops.map { (Double($0.top) + 0.5) / Double(4001 - $0.height) }, 0, 1, "top")
    assertUniform(crops.map { (Double($0.left) + 0.5) / Double(4001 - $0.width) }, 0, 1, "left")
  }

  /// MoCo v2's own numbers: an area of 0.2 to 1 and a ratio of 3/4 to 4/3, of which all is drawn and nothing beyond.
  func testMoCosCropsReachTheirBoundsAndNoFarther() {
    let crops = draw(20_000, height: 4000, width: 4000).map(\.crop)
    let areas = crops.map { Double($0.height * $0.width) / 16e6 }.sorted()
    let ratios = crops.map { Double($0.width) / Double($0.height) }.sorted()
    XCTAssertEqual(areas[0], 0.2, accuracy: 0.002)
    XCTAssertEqual(areas[areas.count - 1], 1, accuracy: 0.02)
    XCTAssertEqual(ratios[0], 0.75, accuracy: 0.002)
    XCTAssertEqual(ratios[ratios.count - 1], 4 / 3.0, accuracy: 0.002)
  }

  func testBlurBeginsAt64Pixels() {
    for (size, blurs) in [(32, false), (33, false), (48, false), (63, false), (64, true), (96, true)] {
      let recipe = ViewRecipe(policy: .moco, imageSize: size, seed: 4)
      let views = (0..<400).map { recipe.parameters(height: 96, width: 96, epoch: 0, sample: $0, view: 0) }
      XCTAssertEqual(share(views) { $0.sigma != nil }, blurs ? 0.5 : 0, accuracy: blurs ? 0.1 : 0, "\(size) pixels")
    }
  }

  func testCropsOfSmallImagesStayInsideAndReachTheEdges() {
    let crops = draw(20_000, height: 32, width: 24).map(\.crop)
    for crop in crops {
      XCTAssert(crop.top >= 0 && crop.left >= 0 && crop.height > 0 && crop.width > 0)
      XCTAssert(crop.top + crop.height <= 32 && crop.left + crop.width <= 24)
    }
    XCTAssert(crops.contains { $0.top + $0.height == 32 && $0.top > 0 })
    XCTAssert(crops.contains { $0.left + $0.width == 24 && $0.left > 0 })
  }

  func testCentralCropsAreTorchvisions() {
    for expected in OperationsFixture.load().central {
      let crop = ViewParameters.Crop.central(height: expected[0], width: expected[1], ratio: 3.0 / 4...4.0 / 3)
      XCTAssertEqual([crop.top, crop.left, crop.height, crop.width], Array(expected[2...]))
      // No crop of fifty times the area fits, so ten tries fail.
      var random = CounterRandom(1)
      XCTAssertEqual(
        crop,
        .random(
          height: expected[0], width: expected[1], scale: 50...60, ratio: 3.0 / 4...4.0 / 3, random: &random))
    }
  }

  func testParametersDependOnSeedEpochSampleAndView() {
    func parameters(_ seed: UInt64, _ epoch: Int, _ sample: Int, _ view: Int) -> ViewParameters {
      ViewRecipe(policy: .moco, imageSize: 96, seed: seed).parameters(
        height: 96, width: 96, epoch: epoch, sample: sample, view: view)
    }
    let one = parameters(1, 2, 3, 0)
    XCTAssertEqual(one, parameters(1, 2, 3, 0))
    for other in [parameters(2, 2, 3, 0), parameters(1, 3, 3, 0), parameters(1, 2, 2, 0), parameters(1, 2, 3, 1)] {
      XCTAssertNotEqual(one, other)
    }
  }

  func testNoneIsTheImageResizedTwice() {
    let recipe = ViewRecipe(policy: .none, imageSize: 6, seed: 1)
    let scratch = ViewScratch(height: 6, width: 6, imageSize: 6)
    let source = (0..<108).map { UInt8($0 * 2) }
    for view in 0..<2 {
      var floats = [Float](repeating: .nan, count: 108)
      recipe.makeView(
        source: source, height: 6, width: 6, epoch: view, sample: 4, view: view, into: &floats, scratch: scratch)
      for index in 0..<108 {
        let channel = index % 3
        let expected =
          (Float(source[index]) / 255 - [0.485, 0.456, 0.406][channel]) / ([0.229, 0.224, 0.225] as [Float])[channel]
        XCTAssertEqual(floats[index], expected)
      }
    }
  }

  /// Mean, deviation and extremes of values that ought to be uniform.
  private func assertUniform(_ values: [Double], _ low: Double, _ high: Double, _ name: String) {
    let (count, width) = (Double(values.count), high - low)
    let mean = values.reduce(0, +) / count
    let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
    XCTAssertEqual(mean, (low + high) / 2, accuracy: 5 * width / (12 * count).squareRoot(), name)
    XCTAssertEqual(deviation, width / 12.squareRoot(), accuracy: 0.02 * width, name)
    XCTAssertGreaterThan(values.min()!, low - 0.002 * width, name)
    XCTAssertLessThan(values.max()!, high + 0.002 * width, name)
    XCTAssertLessThan(values.min()!, low + 0.01 * width, name)
    XCTAssertGreaterThan(values.max()!, high - 0.01 * width, name)
  }
}
