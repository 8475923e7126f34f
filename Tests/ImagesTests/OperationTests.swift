import Foundation
import Images
import XCTest

/// Every operation of a view against torchvision's and PIL's results for the same parameters.
final class OperationTests: XCTestCase {
  private static let fixture = OperationsFixture.load()

  private func check(
    _ operation: String, levels: Int = 0, line: UInt = #line, _ body: (Image, [Double]) -> Image
  ) {
    let cases = Self.fixture.cases.filter { $0.operation == operation }
    XCTAssertGreaterThanOrEqual(cases.count, 1, "no fixture of \(operation)", line: line)
    for expected in cases {
      let made = body(Image(Self.fixture.sources[expected.source]!), expected.parameters)
      let wanted = Image(expected.image)
      XCTAssertEqual(made.height, wanted.height, line: line)
      XCTAssertEqual(made.width, wanted.width, line: line)
      let difference = zip(made.rgb, wanted.rgb).map { abs(Int($0) - Int($1)) }.max() ?? 0
      XCTAssertLessThanOrEqual(
        difference, levels, "\(operation) \(expected.parameters) of \(expected.source)", line: line)
    }
  }

  func testResizedCropsAreExact() {
    check("crop") { image, p in
      let size = Int(p[4])
      return image.cropped(top: Int(p[0]), left: Int(p[1]), height: Int(p[2]), width: Int(p[3]), size: size)
    }
  }

  func testColorOperationsAreExact() {
    check("brightness") { image, p in image.with { $0.adjustBrightness(Float(p[0])) } }
    check("contrast") { image, p in image.with { $0.adjustContrast(Float(p[0])) } }
    check("saturation") { image, p in image.with { $0.adjustSaturation(Float(p[0])) } }
    check("grey") { image, _ in image.with { $0.makeGrey() } }
  }

  func testHueIsExact() { check("hue") { image, p in image.with { $0.adjustHue(p[0]) } } }

  func testFlipIsExact() { check("flip") { image, _ in image.with { $0.flip() } } }

  func testBlurIsExact() {
    check("blur") { image, p in
      image.with { pixels in withSpare(pixels) { pixels.blur(sigma: Float(p[0]), spare: $0) } }
    }
  }

  func testAWholeViewIsExactAndNormalisedAsTorchvisionDoes() {
    check("view") { image, p in
      var parameters = ViewParameters(height: image.height, width: image.width)
      parameters.crop = .init(top: Int(p[0]), left: Int(p[1]), height: Int(p[2]), width: Int(p[3]))
      parameters.jitter = .init(
        brightness: Float(p[7]), contrast: Float(p[5]), saturation: Float(p[8]), hue: p[6], order: SIMD4(1, 3, 0, 2))
      parameters.flip = true
      parameters.sigma = Float(p[9])
      let recipe = ViewRecipe(policy: .moco, imageSize: Int(p[4]), seed: 0)
      var floats = [Float](repeating: .nan, count: recipe.viewCount)
      recipe.makeView(
        parameters, source: image.rgb, height: image.height, width: image.width, into: &floats,
        scratch: ViewScratch(height: image.height, width: image.width, imageSize: recipe.imageSize))
      for (made, wanted) in zip(floats, Self.fixture.normalised) { XCTAssertEqual(made, wanted, accuracy: 1e-6) }
      return Image(height: recipe.imageSize, width: recipe.imageSize, rgb: Normalisation.bytes(floats))
    }
  }

  /// PIL's own arithmetic, in its mix of single and double precision, over all channel differences and sextants.
  func testHueAndSaturationOfEveryKindOfColorAreExact() {
    var wrong = 0
    var pixels = [UInt32]()
    for top in [255, 254, 128, 77, 3] {
      for least in 0...top {
        for middle in least...top {
          for (r, g, b) in [
            (top, middle, least), (top, least, middle), (middle, top, least), (least, top, middle),
            (middle, least, top), (least, middle, top),
          ] { pixels.append(UInt32(r | g << 8 | b << 16)) }
        }
      }
    }
    while pixels.count % 8 != 0 { pixels.append(0) }
    for first in stride(from: 0, to: pixels.count, by: 8) {
      let eight = SIMD8<UInt32>(pixels[first..<first + 8])
      let made = hsvOfPixels(eight)
      for lane in 0..<8 {
        let wanted = pilHSV(eight[lane])
        if made.hue[lane] != wanted.0 || made.saturation[lane] != wanted.1 || made.value[lane] != wanted.2 {
          wrong += 1
        }
      }
    }
    XCTAssertEqual(wrong, 0, "of \(pixels.count) colours")
  }

  func testColorsFromHSVAreOneLevelOffAtMostAndHardlyEver() {
    var wrong = 0
    var count = 0
    for value in stride(from: 0, through: 255, by: 5) {
      for saturation in 0...255 {
        for first in stride(from: 0, to: 256, by: 8) {
          let hue = SIMD8<UInt32>((0..<8).map { UInt32(first + $0) })
          let made = pixelsOfHSV(
            hue: hue, saturation: SIMD8(repeating: UInt32(saturation)), value: SIMD8(repeating: UInt32(value)))
          for lane in 0..<8 {
            let wanted = pilRGB(Int(hue[lane]), saturation, value)
            let (r, g, b) = (Int(made[lane] & 255), Int(made[lane] >> 8 & 255), Int(made[lane] >> 16))
            let difference = max(abs(r - wanted.0), abs(g - wanted.1), abs(b - wanted.2))
            XCTAssertLessThanOrEqual(difference, 1, "\(hue[lane]) \(saturation) \(value)")
            wrong += difference
            count += 1
          }
        }
      }
    }
    XCTAssertLessThan(wrong, count / 20_000)
  }

