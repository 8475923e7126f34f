/// Winograd's algorithm for the filter gradient of 3x3 convolutions: the adjoint of the forward pass with respect to the
/// filter, G' [sum over tiles of (B' d B) x (A y A')] G, a matrix product for each of the tile's points.
struct WinogradFilterGradient<Rows: WinogradTile, Columns: WinogradTile>: FilterGradientKernel {
  private typealias Transform = WinogradTransform<Rows, Columns>
  private let problem: WinogradProblem
  private let threads: Int
  private let blocking: WinogradBlocking
  private let reads: [WinogradView]
  private let outputView: WinogradView
  private let tilesOfImage: Int
  /// Input channels of all phases, and panels of 16 output channels.
  private let depth, panels: Int
  private let tilesAtOnce, panelsAtOnce, inputsAtOnce, inputRow, sumRow: Int
  private let inputSlice, outputPanel, outputSlice, sumSlice: Int
  private let workspace: Int
  /// Products of a number and a register of 16 channels that a tile is.
  private let productsOfTile: Int
  /// For each phase and tap of the tile, its place in the filter, or -1.
  private let taps: OffsetTable
  /// The phases that reach each of the tile's points.
  private let reachedPhases: [Range<Int>]

  init(_ shape: ConvolutionShape, threads: Int) { self.init(WinogradProblem.forward(shape), threads: threads) }

  /// - Parameter problem: the forward pass that the filter belongs to.
  init(_ problem: WinogradProblem, threads: Int) {
    self.problem = problem
    self.threads = threads
    let rows = problem.tiles(problem.outputHeight, outputs: Rows.outputs)
    let columns = problem.tiles(problem.outputWidth, outputs: Columns.outputs)
    reads = problem.phases.map {
      WinogradView(
        height: problem.inputHeight, width: problem.inputWidth, channels: problem.inputChannels,
        stride: problem.inputStride, row: $0.row, column: $0.column, tileRows: rows, tileColumns: columns,
        rowStep: Rows.outputs, columnStep: Columns.outputs)
    }
    outputView = WinogradView(
      height: problem.outputHeight, width: problem.outputWidth, channels: problem.outputChannels, stride: 1, row: 0,
      column: 0, tileRows: rows, tileColumns: columns, rowStep: Rows.outputs,
      columnStep: Columns.outputs)
    taps = OffsetTable(problem.phases.flatMap { problem.tapPlaces($0).map { $0 ?? -1 } })
    reachedPhases = problem.reachedPhases(Rows.self, Columns.self)
    tilesOfImage = rows * columns
    depth = reads.count * problem.usedChannels
    panels = (problem.outputChannels + 15) / 16
    productsOfTile = problem.reachedPoints(Rows.self, Columns.self) * problem.usedChannels * panels
    let tiles = problem.images * tilesOfImage
    blocking = WinogradBlocking(
      tiles: tiles, points: Transform.points, inputChannels: depth, panels: panels, threads: threads,
      blockFloats: WinogradBlocking.floats(beside: Transform.points * depth * panels * 16))
    switch blocking {
    case .tiles(let count): (tilesAtOnce, panelsAtOnce, inputsAtOnce) = (min(count, tiles), panels, depth)
    case .channels(let count): (tilesAtOnce, panelsAtOnce, inputsAtOnce) = (tiles, count / 16, min(48, depth))
    }
    inputRow = oddLines(reads.count * problem.inputChannels)
    inputSlice = oddLines(tilesAtOnce * inputRow + 8)
    outputPanel = tilesAtOnce * 16
    outputSlice = oddLines(panelsAtOnce * outputPanel)
    sumRow = oddLines(panelsAtOnce * 16)
    sumSlice = oddLines(inputsAtOnce * sumRow)
    workspace = oddLines(
      max(
        Transform.workspaceFloats(channels: problem.inputChannels, stride: problem.inputStride),
        Transform.filterWorkspaceFloats))
  }

  private var inputFloats: Int { Transform.points * inputSlice }
  private var outputFloats: Int { Transform.points * outputSlice }
  private var sumFloats: Int { Transform.points * sumSlice }

  /// Working memory: what the threads share, and what each has for itself.
  var scratchFloats: Int {
    switch blocking {
    case .tiles: threads * (inputFloats + outputFloats + sumFloats + workspace)
    case .channels: inputFloats + threads * (outputFloats + sumFloats + workspace)
    }
  }

  var pieces: PieceRule { blocking.pieces(threads: threads) }

