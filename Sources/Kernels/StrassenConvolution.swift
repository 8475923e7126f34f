/// 1x1 convolutions of stride 1 by Strassen's algorithm: products of pixels and channels as in `MatrixConvolution`, halved along
/// pixels and both kinds of channels.
enum StrassenConvolution {
  /// Whether both kinds of channels halve into whole panels of 16 columns.
  static func applies(to shape: ConvolutionShape) -> Bool {
    ConvolutionAlgorithm.matrix.applies(to: shape) && shape.inputChannels % 32 == 0 && shape.outputChannels % 32 == 0
  }

  /// Whether an eighth of the products is worth the sums: where the filter's sums stay near the core. A filter gradient's sums
  /// of both sides cost what they save.
  static func isWorthwhile(_ shape: ConvolutionShape, _ pass: ConvolutionPass) -> Bool {
    applies(to: shape) && min(shape.inputChannels, shape.outputChannels) >= 128 && pass != .filterGradient
      && MatrixConvolution.isCached(shape)
  }

  /// About even parts of half a depth, whole vectors, as long as a panel may be to stay in the first-level cache.
  static func depth(_ half: Int) -> Int {
    let pieces = (half + 319) / 320
    return ((half + pieces - 1) / pieces + 15) / 16 * 16
  }

  /// The rows of a matrix in groups of whole images, and these in blocks whose first half is joined with the second: the same
  /// blocks, so the same bits, however many groups a piece or a thread has.
  struct RowBlocks {
    /// Images of a group; rows of a group and of its blocks.
    let images, group, block: Int
    /// Rows of half a block, the larger one.
    var half: Int { (block + 1) / 2 }

    /// - Parameters:
    ///   - pixels: rows of an image.
    ///   - wanted: rows of a block.
    init(pixels: Int, wanted: Int) {
      images = max(1, wanted / pixels)
      group = images * pixels
      let blocks = max(1, (group + wanted / 2) / wanted)
      block = (group + blocks - 1) / blocks
    }

    /// The blocks of `rows`, which begin with a group.
    func forEach(_ rows: Range<Int>, _ body: (Range<Int>) -> Void) {
      for first in stride(from: rows.lowerBound, to: rows.upperBound, by: group) {
        let end = min(first + group, rows.upperBound)
        for row in stride(from: first, to: end, by: block) { body(row..<min(row + block, end)) }
      }
    }
  }
}

/// The forward pass, or the input gradient: pixels x channels times the filter, of which all sums of quarters are packed once.
struct StrassenCorrelation: CorrelationKernel {
  let pieces: PieceRule
  private let pixels, stored: Int
  private let backward: Bool
  /// Half the channels summed over, half those of the result, and the depth of a panel.
  private let from, to, depth: Int
  private let blocks: StrassenConvolution.RowBlocks
  private let threads: Int

  init(_ shape: ConvolutionShape, _ pass: ConvolutionPass, threads: Int) {
    pixels = shape.height * shape.width
    stored = shape.outputChannels
    backward = pass == .inputGradient
    let (inputs, outputs) = (shape.inputChannels / 2, shape.outputChannels / 2)
    (from, to) = backward ? (outputs, inputs) : (inputs, outputs)
    depth = StrassenConvolution.depth(from)
    blocks = StrassenConvolution.RowBlocks(pixels: pixels, wanted: 72)
    self.threads = threads
    pieces = MatrixConvolution.pieces(shape, grain: blocks.images)
  }

