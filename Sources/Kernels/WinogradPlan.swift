/// The part of a correlation that reads (or writes) every stride-th pixel, with its own taps.
///
/// A correlation of stride 2 is the sum, over the parities of row and column, of correlations of stride 1 between every
/// second pixel of the input and the output; its adjoint writes every second pixel instead. A phase with a single tap
/// on an axis has nothing at that axis's point at infinity.
struct WinogradPhase {
  /// The pixel that tile coordinate 0 stands for.
  let row, column: Int
  /// Filter rows and columns in the order of the tile's taps; nil where the phase has no tap.
  let tapRows, tapColumns: [Int?]

  /// Whether the products of a tile's point (i, j) can differ from zero.
  func reaches<Rows: WinogradTile, Columns: WinogradTile>(
    _ point: Int, _ rows: Rows.Type, _ columns: Columns.Type
  ) -> Bool {
    let (i, j) = point.quotientAndRemainder(dividingBy: Columns.side)
    return (i < Rows.side - 1 || tapRows.last! != nil) && (j < Columns.side - 1 || tapColumns.last! != nil)
  }
}

/// One correlation between two maps as Winograd's algorithm sees it: a forward pass, or an input gradient as the
/// correlation of the output gradient with the rotated, transposed filter.
struct WinogradProblem {
  /// The largest number of images.
  let images: Int
  /// The map that tiles read, the map that they write, and the pixels from one tile coordinate to the next.
  let inputHeight, inputWidth, inputChannels, inputStride: Int
  let outputHeight, outputWidth, outputChannels, outputStride: Int
  /// In an order in which those that reach a point are neighbours.
  var phases: [WinogradPhase]
  /// Whether the filter is stored [tap][outputChannels][inputChannels].
  let transposed: Bool
  /// Rows (and columns) of the stored filter.
  var kernel = 3
  /// Channels of the map that is read which are not filled up with zeros: the first of each pixel.
  var usedChannels: Int { filledFrom ?? inputChannels }
  /// Where the zeros begin, for a map with a single phase.
  var filledFrom: Int?

  /// Whether the filter's taps can be read where they are stored, 16 output channels side by side.
  var isReadInPlace: Bool { !transposed && phases.count == 1 && outputChannels % 16 == 0 }

  /// Phases of the map that is read, whose channels are summed over side by side; and of the map that is written.
  var inputPhases: [WinogradPhase] { outputStride == 1 ? phases : [phases[0]] }
  var outputPhases: [WinogradPhase] { outputStride == 1 ? [WinogradPhase.whole] : phases }

  static func forward(_ shape: ConvolutionShape) -> WinogradProblem {
    let phases =
      shape.stride == 1
      ? [
        WinogradPhase(row: -shape.padding, column: -shape.padding, tapRows: [0, 1, 2], tapColumns: [0, 1, 2])
      ] : WinogradPhase.parities(pair: ([0, 2], -1), single: ([1, nil], 0))
    return WinogradProblem(
      images: shape.images, inputHeight: shape.height, inputWidth: shape.width, inputChannels: shape.inputChannels,
      inputStride: shape.stride, outputHeight: shape.outputHeight, outputWidth: shape.outputWidth,
      outputChannels: shape.outputChannels, outputStride: 1, phases: phases, transposed: false)
  }

  static func inputGradient(_ shape: ConvolutionShape) -> WinogradProblem {
    let phases =
      shape.stride == 1
      ? [
        WinogradPhase(row: shape.padding - 2, column: shape.padding - 2, tapRows: [2, 1, 0], tapColumns: [2, 1, 0])
      ] : WinogradPhase.parities(pair: ([2, 0], 1), single: ([1, nil], 0))
    return WinogradProblem(
      images: shape.images, inputHeight: shape.outputHeight, inputWidth: shape.outputWidth,
      inputChannels: shape.outputChannels, inputStride: 1, outputHeight: shape.height, outputWidth: shape.width,
      outputChannels: shape.inputChannels, outputStride: shape.stride, phases: phases, transposed: true)
  }

  /// Floats from a filter's first tap to each of a phase's, in the order of the tile's; nil for those that the phase lacks.
  func tapPlaces(_ phase: WinogradPhase) -> [Int?] {
    phase.tapRows.flatMap { row in
      phase.tapColumns.map { column in
        guard let row, let column else { return nil }
        return (row * kernel + column) * inputChannels * outputChannels
      }
    }
  }

  /// Points of all phases whose products can differ from zero.
  func reachedPoints<Rows: WinogradTile, Columns: WinogradTile>(_ rows: Rows.Type, _ columns: Columns.Type) -> Int {
    reachedPhases(rows, columns).reduce(0) { $0 + $1.count }
  }

  /// For each of the tile's points the phases that reach it; they are neighbours.
  func reachedPhases<Rows: WinogradTile, Columns: WinogradTile>(
    _ rows: Rows.Type, _ columns: Columns.Type
  ) -> [Range<Int>] {
    (0..<Rows.side * Columns.side).map { point in
      let first = phases.firstIndex { $0.reaches(point, rows, columns) }!
      return first..<phases.lastIndex { $0.reaches(point, rows, columns) }! + 1
    }
  }

  /// The same problem for tiles that hold the whole map and do not read the zeros around it.
  var ofWholeMaps: WinogradProblem {
    var problem = self
    problem.phases = phases.map {
      WinogradPhase(row: 0, column: 0, tapRows: $0.tapRows, tapColumns: $0.tapColumns)
    }
    return problem
  }

