/// A 1x1 convolution of stride 1: one product, input pixels by channels, nothing of the map copied.
struct MatrixCorrelation: CorrelationKernel {
  let pieces: PieceRule
  let scratchFloats: Int
  private let pixels, from, to, stored: Int
  private let backward: Bool
  /// Whether the filter is packed as a whole, once for all pieces: it must leave room for a piece in the second-level
  /// cache.
  private let packsOnce: Bool

  init(_ shape: ConvolutionShape, _ pass: ConvolutionPass, threads: Int) {
    pixels = shape.height * shape.width
    backward = pass == .inputGradient
    (from, to) = backward ? (shape.outputChannels, shape.inputChannels) : (shape.inputChannels, shape.outputChannels)
    stored = shape.outputChannels
    packsOnce = MatrixConvolution.isCached(shape)
    pieces = MatrixConvolution.pieces(shape)
    scratchFloats =
      packsOnce
      ? MatrixMultiply.packedFloats(n: to, k: from)
      : MatrixMultiply.scratchFloats(m: shape.images * pixels, n: to, k: from, aTransposed: false, threads: threads)
  }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    guard packsOnce else {
      let (maps, filter) = call.whole
      return MatrixMultiply.run(product(maps, filter), team: team, memory: memory)
    }
    switch call {
    case .filter(let filter): pack(filter, team, memory)
    case .images(let maps, _): MatrixMultiply.runPacked(product(maps, memory), team: .alone)
    case .all(let maps, let filter):
      pack(filter, team, memory)
      MatrixMultiply.runPacked(product(maps, memory), team: team)
    }
  }

  private func pack(_ filter: UnsafePointer<Float>, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    MatrixMultiply.pack(
      n: to, k: from, b: StoredMatrix(filter, row: stored, isTransposed: backward), team: team, packed: memory)
  }

  private func product(_ maps: CorrelationMaps, _ filter: UnsafePointer<Float>) -> MatrixMultiply.Operands {
    MatrixMultiply.Operands(
      m: maps.images * pixels, n: to, k: from, a: StoredMatrix(maps.input, row: from),
      b: StoredMatrix(filter, row: stored, isTransposed: backward), c: maps.output, ldc: to,
      accumulate: maps.accumulate)
  }
}

/// The filter gradient of a 1x1 convolution of stride 1.
struct MatrixFilterGradient: FilterGradientKernel {
  let pieces: PieceRule
  private let pixels, inputs, outputs: Int
  let scratchFloats: Int

  init(_ shape: ConvolutionShape, threads: Int) {
    (pixels, inputs, outputs) = (shape.height * shape.width, shape.inputChannels, shape.outputChannels)
    pieces = MatrixConvolution.filterGradientPieces(shape, threads: threads)
    // The depth is cut into even blocks, which may be longer for fewer images.
    let (m, n, pixels) = (inputs, outputs, pixels)
    scratchFloats = (1...shape.images).reduce(0) {
      max($0, MatrixMultiply.scratchFloats(m: m, n: n, k: $1 * pixels, aTransposed: true, threads: threads))
    }
  }

  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    MatrixMultiply.run(
      MatrixMultiply.Operands(
        m: inputs, n: outputs, k: call.images * pixels, a: StoredMatrix(call.input, row: inputs, isTransposed: true),
        b: StoredMatrix(call.outputGradient, row: outputs), c: call.filterGradient, ldc: outputs,
        accumulate: !call.isFirst),
      team: team, memory: memory)
  }
}

/// How many rows the products of 1x1 convolutions should have.
enum MatrixConvolution {
  /// Where the filter fits the second-level cache beside a piece.
  private static let cachedRows = 576
  /// Where the filter streams through the caches for every piece.
  private static let streamedRows = 4096

  /// Half a megabyte.
  static func isCached(_ shape: ConvolutionShape) -> Bool { shape.filterSize <= 131_072 }

  /// Of a forward pass or an input gradient, in grains of images.
  static func pieces(_ shape: ConvolutionShape, grain: Int = 1) -> PieceRule {
    isCached(shape) ? .rows(cachedRows, ofImage: shape.height * shape.width, threads: 1, grain: grain) : .whole
  }

  /// Of a filter gradient, to all of which a piece adds.
  static func filterGradientPieces(_ shape: ConvolutionShape, threads: Int) -> PieceRule {
    .rows(isCached(shape) ? cachedRows : streamedRows, ofImage: shape.height * shape.width, threads: threads, grain: 1)
  }
}