  var activatesInput: Bool { Transform.activates(reads, images: problem.images) }

  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    switch blocking {
    case .tiles: runByTiles(call, team, memory)
    case .channels: runByChannels(call, team, memory)
    }
  }

  /// Each thread sums over its own tiles; the sums are added in the order of the threads.
  private func runByTiles(_ call: FilterGradientCall, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    let own = sumFloats + inputFloats + outputFloats + workspace
    team.run { thread in
      let sum = memory + thread * own
      let (v, z) = (sum + sumFloats, sum + sumFloats + inputFloats)
      let share = team.share(of: call.images * tilesOfImage, thread: thread)
      if share.isEmpty && call.isFirst { sum.update(repeating: 0, count: sumFloats) }
      for first in stride(from: share.lowerBound, to: share.upperBound, by: tilesAtOnce) {
        let range = share.block(from: first, of: tilesAtOnce)
        let next = share.block(from: range.upperBound, of: tilesAtOnce)
        transformInput(range, call.input, call.activation, v, z + outputFloats)
        transformOutputGradient(range, call.outputGradient, 0..<panels, z)
        addProducts(
          range.count, 0..<depth, v, panels, z, sum, accumulate: first > share.lowerBound || !call.isFirst,
          Lookahead(
            products: range.count * productsOfTile,
            .init(call.input, reads[0].lines(of: next, side: Rows.inputs)),
            .init(call.outputGradient, outputView.lines(of: next, side: Rows.outputs))))
      }
    }
    guard call.isLast else { return }
    team.run { thread in
      let inputs = team.share(of: depth, thread: thread)
      finish(
        inputs, 0..<panels, memory + inputs.lowerBound * sumRow, parts: team.threads, partStride: own,
        call.filterGradient, memory + thread * own + sumFloats + inputFloats + outputFloats)
    }
  }

  /// Each thread sums over all tiles for its own output channels, and for few input channels at a time, so that the
  /// sums are transformed back before they leave the second-level cache.
  private func runByChannels(_ call: FilterGradientCall, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    let tiles = call.images * tilesOfImage
    let own = sumFloats + outputFloats + workspace
    team.run { thread in
      let share = team.share(of: tiles, thread: thread)
      let space = memory + inputFloats + thread * own + sumFloats + outputFloats
      transformInput(share, call.input, call.activation, memory + share.lowerBound * inputRow, space)
    }
    team.run { thread in
      let sum = memory + inputFloats + thread * own
      let z = sum + sumFloats
      let share = team.share(of: panels, thread: thread)
      for first in stride(from: share.lowerBound, to: share.upperBound, by: panelsAtOnce) {
        let range = first..<min(first + panelsAtOnce, share.upperBound)
        transformOutputGradient(0..<tiles, call.outputGradient, range, z)
        for input in stride(from: 0, to: depth, by: inputsAtOnce) {
          let inputs = input..<min(input + inputsAtOnce, depth)
          addProducts(tiles, inputs, memory, range.count, z, sum, accumulate: false, nil)
          finish(inputs, range, sum, parts: 1, partStride: 0, call.filterGradient, z + outputFloats)
        }
      }
    }
  }

  /// v[point][tile][phase][inputChannels].
  private func transformInput(
    _ tiles: Range<Int>, _ input: UnsafePointer<Float>, _ activation: InputActivation?,
    _ v: UnsafeMutablePointer<Float>, _ space: UnsafeMutablePointer<Float>
  ) {
    Transform.inputs(
      reads, tiles: tiles, map: input, activation, v: v, TileLayout(slice: inputSlice, row: inputRow), workspace: space)
  }

  /// z[point][panel][tile][16] of a block of tiles and a range of panels of output channels.
  private func transformOutputGradient(
    _ tiles: Range<Int>, _ outputGradient: UnsafePointer<Float>, _ range: Range<Int>, _ z: UnsafeMutablePointer<Float>
  ) {
    let first = range.lowerBound * 16
    Transform.outputGradient(
      outputView, tiles: tiles, first: first, count: min(range.count * 16, problem.outputChannels - first),
      map: outputGradient, z: z, panelStride: outputPanel, slice: outputSlice, workspace: z + outputFloats)
  }

  /// sum[point][inputs][panels x 16] (+)= v' z over a block of tiles, skipping phases that do not reach a point.
  /// - Parameter ahead: what to ask for meanwhile; nil for each point's products to ask for the next one's inputs, where all of
  ///   them have long left the second-level cache.
  private func addProducts(
    _ tiles: Int, _ inputs: Range<Int>, _ v: UnsafePointer<Float>, _ panels: Int, _ z: UnsafePointer<Float>,
    _ sum: UnsafeMutablePointer<Float>, accumulate: Bool, _ ahead: Lookahead?
  ) {
    var asked = ahead ?? .nothing
    for point in 0..<Transform.points {
      let phases = reachedPhases[point]
      let rows = inputs.clamped(
        to: phases.lowerBound * problem.usedChannels..<phases.upperBound * problem.usedChannels)
      if rows.isEmpty { continue }
      if ahead == nil {
        // After the last point the first one's of the next block of inputs.
        let next =
          point + 1 < Transform.points ? v + (point + 1) * inputSlice + rows.lowerBound : v + inputs.upperBound
        asked = Lookahead(
          products: tiles * rows.count * panels,
          .init(next, width: rows.count, rows: tiles, distance: inputRow))
      }
      RegisterBlock.multiplyTransposed(
        rows: rows.count, k: tiles, a: v + point * inputSlice + rows.lowerBound, lda: inputRow,
        b: PackedPanels(z + point * outputSlice, stride: outputPanel),
        c: sum + point * sumSlice + (rows.lowerBound - inputs.lowerBound) * sumRow, ldc: sumRow, columns: panels * 16,
        accumulate: accumulate, asksForSums: sumFloats > CacheSize.secondLevel, &asked)
    }
  }

  /// Transforms back the sums of a range of input channels, which begin at `sum`.
  private func finish(
    _ inputs: Range<Int>, _ range: Range<Int>, _ sum: UnsafePointer<Float>, parts: Int, partStride: Int,
    _ gradient: UnsafeMutablePointer<Float>, _ space: UnsafeMutablePointer<Float>
  ) {
    let first = range.lowerBound * 16
    for phase in reads.indices {
      let start = phase * problem.usedChannels
      let own = inputs.clamped(to: start..<start + problem.usedChannels)
      if own.isEmpty { continue }
      Transform.filterGradient(
        inputs: own.count, count: min(range.count * 16, problem.outputChannels - first),
        of: Transform.Sums(
          u: sum + (own.lowerBound - inputs.lowerBound) * sumRow, rowStride: sumRow, slice: sumSlice, parts: parts,
          partStride: partStride),
        gradient: gradient + (own.lowerBound - start) * problem.outputChannels + first,
        gradientRow: problem.outputChannels, taps: taps.pointer + phase * Rows.taps * Columns.taps, workspace: space)
    }
  }
}
