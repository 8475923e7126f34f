/// Operands of a forward pass, or of an input gradient with the output gradient as its input.
struct CorrelationCall: @unchecked Sendable {
  let images: Int
  let input, filter: UnsafePointer<Float>
  let output: UnsafeMutablePointer<Float>
  let accumulate: Bool
  /// Whether the memory still has what the call before packed of the same filter.
  var keepsFilter = false
}

/// A planned forward pass or input gradient: output (+)= the correlation of input with the filter.
protocol CorrelationKernel {
  var scratchFloats: Int { get }
  /// Whether a few images at a time cost no more than all at once.
  var takesPieces: Bool { get }
  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>)
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
}

/// A planned filter gradient, which overwrites.
protocol FilterGradientKernel {
  var scratchFloats: Int { get }
  /// Whether a few images at a time cost no more than all at once.
  var takesPieces: Bool { get }
  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>)
}

/// A kernel of either kind behind a closure. Not an existential: through a protocol's witness table the compiler would
/// call unspecialised transforms.
struct ConvolutionPlan<Call> {
  let scratchFloats: Int
  let takesPieces: Bool
  let run: (Call, ThreadTeam, UnsafeMutablePointer<Float>) -> Void
}

extension ConvolutionPlan where Call == CorrelationCall {
  @inline(__always)
  init<Kernel: CorrelationKernel>(_ kernel: Kernel) {
    self.init(scratchFloats: kernel.scratchFloats, takesPieces: kernel.takesPieces) {
      kernel.run($0, team: $1, memory: $2)
    }
  }
}

extension ConvolutionPlan where Call == FilterGradientCall {
  @inline(__always)
  init<Kernel: FilterGradientKernel>(_ kernel: Kernel) {
    self.init(scratchFloats: kernel.scratchFloats, takesPieces: kernel.takesPieces) {
      kernel.run($0, team: $1, memory: $2)
    }
  }
}

extension ConvolutionAlgorithm {
  /// The plan for the forward pass or the input gradient.
  func correlation(
    _ shape: ConvolutionShape, _ pass: ConvolutionPass, threads: Int
  ) -> ConvolutionPlan<CorrelationCall> {
    let problem = pass == .inputGradient ? WinogradProblem.inputGradient(shape) : .forward(shape)
    return switch self {
    case .im2col: ConvolutionPlan(Im2colCorrelation(shape, pass))
    case .matrix: ConvolutionPlan(MatrixCorrelation(shape, pass, threads: threads))
    case .direct where pass == .forward: ConvolutionPlan(DirectConvolution(forward: shape, threads: threads))
    case .direct: ConvolutionPlan(DirectConvolution(inputGradient: shape, threads: threads))
    case .winograd2: ConvolutionPlan(WinogradConvolution<WinogradTile2>(problem, threads: threads))
    case .winograd3 where shape.stride == 2:
      ConvolutionPlan(WinogradConvolution<WinogradStrided3>(problem, threads: threads))
    case .winograd3: ConvolutionPlan(WinogradConvolution<WinogradTile3>(problem, threads: threads))
    case .winograd4 where shape.stride == 2:
      ConvolutionPlan(WinogradConvolution<WinogradStrided4>(problem, threads: threads))
    case .winograd4: ConvolutionPlan(WinogradConvolution<WinogradTile4>(problem, threads: threads))
    case .winograd6: ConvolutionPlan(WinogradConvolution<WinogradTile6>(problem, threads: threads))
    case .winogradWhole3:
      ConvolutionPlan(WinogradConvolution<WinogradTileWhole3>(problem.ofWholeMaps, threads: threads))
    case .spaceToDepth where pass == .forward: ConvolutionPlan(SpaceToDepthConvolution(shape, threads: threads))
    case .spaceToDepth: ConvolutionPlan(DirectConvolution(inputGradient: shape, threads: threads))
    }
  }

  /// The plan for the filter gradient.
  func filterGradient(_ shape: ConvolutionShape, threads: Int) -> ConvolutionPlan<FilterGradientCall> {
    switch self {
    case .im2col: ConvolutionPlan(Im2colConvolution(shape))
    case .matrix: ConvolutionPlan(MatrixFilterGradient(shape, threads: threads))
    case .direct: ConvolutionPlan(DirectFilterGradient(shape, threads: threads))
    case .winograd2: ConvolutionPlan(WinogradFilterGradient<WinogradTile2>(shape, threads: threads))
    case .winograd3 where shape.stride == 2:
      ConvolutionPlan(WinogradFilterGradient<WinogradStrided3>(shape, threads: threads))
    case .winograd3: ConvolutionPlan(WinogradFilterGradient<WinogradTile3>(shape, threads: threads))
    case .winograd4 where shape.stride == 2:
      ConvolutionPlan(WinogradFilterGradient<WinogradStrided4>(shape, threads: threads))
    case .winograd4: ConvolutionPlan(WinogradFilterGradient<WinogradTile4>(shape, threads: threads))
    case .winograd6: ConvolutionPlan(WinogradFilterGradient<WinogradTile6>(shape, threads: threads))
    case .winogradWhole3:
      ConvolutionPlan(
        WinogradFilterGradient<WinogradTileWhole3>(WinogradProblem.forward(shape).ofWholeMaps, threads: threads))
    case .spaceToDepth: ConvolutionPlan(SpaceToDepthFilterGradient(shape, threads: threads))
    }
  }
}

/// A 1x1 convolution of stride 1: one product, input pixels by channels, nothing copied.
struct MatrixCorrelation: CorrelationKernel {
  let takesPieces = true
  private let pixels, from, to, stored: Int
  private let backward: Bool
  let scratchFloats: Int

  init(_ shape: ConvolutionShape, _ pass: ConvolutionPass, threads: Int) {
    pixels = shape.height * shape.width
    backward = pass == .inputGradient
    (from, to) = backward ? (shape.outputChannels, shape.inputChannels) : (shape.inputChannels, shape.outputChannels)
    stored = shape.outputChannels
    scratchFloats = MatrixMultiply.scratchFloats(
      m: shape.images * pixels, n: to, k: from, aTransposed: false, threads: threads)
  }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    MatrixMultiply.run(
      m: call.images * pixels, n: to, k: from, a: call.input, lda: from, aTransposed: false, b: call.filter,
      ldb: stored, bTransposed: backward, c: call.output, ldc: to, accumulate: call.accumulate, team: team,
      memory: memory)
  }
}

/// The filter gradient of a 1x1 convolution of stride 1.
struct MatrixFilterGradient: FilterGradientKernel {
  let takesPieces = true
  private let pixels, inputs, outputs: Int
  let scratchFloats: Int

  init(_ shape: ConvolutionShape, threads: Int) {
    (pixels, inputs, outputs) = (shape.height * shape.width, shape.inputChannels, shape.outputChannels)
    // The depth is cut into even blocks, which may be longer for fewer images.
    let (m, n, pixels) = (inputs, outputs, pixels)
    scratchFloats = (1...shape.images).reduce(0) {
      max($0, MatrixMultiply.scratchFloats(m: m, n: n, k: $1 * pixels, aTransposed: true, threads: threads))
    }
  }

  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    MatrixMultiply.run(
      m: inputs, n: outputs, k: call.images * pixels, a: call.input, lda: inputs, aTransposed: true,
      b: call.outputGradient, ldb: outputs, bTransposed: false, c: call.filterGradient, ldc: outputs,
      accumulate: !call.isFirst, team: team, memory: memory)
  }
}