  func testAJitterOfFactorOneChangesNothingButHue() {
    let image = Image(Self.fixture.sources["noise"]!)
    let same = image.with {
      $0.adjustBrightness(1)
      $0.adjustContrast(1)
      $0.adjustSaturation(1)
      $0.flip()
      $0.flip()
    }
    XCTAssertEqual(same.rgb, image.rgb)
  }

  private func withSpare(_ pixels: Pixels, _ body: (UnsafeMutablePointer<UInt32>) -> Void) {
    let spare = UnsafeMutablePointer<UInt32>.allocate(capacity: Pixels.padded(pixels.count))
    defer { spare.deallocate() }
    body(spare)
  }

  private func pilHSV(_ pixel: UInt32) -> (UInt32, UInt32, UInt32) {
    let (r, g, b) = (pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255)
    let (most, least) = (max(r, g, b), min(r, g, b))
    if most == least { return (0, 0, most) }
    let range = Float(most - least)
    let (rc, gc, bc) = (Float(most - r) / range, Float(most - g) / range, Float(most - b) / range)
    var h: Float
    if r == most {
      h = bc - gc
    } else if g == most {
      h = Float(2.0 + Double(rc) - Double(bc))
    } else {
      h = Float(4.0 + Double(gc) - Double(rc))
    }
    h = Float((Double(h) / 6 + 1).truncatingRemainder(dividingBy: 1))
    let s = range / Float(most)
    return (UInt32(Double(h) * 255), UInt32(Double(s) * 255), most)
  }

  private func pilRGB(_ h: Int, _ s: Int, _ v: Int) -> (Int, Int, Int) {
    if s == 0 { return (v, v, v) }
    let sector = Int((Double(Float(h)) * 6 / 255).rounded(.down))
    let f = Float(Double(Float(h)) * 6 / 255 - Double(Float(sector)))
    let fs = Float(Double(Float(s)) / 255)
    let p = Int((Double(v) * (1 - Double(fs))).rounded())
    let q = Int((Double(v) * (1 - Double(fs * f))).rounded())
    let t = Int((Double(v) * (1 - Double(fs) * (1 - Double(f)))).rounded())
    return [(v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q)][sector % 6]
  }
}

/// The committed results of make_operations.py.
struct OperationsFixture: Decodable {
  struct Picture: Decodable {
    var height: Int
    var width: Int
    var pixels: Data
  }
  struct Case: Decodable {
    var operation: String
    var source: String
    var parameters: [Double]
    var height: Int
    var width: Int
    var pixels: Data
    var image: Picture { Picture(height: height, width: width, pixels: pixels) }
  }
  var sources: [String: Picture]
  var cases: [Case]
  var central: [[Int]]
  var normalised: [Float]

  static func load() -> OperationsFixture {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Fixtures/operations.json")
    do { return try JSONDecoder().decode(OperationsFixture.self, from: Data(contentsOf: url)) } catch {
      fatalError("\(url.path): \(error)")
    }
  }
}

/// An image as bytes, with the operations applied to a copy.
struct Image {
  var height: Int
  var width: Int
  var rgb: [UInt8]

  init(height: Int, width: Int, rgb: [UInt8]) {
    self.height = height
    self.width = width
    self.rgb = rgb
  }

  init(_ picture: OperationsFixture.Picture) {
    self.init(height: picture.height, width: picture.width, rgb: [UInt8](picture.pixels))
  }

  func with(_ body: (Pixels) -> Void) -> Image {
    var out = self
    let start = UnsafeMutablePointer<UInt32>.allocate(capacity: Pixels.padded(height * width))
    defer { start.deallocate() }
    // The padding is not part of the image, so whatever it holds must not matter.
    start.initialize(repeating: 0x00A1_B2C3, count: Pixels.padded(height * width))
    let pixels = Pixels(start: start, height: height, width: width)
    pixels.load(rgb: rgb, rowBytes: 3 * width)
    body(pixels)
    pixels.store(rgb: &out.rgb)
    return out
  }

  func cropped(top: Int, left: Int, height: Int, width: Int, size: Int) -> Image {
    var parameters = ViewParameters(height: self.height, width: self.width)
    parameters.crop = .init(top: top, left: left, height: height, width: width)
    let recipe = ViewRecipe(policy: .none, imageSize: size, seed: 0)
    var floats = [Float](repeating: .nan, count: recipe.viewCount)
    let scratch = ViewScratch(height: self.height, width: self.width, imageSize: size)
    recipe.makeView(
      parameters, source: rgb, height: self.height, width: self.width, into: &floats, scratch: scratch)
    return Image(height: size, width: size, rgb: Normalisation.bytes(floats))
  }
}
