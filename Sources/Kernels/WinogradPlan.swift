/// One 3x3 stride-1 correlation between two maps as Winograd's algorithm sees it: the forward pass, or the input
/// gradient as the correlation of the output gradient with the rotated, transposed filter.
struct WinogradProblem {
  /// The largest number of images.
  let images: Int
  /// The map that tiles read: its size and channels, and the zeros around it.
  let inputHeight, inputWidth, inputChannels: Int
  let padding: Int
  /// The map that tiles write.
  let outputHeight, outputWidth, outputChannels: Int
  /// Whether the filter is stored [tap][outputChannels][inputChannels], and read with its taps in reverse.
  let rotated: Bool

  static func forward(_ shape: ConvolutionShape) -> WinogradProblem {
    WinogradProblem(
      images: shape.images, inputHeight: shape.height, inputWidth: shape.width, inputChannels: shape.inputChannels,
      padding: shape.padding, outputHeight: shape.outputHeight, outputWidth: shape.outputWidth,
      outputChannels: shape.outputChannels, rotated: false)
  }

  static func inputGradient(_ shape: ConvolutionShape) -> WinogradProblem {
    WinogradProblem(
      images: shape.images, inputHeight: shape.outputHeight, inputWidth: shape.outputWidth,
      inputChannels: shape.outputChannels, padding: 2 - shape.padding, outputHeight: shape.height,
      outputWidth: shape.width, outputChannels: shape.inputChannels, rotated: true)
  }

  func grid(outputs: Int) -> WinogradGrid {
    WinogradGrid(
      inputHeight: inputHeight, inputWidth: inputWidth, outputHeight: outputHeight, outputWidth: outputWidth,
      padding: padding, outputs: outputs)
  }
}

/// How the work of a Winograd pass is cut into pieces that fit the caches.
enum WinogradBlocking: Equatable {
  /// Blocks of tiles, with the whole transformed filter at hand: maps of many tiles and few channels.
  case tiles(Int)
  /// Blocks of output channels, with all tiles' transformed inputs at hand: small maps of many channels, where the
  /// whole transformed filter would be the larger.
  case channels(Int)

  /// - Parameters:
  ///   - tiles: tiles of all images.
  ///   - points: products of a tile.
  init(tiles: Int, points: Int, inputChannels: Int, outputChannels: Int, threads: Int) {
    let panels = (outputChannels + 15) / 16
    if tiles * oddLines(inputChannels) < panels * 16 * inputChannels && panels >= threads {
      let share = (panels + threads - 1) / threads
      let pieces = (share + 3) / 4
      self = .channels((share + pieces - 1) / pieces * 16)
    } else {
      // Transformed inputs and products of a block together about the size of the second-level cache.
      let floats = points * (oddLines(inputChannels) + oddLines(panels * 16))
      let fitting = max(12, 262_144 / floats / 12 * 12)
      let share = (tiles + threads - 1) / threads
      let pieces = (share + fitting - 1) / fitting
      self = .tiles((share + pieces - 1) / pieces)
    }
  }
}
