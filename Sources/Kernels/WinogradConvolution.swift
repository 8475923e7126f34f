/// Winograd's algorithm for the forward pass and the input gradient of 3x3 convolutions of stride 1: transformed tiles
/// times transformed filters, a matrix product for each of the tile's points.
struct WinogradConvolution<Tile: WinogradTile> {
  let problem: WinogradProblem
  let grid: WinogradGrid
  let blocking: WinogradBlocking
  private let threads: Int

  private var panels: Int { (problem.outputChannels + 15) / 16 }
  /// Tiles and output channels worked on at a time, and the row lengths of what they are transformed to.
  private let tilesAtOnce, channelsAtOnce, inputRow, productRow: Int
  /// Distances from a point's matrix to the next point's.
  private let inputSlice, productSlice, filterSlice: Int
  private let workspace: Int

  init(_ problem: WinogradProblem, threads: Int, blocking: WinogradBlocking? = nil) {
    self.problem = problem
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
    productRow = oddLines(channelsAtOnce)
    inputSlice = oddLines(tilesAtOnce * inputRow)
    productSlice = oddLines(tilesAtOnce * productRow)
    filterSlice = oddLines(problem.inputChannels * channelsAtOnce)
    let transform = WinogradTransform<Tile>.workspaceFloats(channels: problem.inputChannels)
    workspace = oddLines(max(transform, 9 * 8 * 16 + Tile.points * 8))
  }

  private var inputFloats: Int { Tile.points * inputSlice }
  private var filterFloats: Int { Tile.points * filterSlice }
  private var productFloats: Int { Tile.points * productSlice }

  /// Working memory: what the threads share, and what each has for itself.
  var scratchFloats: Int {
    switch blocking {
    case .tiles: filterFloats + threads * (inputFloats + productFloats + workspace)
    case .channels: inputFloats + threads * (filterFloats + productFloats + workspace)
    }
  }

  /// output (+)= the correlation of input with the filter.
  func run(
    images: Int, input: UnsafePointer<Float>, filter: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>,
    accumulate: Bool, team: ThreadTeam, memory: UnsafeMutablePointer<Float>
  ) {
    let tiles = images * grid.tiles
    switch blocking {
    case .tiles:
      let own = inputFloats + productFloats + workspace
      team.run { thread in
        let space = memory + filterFloats + thread * own
        transformFilter(team.share(of: panels, thread: thread), filter, memory, space)
      }
      team.run { thread in
        let v = memory + filterFloats + thread * own
        let share = team.share(of: tiles, thread: thread)
        for first in stride(from: share.lowerBound, to: share.upperBound, by: tilesAtOnce) {
          let range = first..<min(first + tilesAtOnce, share.upperBound)
          transformInput(range, input, v, v + inputFloats + productFloats)
          multiply(
            range, v, memory, panels, first: 0, v + inputFloats, output, accumulate,
            v + inputFloats + productFloats)
        }
      }
    case .channels:
      let own = filterFloats + productFloats + workspace
      team.run { thread in
        let share = team.share(of: tiles, thread: thread)
        transformInput(
          share, input, memory + share.lowerBound * inputRow,
          memory + inputFloats + thread * own + filterFloats + productFloats)
      }
      team.run { thread in
        let u = memory + inputFloats + thread * own
        let share = team.share(of: panels, thread: thread)
        for first in stride(from: share.lowerBound, to: share.upperBound, by: channelsAtOnce / 16) {
          let range = first..<min(first + channelsAtOnce / 16, share.upperBound)
          transformFilter(range, filter, u, u + filterFloats + productFloats, from: first)
          multiply(
            0..<tiles, memory, u, range.count, first: first * 16, u + filterFloats, output, accumulate,
            u + filterFloats + productFloats)
        }
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

  /// The products of a block of tiles with a block of channels, transformed back into the output.
  private func multiply(
    _ tiles: Range<Int>, _ v: UnsafePointer<Float>, _ u: UnsafePointer<Float>, _ panels: Int, first: Int,
    _ products: UnsafeMutablePointer<Float>, _ output: UnsafeMutablePointer<Float>, _ accumulate: Bool,
    _ space: UnsafeMutablePointer<Float>
  ) {
    let k = problem.inputChannels
    for point in 0..<Tile.points {
      for panel in 0..<panels {
        RegisterBlock.multiply(
          rows: tiles.count, k: k, a: v + point * inputSlice, lda: inputRow,
          b: u + point * filterSlice + panel * 16 * k, c: products + point * productSlice + panel * 16,
          ldc: productRow, columns: 16, accumulate: false)
      }
    }
    WinogradTransform<Tile>.output(
      grid, tiles: tiles, first: first, count: min(panels * 16, problem.outputChannels - first),
      channels: problem.outputChannels, p: products, rowStride: productRow, slice: productSlice, map: output,
      accumulate: accumulate, workspace: space)
  }

  /// u[point][panel - from][inputChannels][16] for a range of panels of 16 output channels.
  private func transformFilter(
    _ range: Range<Int>, _ filter: UnsafePointer<Float>, _ u: UnsafeMutablePointer<Float>,
    _ space: UnsafeMutablePointer<Float>, from: Int = 0
  ) {
    let taps = space + Tile.points * 8
    for panel in range {
      for k in stride(from: 0, to: problem.inputChannels, by: 8) {
        let count = min(8, problem.inputChannels - k)
        gather(panel * 16, k, count, filter, taps)
        WinogradTransform<Tile>.filter(
          count: count, g: taps, tapStride: 128, u: u + ((panel - from) * problem.inputChannels + k) * 16,
          slice: filterSlice, workspace: space)
      }
    }
  }

  /// taps[9][8][16] of `count` input channels from k on and 16 output channels from o on, zeros right of the last.
  private func gather(
    _ o: Int, _ k: Int, _ count: Int, _ filter: UnsafePointer<Float>, _ taps: UnsafeMutablePointer<Float>
  ) {
    let (inputs, outputs) = (problem.inputChannels, problem.outputChannels)
    let columns = min(16, outputs - o)
    for tap in 0..<9 {
      let target = taps + tap * 128
      if !problem.rotated {
        Packing.panelsOf16(
          filter + (tap * inputs + k) * outputs + o, ldb: outputs, k: count, columns: columns, target, panelStride: 0)
      } else {
        Packing.transposedColumns(
          filter + ((8 - tap) * outputs + o) * inputs + k, ldb: inputs, k: count, columns: columns, target)
      }
    }
  }
}
