/// The maps of a forward pass, or of an input gradient with the output gradient as its input.
struct CorrelationMaps {
  let images: Int
  let input: UnsafePointer<Float>
  let output: UnsafeMutablePointer<Float>
  let accumulate: Bool
  /// For kernels whose `activatesInput` says so.
  var activation: InputActivation?
}

/// What a planned forward pass or input gradient is asked for. Where the kernel's `pieces` allow it, images may be computed a
/// few at a time, each by one thread of the team, after the filter was packed for all of them.
enum CorrelationCall: @unchecked Sendable {
  case all(CorrelationMaps, filter: UnsafePointer<Float>)
  case filter(UnsafePointer<Float>)
  case images(CorrelationMaps, thread: Int)

  /// The only call of a kernel that takes all images together.
  var whole: (maps: CorrelationMaps, filter: UnsafePointer<Float>) {
    guard case .all(let maps, let filter) = self else { preconditionFailure("a kernel that takes all images together") }
    return (maps, filter)
  }
}

/// How many images at a time cost a kernel no more than all at once.
struct PieceRule: Equatable {
  /// At least as many, and a multiple of the grain.
  let least, grain: Int
  /// Whether a kernel loses more by starting anew with each piece than by maps that have left the caches: it asks for most
  /// of them ahead of itself.
  var prefersLong = false

  /// All at once.
  static let whole = PieceRule(least: .max, grain: 1)

  /// Three images of an even number of tiles for each thread are whole sixes of tiles, the register tile's rows.
  static func tiles(threads: Int) -> PieceRule {
    PieceRule(least: 3 * threads, grain: 3 * threads, prefersLong: true)
  }

  /// Images with that many rows of a matrix for each thread, in whole grains.
  static func rows(_ rows: Int, ofImage pixels: Int, threads: Int, grain: Int) -> PieceRule {
    PieceRule(least: ((rows * threads + pixels - 1) / pixels + grain - 1) / grain * grain, grain: grain)
  }

  /// Of `images` at most; as many as `wanted` where it may be.
  func piece(wanted: Int, images: Int) -> Int {
    guard least < images else { return images }
    return min(images, max(least, (wanted + grain / 2) / grain * grain))
  }
}

/// A planned forward pass or input gradient: output (+)= the correlation of input with the filter.
protocol CorrelationKernel {
  var scratchFloats: Int { get }
  var pieces: PieceRule { get }
  /// Whether it can take what it reads through an activation.
  var activatesInput: Bool { get }
  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>)
}

extension CorrelationKernel {
  var activatesInput: Bool { false }
}

/// Operands of a filter gradient.
struct FilterGradientCall: @unchecked Sendable {
  let images: Int
  let input, outputGradient: UnsafePointer<Float>
  let filterGradient: UnsafeMutablePointer<Float>
  /// Whether the images are the first and the last of those that the gradient is summed over; the memory keeps sums in
  /// between.
  var isFirst = true
  var isLast = true
  /// Of the input, for kernels whose `activatesInput` says so.
  var activation: InputActivation?
}

/// A planned filter gradient, which overwrites.
protocol FilterGradientKernel {
  var scratchFloats: Int { get }
  var pieces: PieceRule { get }
  /// As a correlation's.
  var activatesInput: Bool { get }
  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>)
}

extension FilterGradientKernel {
  var activatesInput: Bool { false }
}

/// A kernel of either kind behind a closure. Not an existential: through a protocol's witness table the compiler would
/// call unspecialised transforms.
struct ConvolutionPlan<Call> {
  let scratchFloats: Int
  let pieces: PieceRule
  let activatesInput: Bool
  let run: (Call, ThreadTeam, UnsafeMutablePointer<Float>) -> Void
}

extension ConvolutionPlan where Call == CorrelationCall {
  @inline(__always)
  init<Kernel: CorrelationKernel>(_ kernel: Kernel) {
    self.init(
      scratchFloats: kernel.scratchFloats, pieces: kernel.pieces, activatesInput: kernel.activatesInput
    ) {
      kernel.run($0, team: $1, memory: $2)
    }
  }
}

extension ConvolutionPlan where Call == FilterGradientCall {
  @inline(__always)
  init<Kernel: FilterGradientKernel>(_ kernel: Kernel) {
    self.init(
      scratchFloats: kernel.scratchFloats, pieces: kernel.pieces, activatesInput: kernel.activatesInput
    ) {
      kernel.run($0, team: $1, memory: $2)
    }
  }
}