  /// Where tiles read; with an output stride, the tile's own coordinates.
  func inputPlace(_ phase: Int) -> (row: Int, column: Int) {
    outputStride == 1 ? (phases[phase].row, phases[phase].column) : (0, 0)
  }

  /// Rows or columns of tiles of `outputs` coordinates that cover a side of the written map.
  func tiles(_ side: Int, outputs: Int) -> Int {
    let coordinates = (side + outputStride - 1) / outputStride
    return (coordinates + outputs - 1) / outputs
  }
}

extension WinogradPhase {
  /// The phase of a map that is written pixel by pixel.
  static let whole = WinogradPhase(row: 0, column: 0, tapRows: [0], tapColumns: [0])

  /// The four parities of a 3x3 filter of stride 2 and padding 1: a pair of taps or a single one on each axis, with the
  /// pixel of coordinate 0.
  static func parities(pair: ([Int?], Int), single: ([Int?], Int)) -> [WinogradPhase] {
    [(pair, single), (pair, pair), (single, pair), (single, single)].map {
      WinogradPhase(row: $0.1, column: $1.1, tapRows: $0.0, tapColumns: $1.0)
    }
  }
}

extension Range<Int> {
  /// `count` of the range from `first` on, or what is left of it.
  func block(from first: Int, of count: Int) -> Range<Int> { first..<Swift.min(first + count, upperBound) }
}

/// How the work of a Winograd pass is cut into pieces that fit the caches.
enum WinogradBlocking: Equatable {
  /// Blocks of tiles, with the whole transformed filter at hand: maps of many tiles and few channels.
  case tiles(Int)
  /// Blocks of output channels, with all tiles' transformed inputs at hand: small maps of many channels, where the
  /// whole transformed filter would be the larger.
  case channels(Int)

  /// Floats of half of the second-level cache, half a megabyte at most.
  static var cached: Int { CacheSize.halfSecondLevel }
  /// Floats of a block's transformed inputs and products beside a transformed filter of so many, all of which every block visits:
  /// a sixth of the second-level cache, which also holds what is asked for ahead. Before a slow third level a filter that leaves
  /// it is visited less often by larger blocks, up to two megabytes.
  static func floats(besideFilter filter: Int) -> Int {
    CacheSize.isBeforeSlowThirdLevel && filter > 4 * cached ? max(cached, min(filter, 1 << 19)) : cached / 3
  }
  /// Floats of a block that also adds to so many sums, all of which every block visits: half as many, so that larger sums are
  /// visited less often, from a quarter of the second-level cache to two megabytes. Before a slow third level three quarters of a
  /// megabyte beside sums of a quarter at most: their tiles begin and end with the sums, and fewer blocks do so less often.
  static func floats(beside sums: Int) -> Int {
    CacheSize.isBeforeSlowThirdLevel && sums <= cached / 2 ? cached * 3 / 2 : min(max(sums, cached), 1 << 20) / 2
  }

  /// Panels of a block whose filter is transformed row by row, of so many floats a panel: a quarter of the second-level cache,
  /// beside the taps and a row of the inputs, which each block reads again; four at most, and as many as a register tile is wide at
  /// least.
  static func panels(ofRow floats: Int) -> Int { max(WidestColumns.lanes / 16, min(4, cached / 2 / floats)) }

  func pieces(threads: Int) -> PieceRule {
    switch self {
    case .tiles: .tiles(threads: threads)
    case .channels: .whole
    }
  }

  /// - Parameters:
  ///   - tiles: tiles of all images.
  ///   - points: of a tile, and likewise the `products` that are kept of it, as many unless said.
  ///   - inputChannels: channels summed over, those of all phases; likewise `panels` of 16 output channels.
  ///   - grain: tiles whose products are computed together, of which blocks are multiples: the register tile's rows.
  ///   - panelsAtMost: of a block of channels.
  init(
    tiles: Int, points: Int, products: Int? = nil, inputChannels: Int, panels: Int, threads: Int, blockFloats: Int,
    grain: Int = 6, panelsAtMost: Int = 4
  ) {
    if tiles * oddLines(inputChannels) < panels * 16 * inputChannels && panels >= threads {
      let share = (panels + threads - 1) / threads
      let pieces = (share + panelsAtMost - 1) / panelsAtMost
      self = .channels((share + pieces - 1) / pieces * 16)
    } else {
      let floats = points * oddLines(inputChannels) + (products ?? points) * oddLines(panels * 16)
      // Register tiles take twelve rows; those of a row of points read as many tiles as registers hold, whether they are there or not.
      let most = blockFloats / floats
      let fitting = grain == 6 ? max(12, most / 12 * 12) : max(1, (most + grain - 1) / grain) * grain
      let share = (tiles + threads - 1) / threads
      self = .tiles(Self.equalBlocks(of: share, atMost: fitting, grain: grain))
    }
  }

  /// The tiles of blocks of about the same size which together are `tiles`: whole grains where `most` is.
  static func equalBlocks(of tiles: Int, atMost most: Int, grain: Int) -> Int {
    let blocks = (tiles + most - 1) / most
    return min(most, ((tiles + blocks - 1) / blocks + grain - 1) / grain * grain)
  }
}