  private var packedFloats: Int { Strassen.products * from * to }
  /// Floats from a row of a sum to the next, and from a product's sum to the next product's.
  private var sumRow: Int { oddLines(depth) }
  private var sumSlice: Int { blocks.half * sumRow }
  /// A thread's own: sums of rows; while the filter is packed, two panels.
  private var ownFloats: Int { max(Strassen.products * sumSlice, 2 * depth * 16) }
  var scratchFloats: Int { packedFloats + threads * ownFloats }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    switch call {
    case .filter(let filter): pack(filter, team, memory)
    case .images(let maps, let thread): multiply(0..<maps.images * pixels, maps, thread, memory)
    case .all(let maps, let filter):
      pack(filter, team, memory)
      team.run { thread in
        multiply(team.share(of: maps.images * pixels, thread: thread, grain: blocks.group), maps, thread, memory)
      }
    }
  }

  /// packed[block of depth][panel][product][depth][16] of the filter's sums.
  private func pack(_ filter: UnsafePointer<Float>, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    let b = StoredMatrix(filter, row: stored, isTransposed: backward)
    team.run { thread in
      let (b12, b21) = (own(thread, memory), own(thread, memory) + depth * 16)
      let columns = team.share(of: to, thread: thread, grain: 16)
      for first in stride(from: 0, to: from, by: depth) {
        let length = min(depth, from - first)
        for column in stride(from: columns.lowerBound, to: columns.upperBound, by: 16) {
          let panel = panel(first, length, column, memory)
          let (b11, b22) = (panel + length * 16, panel + 4 * length * 16)
          b.pack(column, 16, first, length, b11)
          b.pack(column + to, 16, first, length, b12)
          b.pack(column, 16, first + from, length, b21)
          b.pack(column + to, 16, first + from, length, b22)
          for place in stride(from: 0, to: length * 16, by: 16) {
            typealias V = SixteenColumns
            Strassen.right(
              V.load(b11 + place), V.load(b12 + place), V.load(b21 + place), V.load(b22 + place)
            ) { $1.store(panel + $0 * length * 16 + place) }
          }
        }
      }
    }
  }

  private func own(_ thread: Int, _ memory: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    memory + packedFloats + thread * ownFloats
  }

  /// The packed products of 16 columns and a block of depth.
  private func panel(
    _ first: Int, _ length: Int, _ column: Int, _ memory: UnsafeMutablePointer<Float>
  ) -> UnsafeMutablePointer<Float> { memory + Strassen.products * (first * to + column * length) }

  private func multiply(
    _ rows: Range<Int>, _ maps: CorrelationMaps, _ thread: Int, _ memory: UnsafeMutablePointer<Float>
  ) {
    let sums = own(thread, memory)
    blocks.forEach(rows) { block in
      for first in stride(from: 0, to: from, by: depth) {
        let length = min(depth, from - first)
        let half = (block.count + 1) / 2
        addRows(maps.input + block.lowerBound * 2 * from + first, half, block.count - half, length, sums)
        let sevenProducts = SevenProducts(
          a: maps.input + block.lowerBound * 2 * from + first, lda: 2 * from, sums: sums, sumSlice: sumSlice,
          sumRow: sumRow, length: length,
          panels: PackedPanels(panel(first, length, 0, memory), stride: Strassen.products * length * 16),
          c: Strassen.Block(
            c11: maps.output + block.lowerBound * 2 * to, right: to, below: half * 2 * to, row: 2 * to, rows: half,
            rowsBelow: block.count - half, accumulate: maps.accumulate || first > 0))
        RegisterBlock.eachTile(of: to, sevenProducts)
      }
    }
  }

  /// sums[product][half x length] of the quarters of a block of rows, the lower of which may have a row less.
  private func addRows(
    _ a: UnsafePointer<Float>, _ half: Int, _ below: Int, _ length: Int, _ sums: UnsafeMutablePointer<Float>
  ) {
    typealias V = SixteenColumns
    for row in 0..<half {
      let upper = a + row * 2 * from
      let lower = row < below ? upper + half * 2 * from : nil
      let target = sums + row * sumRow
      for k in stride(from: 0, to: length, by: 16) {
        let (a11, a12, a21, a22) = Strassen.quarters(
          upper + k, lower.map { $0 + k }, half: from, zero: V(repeating: 0), V.load)
        Strassen.left(a11, a12, a21, a22) { $1.store(target + $0 * sumSlice + k) }
        a22.store(target + 3 * sumSlice + k)
      }
    }
  }
}

/// All products of a block of rows and one of depth.
private struct SevenProducts: TiledProduct {
  /// The only factor that is no sum of quarters and all there, read where it is.
  let a: UnsafePointer<Float>
  let lda: Int
  /// The others, by product.
  let sums: UnsafePointer<Float>
  let sumSlice, sumRow, length: Int
  /// [panel][product][length][16].
  let panels: PackedPanels
  let c: Strassen.Block

  @inline(__always)
  func multiply<Columns: TileColumns>(
    _: Columns.Type, from column: Int, columns: Int, _ ahead: inout Lookahead
  ) {
    let (panels, c) = (panels.from(column), c.from(column))
    for product in 0..<Strassen.products {
      let (left, row) = product == 2 ? (a, lda) : (sums + product * sumSlice, sumRow)
      RegisterBlock.multiply(
        Columns.self, RegisterBlock.Left(a: left, lda: row, rows: c.rows, k: length),
        b: PackedPanels(panels.base + product * length * 16, stride: panels.stride), into: c.sums(of: product))
    }
  }
}
