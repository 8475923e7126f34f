/// Estimated costs of the algorithms, in cycles of one core, by which a plan chooses.
enum ConvolutionCost {
  /// The images that the choice assumes, whatever a plan's own number: the algorithms round differently, and ranks that
  /// share a batch must compute what one rank computes.
  private static let nominalImages = 64

  /// The cheapest algorithm for a pass.
  static func best(_ shape: ConvolutionShape, _ pass: ConvolutionPass) -> ConvolutionAlgorithm {
    if ConvolutionAlgorithm.matrix.applies(to: shape) { return .matrix }
    let candidates = [
      ConvolutionAlgorithm.direct, .winograd2, .winograd3, .winograd4, .winograd6, .winogradWhole3, .spaceToDepth,
    ]
    .filter { $0.applies(to: shape) && !($0 == .spaceToDepth && pass == .inputGradient) }
    var nominal = shape
    nominal.images = nominalImages
    return candidates.min { cycles(nominal, pass, $0) < cycles(nominal, pass, $1) }!
  }

  static func cycles(_ shape: ConvolutionShape, _ pass: ConvolutionPass, _ algorithm: ConvolutionAlgorithm) -> Double {
    switch algorithm {
    case .winograd2: winograd(shape, outputs: 2)
    case .winograd3: winograd(shape, outputs: 3)
    case .winograd4: winograd(shape, outputs: 4)
    case .winograd6: winograd(shape, outputs: 6)
    case .winogradWhole3: winograd(shape, outputs: 3, taps: 2)
    case .spaceToDepth: winograd(SpaceToDepth(shape).dense, outputs: 5, taps: 4)
    case .im2col, .direct, .matrix:
      product(
        rows: shape.images * shape.outputHeight * shape.outputWidth,
        depth: shape.kernel * shape.kernel * shape.inputChannels, columns: shape.outputChannels)
    }
  }

  /// A matrix product by register tiles: 16 products a cycle, some cycles to begin and end a tile.
  private static func product(rows: Int, depth: Int, columns: Int) -> Double {
    let tiles = Double((rows + 5) / 6 * ((columns + 15) / 16))
    return tiles * (6 * Double(depth) + 40)
  }

  private static func winograd(_ shape: ConvolutionShape, outputs: Int, taps: Int = 3) -> Double {
    let side = shape.stride == 1 ? outputs + taps - 1 : outputs + 1
    let points = side * side
    let tiles =
      shape.images * ((shape.outputHeight + outputs - 1) / outputs) * ((shape.outputWidth + outputs - 1) / outputs)
    // With stride 2, four phases, of which few reach the points at infinity.
    let phases = Double(shape.stride * shape.stride)
    let reaching = shape.stride == 1 ? Double(points) : Double((2 * side - 1) * (2 * side - 1))
    let inputs = Double((shape.inputChannels + 7) / 8) * phases
    let outs = Double((shape.outputChannels + 15) / 16 * 2)
    // Vectors of eight channels that a transform moves; what each takes is measured, and is mostly traffic between the
    // caches. Tiles that need more of them round more, too: 6x6 has to win clearly.
    let vectors = Double(tiles * points) * (inputs + outs) + Double(points * shape.inputChannels) * phases * outs
    let cyclesOfVector = shape.stride == 1 ? 8.0 : 6.0
    let handicap = outputs == 6 ? 1.05 : 1
    return handicap
      * (reaching * product(rows: tiles, depth: shape.inputChannels, columns: shape.outputChannels)
        + cyclesOfVector * vectors)
  }
}
