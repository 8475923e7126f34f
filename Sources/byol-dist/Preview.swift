import Files
import Images
import Training

/// What `data preview` is asked for: a contact sheet of originals above their two views.
package struct PreviewRequest: Equatable, Sendable {
  /// Data, view size, augmentation and seed of the run whose views these are.
  package var configuration = Recipe.quick.configuration
  /// The PNG file to write.
  package var out: String?
  /// Images on the sheet.
  package var count = 16

  package init() {}

  package static let settings: [Setting<PreviewRequest>] =
    Configuration.settings.filter { ["data", "image-size", "augment", "seed"].contains($0.name) }
    .map { $0.pulledBack(\.configuration) } + [
      .init(
        optional: "out", \.out, "FILE.png", in: .run, expects: "the name of a PNG file, FILE.png",
        "the sheet: originals above their two views"
      ) { $0.lowercased().hasSuffix(".png") },
      .init("count", \.count, "N", in: .run, expects: "a whole number from 1 to 1000", "images on the sheet") {
        (1...1000).contains($0)
      },
    ]

  /// Draws the first training images and writes the sheet; one process does.
  /// - Throws: `ImageError` for data that cannot be read and a file that cannot be written.
  func run() throws {
    guard let out else { preconditionFailure("a preview is parsed with its file") }
    let splits = try DatasetSource.open(configuration.data, seed: configuration.seed)
    for note in splits.notes { print(note) }
    let dataset = splits.train
    let size = configuration.imageSize == 0 ? max(dataset.height, dataset.width) : configuration.imageSize
    try check(ContactSheetLayout(dataset: dataset, imageSize: size, count: count), size: size, .now())
    let recipe = ViewRecipe(policy: configuration.augment, imageSize: size, seed: configuration.seed)
    let sheet = try contactSheet(dataset: dataset, recipe: recipe, count: count)
    try sheet.write(path: out)
    try StandardStreams.print(
      "\(out): \(min(count, dataset.count)) images of \(dataset.name) above their two views of \(size) pixels")
  }

  /// - Throws: `UsageError` where the sheet is larger than a PNG file or the memory that is there.
  package func check(_ layout: ContactSheetLayout, size: Int, _ available: MemoryAvailable) throws {
    let needed = MemoryCheck.text(layout.bytes)
    let subject =
      "--count \(count) with views of \(size) pixels: a sheet of \(layout.width) x \(layout.height) pixels"
    let right = "should be a smaller --count or --image-size"
    guard layout.isWritable else {
      let most =
        "\(MemoryCheck.text(ContactSheetLayout.mostBytes)) and sides of \(ContactSheetLayout.mostPixels) pixels"
      throw UsageError("\(subject) has \(needed), a PNG file has at most \(most); \(right)")
    }
    let there = min(available.host, available.process ?? .infinity)
    guard layout.bytes <= there else {
      throw UsageError("\(subject) needs \(needed) of memory; \(MemoryCheck.text(there)) are available; \(right)")
    }
  }
}
