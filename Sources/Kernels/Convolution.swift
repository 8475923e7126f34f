/// How a convolution is computed.
public enum ConvolutionAlgorithm: String, CaseIterable, Sendable {
  /// Patches written out as a matrix, then OpenBLAS: the baseline of the bench.
  case im2col
  /// An implicit matrix product: windows read in place.
  case direct
  /// One matrix product; for 1x1 convolutions of stride 1.
  case matrix
  /// The same by Strassen's algorithm, for channels in multiples of 32; the filter gradient as one product.
  case strassen
  /// Winograd's algorithm with tiles of 2x2, 3x3, 4x4, 6x6 and 8x4 outputs; for 3x3 convolutions of stride 1, those of 3x3
  /// and 4x4 also of stride 2 with padding 1 and channels in multiples of eight.
  case winograd2 = "winograd-2x2"
  case winograd3 = "winograd-3x3"
  case winograd4 = "winograd-4x4"
  case winograd6 = "winograd-6x6"
  case winograd8x4 = "winograd-8x4"
  /// Winograd's algorithm for maps of 3x3 pixels with zeros around them, which need fewer products than any tile.
  case winogradWhole3 = "winograd-whole"
  /// Winograd's algorithm with tiles of 5x5 outputs after even and odd pixels have become channels; for the 7x7 stem of
  /// stride 2. Its input gradient, which a stem never needs, is computed directly.
  case spaceToDepth = "space-to-depth"

  /// Whether it computes convolutions of this shape.
  public func applies(to shape: ConvolutionShape) -> Bool {
    switch self {
    case .im2col, .direct: true
    case .matrix: shape.kernel == 1 && shape.stride == 1 && shape.padding == 0
    case .strassen: StrassenConvolution.applies(to: shape)
    case .spaceToDepth: SpaceToDepth.applies(to: shape)
    case .winogradWhole3:
      shape.kernel == 3 && shape.stride == 1 && shape.padding == 1 && shape.height == 3 && shape.width == 3
    case .winograd2, .winograd6, .winograd8x4: shape.kernel == 3 && shape.stride == 1
    case .winograd3, .winograd4:
      shape.kernel == 3
        && (shape.stride == 1
          || shape.stride == 2 && shape.padding == 1 && shape.inputChannels % 8 == 0
            && shape.outputChannels % 8 == 0)
    }
  }
}

/// The three computations of a convolution.
public enum ConvolutionPass: String, CaseIterable, Sendable {
  case forward
  case inputGradient = "input-gradient"
  case filterGradient = "filter-gradient"
}

/// A planned convolution: the algorithms are chosen and the working memory is reserved once for a shape, then every
/// call computes up to `shape.images` images in NHWC with a filter in HWIO order, without allocating.
///
/// The same thread count gives the same bits.
public final class Convolution {
  public let shape: ConvolutionShape
  private let team: ThreadTeam
  private let scratch: Scratch
  private let algorithms: [ConvolutionPass: ConvolutionAlgorithm]
  private let forwardPlan, inputPlan: ConvolutionPlan<CorrelationCall>
  private let filterPlan: ConvolutionPlan<FilterGradientCall>
  /// Images that a piece of each pass should have, for what is computed before or after it to be in the caches still;
  /// all where the algorithm wants them together. Of the forward pass and the input gradient a piece is one thread's.
  public let forwardPiece, inputGradientPiece, filterGradientPiece: Int
  /// Images whose two maps the second-level cache holds, at least one: what a thread takes at a time of a pass over maps.
  public let cachedImages: Int
  /// Floats of a piece's two maps for each thread: three quarters of the second-level cache, or 2 1/4 times as much as that
  /// holds, of one megabyte at most, where the kernel prefers long ones and a thread alone needs no small pieces to have its
  /// share of the work.
  private static var pieceFloats: Int { CacheSize.secondLevel * 3 / 4 }
  private static var longPieceFloats: Int { CacheSize.halfSecondLevel * 9 / 2 }

  /// - Parameters:
  ///   - algorithm: nil for the fastest by estimate; otherwise forced, for tests and benches, where it applies.
  ///   - finishingRows: whether Winograd's products are transformed along a row of points before they are stored, where that
  ///     applies, to the same bits; nil for what suits the processor.
  public init(
    _ shape: ConvolutionShape, team: ThreadTeam, scratch: Scratch, algorithm: ConvolutionAlgorithm? = nil,
    finishingRows: Bool? = nil
  ) {
    self.shape = shape
    self.team = team
    self.scratch = scratch
    var algorithms = [ConvolutionPass: ConvolutionAlgorithm]()
    for pass in ConvolutionPass.allCases {
      let forced = algorithm.flatMap { $0.applies(to: shape) ? $0 : nil }
      algorithms[pass] = forced ?? ConvolutionCost.best(shape, pass)
    }
    self.algorithms = algorithms
    forwardPlan = algorithms[.forward]!.correlation(
      shape, .forward, threads: team.threads, finishingRows: finishingRows)
    inputPlan = algorithms[.inputGradient]!.correlation(
      shape, .inputGradient, threads: team.threads, finishingRows: finishingRows)
    filterPlan = algorithms[.filterGradient]!.filterGradient(shape, threads: team.threads)
    func piece(_ rule: PieceRule, threads: Int) -> Int {
      let floats = rule.prefersLong && team.threads == 1 ? Self.longPieceFloats : Self.pieceFloats
      return rule.piece(wanted: floats / (shape.inputSize + shape.outputSize) * threads, images: shape.images)
    }
    cachedImages = max(1, Self.pieceFloats / (shape.inputSize + shape.outputSize))
    forwardPiece = piece(forwardPlan.pieces, threads: 1)
    inputGradientPiece = piece(inputPlan.pieces, threads: 1)
    filterGradientPiece = piece(filterPlan.pieces, threads: team.threads)
    scratch.reserve(scratchFloats)
  }

