/// A picture of what a network will see: originals above their two views.
public struct ContactSheet: Sendable {
  public let width: Int
  public let height: Int
  /// height x width x 3 bytes, red first.
  public fileprivate(set) var rgb: [UInt8]

  public func write(path: String) throws { try writePNG(path: path, width: width, height: height, rgb: rgb) }
}

/// Draws the first `count` images of a data set, each above its two views of an epoch, in several rows.
///
/// - Parameters:
///   - columns: images in a row.
///   - cell: pixels that each picture is enlarged to, at least; small images are enlarged by a whole factor.
/// - Throws: `FileError` for an image that cannot be read.
public func contactSheet(
  dataset: any ImageDataset, recipe: ViewRecipe, count: Int, columns: Int = 10, cell: Int = 96, epoch: Int = 0
) throws -> ContactSheet {
  let shown = min(count, dataset.count)
  precondition(shown >= 1 && columns >= 1, "a sheet of \(count) images in \(columns) columns")
  let originalScale = scale(max(dataset.height, dataset.width), toAtLeast: cell)
  let viewScale = scale(recipe.imageSize, toAtLeast: cell)
  let side = max(originalScale * max(dataset.height, dataset.width), viewScale * recipe.imageSize)
  let gap = max(2, side / 24)
  let across = min(columns, shown)
  let groups = (shown + across - 1) / across
  let groupHeight = 3 * (side + gap) + 2 * gap
  let width = across * (side + gap) + gap
  let height = groups * groupHeight + gap
  var sheet = ContactSheet(width: width, height: height, rgb: [UInt8](repeating: 255, count: width * height * 3))

  let scratch = ViewScratch(height: dataset.height, width: dataset.width, imageSize: recipe.imageSize)
  var view = [Float](repeating: 0, count: recipe.viewCount)
  for index in 0..<shown {
    let left = gap + index % across * (side + gap)
    let top = gap + index / across * groupHeight
    try dataset.copyImage(index, into: scratch.source)
    sheet.draw(
      scratch.source, height: dataset.height, width: dataset.width, scale: originalScale, top: top, left: left)
    for number in 0..<2 {
      recipe.makeView(
        source: scratch.source, height: dataset.height, width: dataset.width, epoch: epoch, sample: index, view: number,
        into: &view, scratch: scratch)
      let bytes = Normalisation.bytes(view)
      bytes.withUnsafeBufferPointer {
        sheet.draw(
          $0.baseAddress!, height: recipe.imageSize, width: recipe.imageSize, scale: viewScale,
          top: top + (number + 1) * (side + gap), left: left)
      }
    }
  }
  return sheet
}

/// The smallest whole factor that brings `size` to `least`.
private func scale(_ size: Int, toAtLeast least: Int) -> Int { max(1, (least + size - 1) / size) }

extension ContactSheet {
  fileprivate mutating func draw(
    _ source: UnsafePointer<UInt8>, height: Int, width: Int, scale: Int, top: Int, left: Int
  ) {
    for y in 0..<height * scale {
      for x in 0..<width * scale {
        let from = 3 * (y / scale * width + x / scale)
        let to = 3 * ((top + y) * self.width + left + x)
        for channel in 0..<3 { rgb[to + channel] = source[from + channel] }
      }
    }
  }
}

extension Normalisation {
  /// The bytes that normalised floats, height x width x 3, came from.
  public static func bytes(_ floats: [Float]) -> [UInt8] {
    floats.enumerated().map { index, value in
      let unit = value * deviation[index % 3] + mean[index % 3]
      return UInt8(max(0, min(255, (unit * 255).rounded())))
    }
  }
}
