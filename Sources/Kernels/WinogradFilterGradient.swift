/// Winograd's algorithm for the filter gradient of 3x3 convolutions of stride 1: the adjoint of the forward pass with
/// respect to the filter, G' [sum over tiles of (B' d B) x (A y A')] G, a matrix product for each of the tile's points.
struct WinogradFilterGradient<Tile: WinogradTile> {
  let problem: WinogradProblem
  let grid: WinogradGrid
  let blocking: WinogradBlocking
  private let threads: Int

  private var panels: Int { (problem.outputChannels + 15) / 16 }
  private let tilesAtOnce, channelsAtOnce, inputRow, sumRow: Int
  private let inputSlice, outputPanel, outputSlice, sumSlice: Int
  private let workspace: Int

  init(_ shape: ConvolutionShape, threads: Int, blocking: WinogradBlocking? = nil) {
    problem = .forward(shape)
    self.threads = threads
    grid = problem.grid(outputs: Tile.outputs)
    let tiles = problem.images * grid.tiles
    let panels = (problem.outputChannels + 15) / 16
    self.blocking =
      blocking
      ?? WinogradBlocking(
        tiles: tiles, points: Tile.points, inputChannels: problem.inputChannels,
        outputChannels: problem.outputChannels, threads: threads)
    switch self.blocking {
    case .tiles(let count): (tilesAtOnce, channelsAtOnce) = (min(count, tiles), panels * 16)
    case .channels(let count): (tilesAtOnce, channelsAtOnce) = (tiles, count)
    }
    inputRow = oddLines(problem.inputChannels)
    inputSlice = oddLines(tilesAtOnce * inputRow + 8)
    outputPanel = tilesAtOnce * 16
    outputSlice = oddLines(channelsAtOnce / 16 * outputPanel)
    sumRow = oddLines(channelsAtOnce)
    sumSlice = oddLines(problem.inputChannels * sumRow)
    workspace = oddLines(WinogradTransform<Tile>.workspaceFloats(channels: problem.inputChannels))
  }

  private var inputFloats: Int { Tile.points * inputSlice }
  private var outputFloats: Int { Tile.points * outputSlice }
  private var sumFloats: Int { Tile.points * sumSlice }

  /// Working memory: what the threads share, and what each has for itself.
  var scratchFloats: Int {
    switch blocking {
    case .tiles: threads * (inputFloats + outputFloats + sumFloats + workspace)
    case .channels: inputFloats + threads * (outputFloats + sumFloats + workspace)
    }
  }

  /// filterGradient[tap][inputChannels][outputChannels] = the gradient of sum(output * outputGradient).
  func run(
    images: Int, input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    filterGradient: UnsafeMutablePointer<Float>, team: ThreadTeam, memory: UnsafeMutablePointer<Float>
  ) {
    let tiles = images * grid.tiles
    switch blocking {
    case .tiles: runByTiles(tiles, input, outputGradient, filterGradient, team, memory)
    case .channels: runByChannels(tiles, input, outputGradient, filterGradient, team, memory)
    }
  }

  /// Each thread sums over its own tiles; the sums are added in the order of the threads.
  private func runByTiles(
    _ tiles: Int, _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
    _ gradient: UnsafeMutablePointer<Float>, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>
  ) {
    let own = sumFloats + inputFloats + outputFloats + workspace
    team.run { thread in
      let sum = memory + thread * own
      let (v, z) = (sum + sumFloats, sum + sumFloats + inputFloats)
      let share = team.share(of: tiles, thread: thread)
      if share.isEmpty { sum.update(repeating: 0, count: sumFloats) }
      for first in stride(from: share.lowerBound, to: share.upperBound, by: tilesAtOnce) {
        let range = first..<min(first + tilesAtOnce, share.upperBound)
        transformInput(range, input, v, z + outputFloats)
        addProducts(range, v, outputGradient, 0, panels, z, sum, accumulate: first > share.lowerBound)
      }
    }
    team.run { thread in
      finish(
        team.share(of: problem.inputChannels, thread: thread), 0, problem.outputChannels, memory, parts: team.threads,
        partStride: own, gradient, memory + thread * own + sumFloats + inputFloats + outputFloats)
    }
  }

  /// Each thread sums over all tiles for its own output channels.
  private func runByChannels(
    _ tiles: Int, _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
    _ gradient: UnsafeMutablePointer<Float>, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>
  ) {
    let own = sumFloats + outputFloats + workspace
    team.run { thread in
      let share = team.share(of: tiles, thread: thread)
      transformInput(
        share, input, memory + share.lowerBound * inputRow,
        memory + inputFloats + thread * own + sumFloats + outputFloats)
    }
    team.run { thread in
      let sum = memory + inputFloats + thread * own
      let z = sum + sumFloats
      let share = team.share(of: panels, thread: thread)
      for first in stride(from: share.lowerBound, to: share.upperBound, by: channelsAtOnce / 16) {
        let count = min(channelsAtOnce / 16, share.upperBound - first)
        addProducts(0..<tiles, memory, outputGradient, first * 16, count, z, sum, accumulate: false)
        finish(
          0..<problem.inputChannels, first * 16, min(count * 16, problem.outputChannels - first * 16), sum, parts: 1,
          partStride: 0, gradient, z + outputFloats)
      }
    }
  }

  private func transformInput(
    _ tiles: Range<Int>, _ input: UnsafePointer<Float>, _ v: UnsafeMutablePointer<Float>,
    _ space: UnsafeMutablePointer<Float>
  ) {
    WinogradTransform<Tile>.input(
      grid, tiles: tiles, channels: problem.inputChannels, map: input, v: v, rowStride: inputRow, slice: inputSlice,
      workspace: space)
  }

  /// sum[point][inputChannels][panels x 16] (+)= v' z over a block of tiles.
  private func addProducts(
    _ tiles: Range<Int>, _ v: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>, _ first: Int,
    _ panels: Int, _ z: UnsafeMutablePointer<Float>, _ sum: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    WinogradTransform<Tile>.outputGradient(
      grid, tiles: tiles, first: first, count: min(panels * 16, problem.outputChannels - first),
      channels: problem.outputChannels, map: outputGradient, z: z, panelStride: outputPanel, slice: outputSlice,
      workspace: z + outputFloats)
    for point in 0..<Tile.points {
      for panel in 0..<panels {
        RegisterBlock.multiplyTransposed(
          rows: problem.inputChannels, k: tiles.count, a: v + point * inputSlice, lda: inputRow,
          b: z + point * outputSlice + panel * outputPanel, ldb: 16, c: sum + point * sumSlice + panel * 16,
          ldc: sumRow, columns: 16, accumulate: accumulate)
      }
    }
  }

  private func finish(
    _ inputs: Range<Int>, _ first: Int, _ count: Int, _ sum: UnsafePointer<Float>, parts: Int, partStride: Int,
    _ gradient: UnsafeMutablePointer<Float>, _ space: UnsafeMutablePointer<Float>
  ) {
    WinogradTransform<Tile>.filterGradient(
      inputs: inputs, inputChannels: problem.inputChannels, first: first, count: count,
      outputChannels: problem.outputChannels, u: sum, rowStride: sumRow, slice: sumSlice, parts: parts,
      partStride: partStride, gradient: gradient, workspace: space)
  }
}