  /// Working memory that its passes need of the scratch.
  public var scratchFloats: Int {
    max(forwardPlan.scratchFloats, inputPlan.scratchFloats, filterPlan.scratchFloats)
  }

  /// The algorithm in use for a pass.
  public func algorithm(_ pass: ConvolutionPass) -> ConvolutionAlgorithm { algorithms[pass]! }

  /// Whether images of a forward pass, or of an input gradient, may be computed a few at a time, each by one thread.
  public var dealsForward: Bool { forwardPlan.pieces != .whole }
  public var dealsInputGradient: Bool { inputPlan.pieces != .whole }

  /// Whether a forward pass, or a filter gradient, can take its input through an activation.
  public var activatesForward: Bool { forwardPlan.activatesInput }
  public var activatesFilterGradient: Bool { filterPlan.activatesInput }

  /// output[images, outputHeight, outputWidth, outputChannels] = input[images, height, width, inputChannels] * filter.
  public func forward(
    images: Int, input: UnsafePointer<Float>, activation: InputActivation? = nil, filter: UnsafePointer<Float>,
    output: UnsafeMutablePointer<Float>
  ) {
    forwardPlan.run(
      .all(maps(images, input, output, activation: activation), filter: filter), team, scratch.pointer)
  }

  /// Prepares a filter for `forward(images:input:output:thread:)`; nothing else may use the scratch in between.
  public func packForward(_ filter: UnsafePointer<Float>) { forwardPlan.run(.filter(filter), team, scratch.pointer) }

  /// A few images of a forward pass whose filter is packed, by the team's thread that calls.
  public func forward(
    images: Int, input: UnsafePointer<Float>, activation: InputActivation? = nil,
    output: UnsafeMutablePointer<Float>, thread: Int
  ) {
    forwardPlan.run(
      .images(maps(images, input, output, activation: activation), thread: thread), team, scratch.pointer)
  }

  /// inputGradient[images, height, width, inputChannels] (+)= the gradient of sum(output * outputGradient).
  public func inputGradient(
    images: Int, outputGradient: UnsafePointer<Float>, filter: UnsafePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    inputPlan.run(
      .all(maps(images, outputGradient, inputGradient, accumulate), filter: filter), team, scratch.pointer)
  }

  /// As `packForward`.
  public func packInputGradient(_ filter: UnsafePointer<Float>) {
    inputPlan.run(.filter(filter), team, scratch.pointer)
  }

  /// As `forward(images:input:output:thread:)`.
  public func inputGradient(
    images: Int, outputGradient: UnsafePointer<Float>, inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool,
    thread: Int
  ) {
    inputPlan.run(
      .images(maps(images, outputGradient, inputGradient, accumulate), thread: thread), team, scratch.pointer)
  }

  private func maps(
    _ images: Int, _ input: UnsafePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ accumulate: Bool = false,
    activation: InputActivation? = nil
  ) -> CorrelationMaps {
    precondition(images <= shape.images, "planned for \(shape.images) images, not \(images)")
    precondition(activation == nil || activatesForward, "an activation that the algorithm does not take")
    return CorrelationMaps(
      images: images, input: input, output: output, accumulate: accumulate, activation: activation)
  }

  /// filterGradient[kernel, kernel, inputChannels, outputChannels] = the gradient of sum(output * outputGradient).
  /// - Parameters:
  ///   - isFirst: whether the images are the first piece; later ones add to it.
  ///   - isLast: whether they are the last piece; the gradient is complete after it only, and nothing may use the
  ///     scratch before.
  public func filterGradient(
    images: Int, input: UnsafePointer<Float>, activation: InputActivation? = nil,
    outputGradient: UnsafePointer<Float>, filterGradient: UnsafeMutablePointer<Float>, isFirst: Bool = true,
    isLast: Bool = true
  ) {
    precondition(images <= shape.images, "planned for \(shape.images) images, not \(images)")
    precondition(activation == nil || activatesFilterGradient, "an activation that the algorithm does not take")
    filterPlan.run(
      FilterGradientCall(
        images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient,
        isFirst: isFirst, isLast: isLast, activation: activation),
      team, scratch.pointer)
  }
}
