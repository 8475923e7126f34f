import Images
import Training
import XCTest
import byol_dist

final class PreviewTests: XCTestCase {
  func testASheetThatCannotBeHadIsRefusedBeforeItIsDrawn() throws {
    let dataset = Shapes(seed: 1, split: .train, count: 1000)
    // Images, pixels of a view, bytes of memory, and what the line says; nil where the sheet is drawn.
    let table: [(Int, Int, MemoryAvailable, String?)] = [
      (64, 4096, MemoryAvailable(host: 1e15), "a PNG file has at most 4.3 GB"),
      (1000, 2048, MemoryAvailable(host: 1e15), "a PNG file has at most 4.3 GB"),
      (16, 1024, MemoryAvailable(host: 1e8), "100 MB are available; should be a smaller --count or --image-size"),
      (16, 1024, MemoryAvailable(host: 1e12, process: 1e7), "10 MB are available"),
      (16, 1024, MemoryAvailable(host: 1e9), nil), (1, 8, MemoryAvailable(host: .infinity), nil),
      (1000, 96, MemoryAvailable(host: .infinity), nil),
    ]
    for (count, size, available, wanted) in table {
      var request = PreviewRequest()
      request.count = count
      let layout = ContactSheetLayout(dataset: dataset, imageSize: size, count: count)
      do {
        try request.check(layout, size: size, available)
        XCTAssertNil(wanted)
      } catch {
        XCTAssertTrue("\(error)".hasPrefix("--count \(count) with views of \(size) pixels: "), "\(error)")
        XCTAssertTrue("\(error)".contains(wanted ?? "no error"), "\(error)")
      }
    }
  }

  func testTheLayoutIsTheSheets() throws {
    let dataset = Shapes(seed: 1, split: .train, count: 13)
    let sheet = try contactSheet(
      dataset: dataset, recipe: ViewRecipe(policy: .none, imageSize: 40, seed: 1), count: 13)
    let layout = ContactSheetLayout(dataset: dataset, imageSize: 40, count: 13)
    XCTAssertEqual([layout.width, layout.height], [sheet.width, sheet.height])
    XCTAssertEqual(layout.bytes, Double(sheet.rgb.count))
  }
}