extension ConvolutionAlgorithm {
  /// The plan for the forward pass or the input gradient.
  /// - Parameter finishingRows: see `WinogradConvolution`.
  func correlation(
    _ shape: ConvolutionShape, _ pass: ConvolutionPass, threads: Int, finishingRows: Bool?
  ) -> ConvolutionPlan<CorrelationCall> {
    func winograd<Rows: WinogradTile, Columns: WinogradTile>(
      _: Rows.Type, _: Columns.Type, _ problem: WinogradProblem
    ) -> ConvolutionPlan<CorrelationCall> {
      ConvolutionPlan(
        WinogradConvolution<Rows, Columns>(problem, threads: threads, finishingRows: finishingRows))
    }
    let problem = pass == .inputGradient ? WinogradProblem.inputGradient(shape) : .forward(shape)
    return switch self {
    case .im2col: ConvolutionPlan(Im2colCorrelation(shape, pass))
    case .matrix: ConvolutionPlan(MatrixCorrelation(shape, pass, threads: threads))
    case .strassen: ConvolutionPlan(StrassenCorrelation(shape, pass, threads: threads))
    case .direct where pass == .forward: ConvolutionPlan(DirectConvolution(forward: shape, threads: threads))
    case .direct: ConvolutionPlan(DirectConvolution(inputGradient: shape, threads: threads))
    case .winograd2: winograd(WinogradTile2.self, WinogradTile2.self, problem)
    case .winograd3 where shape.stride == 2: winograd(WinogradStrided3.self, WinogradStrided3.self, problem)
    case .winograd3: winograd(WinogradTile3.self, WinogradTile3.self, problem)
    case .winograd4 where shape.stride == 2: winograd(WinogradStrided4.self, WinogradStrided4.self, problem)
    case .winograd4: winograd(WinogradTile4.self, WinogradTile4.self, problem)
    case .winograd6: winograd(WinogradTile6.self, WinogradTile6.self, problem)
    case .winograd8x4: winograd(WinogradTile8.self, WinogradTile4.self, problem)
    case .winogradWhole3: winograd(WinogradTileWhole3.self, WinogradTileWhole3.self, problem.ofWholeMaps)
    case .spaceToDepth where pass == .forward: ConvolutionPlan(SpaceToDepthConvolution(shape, threads: threads))
    case .spaceToDepth: ConvolutionPlan(DirectConvolution(inputGradient: shape, threads: threads))
    }
  }

  /// The plan for the filter gradient.
  func filterGradient(_ shape: ConvolutionShape, threads: Int) -> ConvolutionPlan<FilterGradientCall> {
    switch self {
    case .im2col: ConvolutionPlan(Im2colConvolution(shape))
    case .matrix, .strassen: ConvolutionPlan(MatrixFilterGradient(shape, threads: threads))
    case .direct: ConvolutionPlan(DirectFilterGradient(shape, threads: threads))
    case .winograd2: ConvolutionPlan(WinogradFilterGradient<WinogradTile2, WinogradTile2>(shape, threads: threads))
    case .winograd3 where shape.stride == 2:
      ConvolutionPlan(WinogradFilterGradient<WinogradStrided3, WinogradStrided3>(shape, threads: threads))
    case .winograd3: ConvolutionPlan(WinogradFilterGradient<WinogradTile3, WinogradTile3>(shape, threads: threads))
    case .winograd4 where shape.stride == 2:
      ConvolutionPlan(WinogradFilterGradient<WinogradStrided4, WinogradStrided4>(shape, threads: threads))
    case .winograd4: ConvolutionPlan(WinogradFilterGradient<WinogradTile4, WinogradTile4>(shape, threads: threads))
    case .winograd6: ConvolutionPlan(WinogradFilterGradient<WinogradTile6, WinogradTile6>(shape, threads: threads))
    case .winograd8x4: ConvolutionPlan(WinogradFilterGradient<WinogradTile8, WinogradTile4>(shape, threads: threads))
    case .winogradWhole3:
      ConvolutionPlan(
        WinogradFilterGradient<WinogradTileWhole3, WinogradTileWhole3>(
          WinogradProblem.forward(shape).ofWholeMaps, threads: threads))
    case .spaceToDepth: ConvolutionPlan(SpaceToDepthFilterGradient(shape, threads: threads))
    }
  }
}
