/// A picture of what a network will see: originals above their two views.
public struct ContactSheet: Sendable {
  public let width: Int
  public let height: Int
  /// height x width x 3 bytes, red first.
  public fileprivate(set) var rgb: [UInt8]

  public func write(path: String) throws { try writePNG(path: path, width: width, height: height, rgb: rgb) }
}

/// Where the pictures of a contact sheet are, in pixels.
public struct ContactSheetLayout: Equatable, Sendable {
  /// Images shown, and how many of them in a row.
  public let shown, across: Int
  public let width, height: Int
  /// The factor that each picture is enlarged by.
  let originalScale, viewScale: Int
  let side, gap, groupHeight: Int

  /// - Parameters:
  ///   - count: images asked for.
  ///   - columns: images in a row.
  ///   - cell: pixels that each picture is enlarged to, at least; small images are enlarged by a whole factor.
  public init(
    dataset: any ImageDataset, imageSize: Int, count: Int, columns: Int = 10, cell: Int = 96
  ) {
    shown = min(count, dataset.count)
    precondition(shown >= 1 && columns >= 1, "a sheet of \(count) images in \(columns) columns")
    let original = max(dataset.height, dataset.width)
    originalScale = scale(original, toAtLeast: cell)
    viewScale = scale(imageSize, toAtLeast: cell)
    side = max(originalScale * original, viewScale * imageSize)
    gap = max(2, side / 24)
    across = min(columns, shown)
    groupHeight = 3 * (side + gap) + 2 * gap
    width = across * (side + gap) + gap
    height = (shown + across - 1) / across * groupHeight + gap
  }

  /// Bytes of the sheet.
  public var bytes: Double { Double(width) * Double(height) * 3 }
  /// Limits of libpng for one image: bytes, and pixels of a side.
  public static let mostBytes = 4_294_967_295.0
  public static let mostPixels = 1_000_000
  /// Whether it can be written as one PNG file.
  public var isWritable: Bool { bytes <= Self.mostBytes && max(width, height) <= Self.mostPixels }
}

/// Draws the first `count` images of a data set, each above its two views of an epoch, in several rows.
///
/// - Parameters: see `ContactSheetLayout`.
/// - Throws: `FileError` for an image that cannot be read.
public func contactSheet(
  dataset: any ImageDataset, recipe: ViewRecipe, count: Int, columns: Int = 10, cell: Int = 96, epoch: Int = 0
) throws -> ContactSheet {
  let layout = ContactSheetLayout(
    dataset: dataset, imageSize: recipe.imageSize, count: count, columns: columns, cell: cell)
  let (across, side, gap) = (layout.across, layout.side, layout.gap)
  var sheet = ContactSheet(
    width: layout.width, height: layout.height,
    rgb: [UInt8](repeating: 255, count: layout.width * layout.height * 3))

  let scratch = ViewScratch(height: dataset.height, width: dataset.width, imageSize: recipe.imageSize)
  var view = [Float](repeating: 0, count: recipe.viewCount)
  for index in 0..<layout.shown {
    let left = gap + index % across * (side + gap)
    let top = gap + index / across * layout.groupHeight
    try dataset.copyImage(index, into: scratch.source)
    sheet.draw(
      scratch.source, height: dataset.height, width: dataset.width, scale: layout.originalScale, top: top, left: left)
    for number in 0..<2 {
      recipe.makeView(
        source: scratch.source, height: dataset.height, width: dataset.width, epoch: epoch, sample: index, view: number,
        into: &view, scratch: scratch)
      let bytes = Normalisation.bytes(view)
      bytes.withUnsafeBufferPointer {
        sheet.draw(
          $0.baseAddress!, height: recipe.imageSize, width: recipe.imageSize, scale: layout.viewScale,
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
