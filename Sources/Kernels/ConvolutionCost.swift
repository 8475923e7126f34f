/// Estimated costs of the algorithms, in cycles of one core, by which a plan chooses.
enum ConvolutionCost {
  /// The images that the choice assumes, whatever a plan's own number: the algorithms round differently, and ranks that
  /// share a batch must compute what one rank computes.
  private static let nominalImages = 64

  /// The cheapest algorithm for a pass.
  static func best(_ shape: ConvolutionShape, _ pass: ConvolutionPass) -> ConvolutionAlgorithm {
    if ConvolutionAlgorithm.matrix.applies(to: shape) {
      return StrassenConvolution.isWorthwhile(shape, pass) ? .strassen : .matrix
    }
    let candidates = [
      ConvolutionAlgorithm.direct, .winograd2, .winograd3, .winograd4, .winograd6, .winograd8x4, .winogradWhole3,
      .spaceToDepth,
    ]
    .filter { $0.applies(to: shape) && !($0 == .spaceToDepth && pass == .inputGradient) }
    var nominal = shape
    nominal.images = nominalImages
    return candidates.min { cycles(nominal, pass, $0) < cycles(nominal, pass, $1) }!
  }

  static func cycles(_ shape: ConvolutionShape, _ pass: ConvolutionPass, _ algorithm: ConvolutionAlgorithm) -> Double {
    switch algorithm {
    case .winograd2: winograd(shape, 2, 2)
    case .winograd3: winograd(shape, 3, 3)
    case .winograd4: winograd(shape, 4, 4)
    case .winograd6: winograd(shape, 6, 6)
    case .winograd8x4: winograd(shape, 8, 4)
    case .winogradWhole3: winograd(shape, 3, 3, taps: 2)
    case .spaceToDepth: winograd(SpaceToDepth(shape).dense, 5, 5, taps: 4)
    case .im2col, .direct, .matrix, .strassen:
      product(
        rows: shape.images * shape.outputHeight * shape.outputWidth,
        depth: shape.kernel * shape.kernel * shape.inputChannels, columns: shape.outputChannels)
    }
  }

  /// A matrix product by register tiles: 16 products a cycle, some cycles to begin and end a tile.
  private static func product(rows: Int, depth: Int, columns: Int) -> Double {
    let tiles = Double((rows + 5) / 6 * ((columns + 15) / 16))
    return tiles * (6 * Double(depth) + 24)
  }

  /// Winograd's algorithm with tiles of so many rows and columns of outputs.
  private static func winograd(_ shape: ConvolutionShape, _ rows: Int, _ columns: Int, taps: Int = 3) -> Double {
    let more = shape.stride == 1 ? taps - 1 : 1
    let (height, width) = (rows + more, columns + more)
    let points = height * width
    let tiles =
      shape.images * ((shape.outputHeight + rows - 1) / rows) * ((shape.outputWidth + columns - 1) / columns)
    // With stride 2, four phases, of which few reach the points at infinity.
    let phases = Double(shape.stride * shape.stride)
    let reaching = shape.stride == 1 ? Double(points) : Double((2 * height - 1) * (2 * width - 1))
    let inputs = Double((shape.inputChannels + 7) / 8) * phases
    let outs = Double((shape.outputChannels + 15) / 16 * 2)
    // Vectors of eight channels that a transform moves; what each takes is measured, and is mostly traffic between the
    // caches. Large tiles round more: they have to win clearly.
    let vectors = Double(tiles * points) * (inputs + outs) + Double(points * shape.inputChannels) * phases * outs
    let cyclesOfVector = shape.stride == 1 ? 8.0 : 4.0
    let handicap = rows >= 6 ? 1.05 : 1
    return handicap
      * (reaching * product(rows: tiles, depth: shape.inputChannels, columns: shape.outputChannels)
        + cyclesOfVector * vectors)
  }
}
