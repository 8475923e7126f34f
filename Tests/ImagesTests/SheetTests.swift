import Foundation
import Images
import XCTest

final class SheetTests: XCTestCase {
  func testOriginalsStandAboveTheirTwoViews() throws {
    let dataset = Shapes(seed: 1, split: .train, count: 5)
    let recipe = ViewRecipe(policy: .none, imageSize: 32, seed: 1)
    let sheet = try contactSheet(dataset: dataset, recipe: recipe, count: 5, columns: 3, cell: 64)
    XCTAssertEqual(sheet.rgb.count, sheet.width * sheet.height * 3)
    XCTAssertEqual(sheet.width, 3 * 66 + 2)
    XCTAssertEqual(sheet.height, 2 * (3 * 66 + 4) + 2)
    var rgb = [UInt8](repeating: 0, count: 3072)
    for index in 0..<5 {
      dataset.copyImage(index, into: &rgb)
      let (left, top) = (2 + index % 3 * 66, 2 + index / 3 * 202)
      for row in 0..<3 {
        for (x, y) in [(0, 0), (63, 0), (20, 41), (63, 63)] {
          let at = 3 * ((top + row * 66 + y) * sheet.width + left + x)
          let from = 3 * (y / 2 * 32 + x / 2)
          XCTAssertEqual(Array(sheet.rgb[at..<at + 3]), Array(rgb[from..<from + 3]), "image \(index), row \(row)")
        }
      }
    }
    let moco = try contactSheet(
      dataset: dataset, recipe: ViewRecipe(policy: .moco, imageSize: 32, seed: 1), count: 5, columns: 3, cell: 64)
    XCTAssertNotEqual(moco.rgb, sheet.rgb)
  }

  func testAWrittenFileIsAPNGOfTheSizeAndABadPathIsNamed() throws {
    let path = NSTemporaryDirectory() + "byol-sheet-" + UUID().uuidString + ".png"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try writePNG(path: path, width: 3, height: 2, rgb: [UInt8](0..<18))
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    XCTAssertEqual(Array(data.prefix(8)), [137, 80, 78, 71, 13, 10, 26, 10])
    XCTAssertEqual(Array(data[16..<29]), [0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0], "3 x 2, 8 bits, RGB")
    XCTAssertThrowsError(try writePNG(path: "/nowhere/sheet.png", width: 1, height: 1, rgb: [1, 2, 3])) {
      XCTAssertEqual("\($0)", "/nowhere/sheet.png: cannot be written: No such file or directory")
    }
  }

  func testEvaluationImagesAreResizedAndCutFromTheCentre() throws {
    let dataset = Shapes(seed: 1, split: .test, count: 3)
    let scratch = evaluationScratch(dataset, imageSize: 24, resize: 32)
    var cut = [Float](repeating: .nan, count: 2 * 24 * 24 * 3)
    try evaluationImages(dataset, samples: 1..<3, imageSize: 24, resize: 32, into: &cut, scratch: scratch)
    var whole = [Float](repeating: .nan, count: 2 * 3072)
    try evaluationImages(
      dataset, samples: 1..<3, imageSize: 32, into: &whole, scratch: evaluationScratch(dataset, imageSize: 32))
    var rgb = [UInt8](repeating: 0, count: 3072)
    dataset.copyImage(2, into: &rgb)
    XCTAssertEqual(Normalisation.bytes(Array(whole[3072...])), rgb)
    for image in 0..<2 {
      for (y, x) in [(0, 0), (23, 23), (5, 17)] {
        for channel in 0..<3 {
          XCTAssertEqual(
            cut[((image * 24 + y) * 24 + x) * 3 + channel],
            whole[((image * 32 + y + 4) * 32 + x + 4) * 3 + channel])
        }
      }
    }
  }
}
