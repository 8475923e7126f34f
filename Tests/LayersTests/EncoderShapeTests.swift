import Layers
import XCTest

final class EncoderShapeTests: XCTestCase {
  /// The sizes that memory is estimated from are those that the layers are made with.
  func testSizesWithoutLayersAreThoseOfTheLayers() {
    for kind in EncoderKind.allCases {
      for stem in Stem.allCases {
        for (size, width) in [(8, 1), (33, 4), (64, 8)] {
          let shape = EncoderShape(kind: kind, width: width, stem: stem, imageSize: size, norm: .bn)
          XCTAssertEqual(
            [shape.stemShape] + shape.blockShapes.flatMap(\.convolutions), shape.convolutions(images: 1),
            "\(kind) \(stem) \(size)")
          XCTAssertEqual(shape.blockShapes.count, shape.blocks.reduce(0, +))
          XCTAssertEqual(shape.blockShapes.last?.units.last?.outputChannels, shape.features)
        }
      }
    }
  }
}
