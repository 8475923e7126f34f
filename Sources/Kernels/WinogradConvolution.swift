/// Winograd's algorithm for the forward pass and the input gradient of 3x3 convolutions: transformed tiles times
/// transformed filters, a matrix product for each of the tile's points.
struct WinogradConvolution<Rows: WinogradTile, Columns: WinogradTile>: CorrelationKernel {
  private typealias Transform = WinogradTransform<Rows, Columns>
  private let problem: WinogradProblem
  private let threads: Int
  private let blocking: WinogradBlocking
  /// The maps as each phase sees them.
  private let reads, writes: [WinogradView]
  /// Of each of the problem's phases.
  private let tapPlaces: [[Int?]]
  /// Of each of the tile's points.
  private let reachedPhases: [Range<Int>]
  private let tilesOfImage: Int
  /// Channels summed over, and panels of 16 output channels of one phase and of all.
  private let depth, phasePanels, panels: Int
  /// Tiles and panels worked on at a time, and the row lengths of what they are transformed to.
  private let tilesAtOnce, panelsAtOnce, productRow: Int
  private let input: TileLayout
  /// Points that the filter is transformed to at a time: all, or, where blocks are of channels, a row of the tile's, right before
  /// its products. A row of a few panels stays in the second-level cache, which all of their points would leave, and what the
  /// ranks of a processor share is left to the maps. Each row reads the taps again, which are gathered for it.
  private let filterPoints: Int
  /// Whether products are transformed along a row of points before they leave the first-level cache; see `PointRow`.
  private let finishesRows: Bool
  /// Distances from a point's matrix, or a finished row's column, to the next one's.
  private let productSlice, filterSlice: Int
  /// Distance from a gathered tap to the next.
  private let gatheredTap: Int
  private let workspace: Int
  /// Products of a number and a register of 16 channels that a tile is.
  private let productsOfTile: Int
  /// Input channels of the filter transformed at a time.
  private static var rowsAtOnce: Int { 8 }

  /// - Parameter finishingRows: whether to finish rows, where that applies; nil for where it is worthwhile.
  init(_ problem: WinogradProblem, threads: Int, finishingRows: Bool? = nil) {
    self.problem = problem
    self.threads = threads
    let rows = problem.tiles(problem.outputHeight, outputs: Rows.outputs)
    let columns = problem.tiles(problem.outputWidth, outputs: Columns.outputs)
    reads = problem.inputPhases.indices.map {
      let place = problem.inputPlace($0)
      return WinogradView(
        height: problem.inputHeight, width: problem.inputWidth, channels: problem.inputChannels,
        stride: problem.inputStride, row: place.row, column: place.column, tileRows: rows, tileColumns: columns,
        rowStep: Rows.outputs, columnStep: Columns.outputs)
    }
    writes = problem.outputPhases.map {
      WinogradView(
        height: problem.outputHeight, width: problem.outputWidth, channels: problem.outputChannels,
        stride: problem.outputStride, row: $0.row, column: $0.column, tileRows: rows, tileColumns: columns,
        rowStep: Rows.outputs, columnStep: Columns.outputs)
    }
    tapPlaces = problem.phases.map(problem.tapPlaces)
    reachedPhases = problem.reachedPhases(Rows.self, Columns.self)
    tilesOfImage = rows * columns
    depth = reads.count * problem.usedChannels
    phasePanels = (problem.outputChannels + 15) / 16
    panels = writes.count * phasePanels
    productsOfTile = problem.reachedPoints(Rows.self, Columns.self) * problem.usedChannels * phasePanels
    let tiles = problem.images * tilesOfImage
    finishesRows =
      reads.count * writes.count == 1 && PointRow<Columns>.applies(depth: depth)
      && (finishingRows ?? PointRow<Columns>.isWorthwhile(depth: depth))
    blocking = WinogradBlocking(
      tiles: tiles, points: Transform.points, products: Self.products(finishesRows), inputChannels: depth,
      panels: panels, threads: threads,
      blockFloats: WinogradBlocking.floats(besideFilter: Transform.points * depth * panels * 16),
      grain: Self.grain(finishesRows),
      panelsAtMost: WinogradBlocking.panels(ofRow: Columns.side * depth * 16))
    switch blocking {
    case .tiles(let count): (tilesAtOnce, panelsAtOnce, filterPoints) = (min(count, tiles), panels, Transform.points)
    case .channels(let count): (tilesAtOnce, panelsAtOnce, filterPoints) = (tiles, count / 16, Columns.side)
    }
    productRow = oddLines(panelsAtOnce * 16)
    let inputs = reads.count * problem.inputChannels
    if finishesRows {
      let grain = Self.grain(true)
      let part = (tilesAtOnce + grain - 1) / grain * grain * 16
      input = TileLayout(slice: oddLines((inputs + 15) / 16 * part), part: part)
    } else {
      input = TileLayout(slice: oddLines(tilesAtOnce * oddLines(inputs)), row: oddLines(inputs))
    }
    productSlice = oddLines(tilesAtOnce * productRow)
    filterSlice = oddLines(depth * panelsAtOnce * 16)
    gatheredTap = oddLines(problem.usedChannels * 16)
    let transform = Transform.workspaceFloats(channels: problem.inputChannels, stride: problem.inputStride)
    workspace = oddLines(
      max(transform, Rows.taps * Columns.taps * Self.rowsAtOnce * 16 + Transform.filterWorkspaceFloats))
  }

  /// Tiles whose products are computed together.
  private var grain: Int { Self.grain(finishesRows) }
  private static func grain(_ finishesRows: Bool) -> Int { finishesRows ? PointRow<Columns>.tilesAtOnce : 6 }
  private var inputFloats: Int { Transform.points * input.slice }
  private var filterFloats: Int { filterPoints * filterSlice }
  /// Taps of a block of panels, gathered before they are transformed by rows, which read them again and again: the filter is
  /// then read once, and a transposed one by whole cache lines.
  private var gatheredPanel: Int { reads.count * gatheredPhase }
  private var gatheredPhase: Int { Rows.taps * Columns.taps * gatheredTap }
  private var gatheredFloats: Int { panelsAtOnce * gatheredPanel }
  private var productFloats: Int { Self.products(finishesRows) * productSlice }
  /// Numbers of a tile and an output channel that are kept from products to outputs.
  private static func products(_ finishesRows: Bool) -> Int {
    finishesRows ? Rows.side * Columns.outputs : Transform.points
  }

  /// Working memory: what the threads share, and what each has for itself.
  var scratchFloats: Int {
    switch blocking {
    case .tiles: filterFloats + threads * (inputFloats + productFloats + workspace)
    case .channels: inputFloats + threads * (gatheredFloats + filterFloats + productFloats + workspace)
    }
  }

  var pieces: PieceRule { blocking.pieces(threads: 1) }

  var activatesInput: Bool { Transform.activates(reads, images: problem.images) }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    switch blocking {
    case .tiles: runByTiles(call, team, memory)
    case .channels: runByChannels(call, team, memory)
    }
  }

  private func runByTiles(_ call: CorrelationCall, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    switch call {
    case .filter(let filter): pack(filter, team, memory)
    case .images(let maps, let thread): compute(0..<maps.images * tilesOfImage, maps, thread, memory)
    case .all(let maps, let filter):
      pack(filter, team, memory)
      team.run { compute(team.share(of: maps.images * tilesOfImage, thread: $0), maps, $0, memory) }
    }
  }

  /// What a thread has for itself where blocks are of tiles.
  private func own(_ thread: Int, _ memory: UnsafeMutablePointer<Float>) -> UnsafeMutablePointer<Float> {
    memory + filterFloats + thread * (inputFloats + productFloats + workspace)
  }

  /// u[point][panel][phase][inputChannels][16] of all panels of 16 output channels. Goes through the filter in the order in which
  /// it is stored.
  private func pack(_ filter: UnsafePointer<Float>, _ team: ThreadTeam, _ u: UnsafeMutablePointer<Float>) {
    let used = problem.usedChannels
    team.run { thread in
      let space = own(thread, u)
      let room = space + Transform.filterWorkspaceFloats
      for phase in reads.indices {
        for k in stride(from: 0, to: used, by: Self.rowsAtOnce) {
          let channels = k..<min(k + Self.rowsAtOnce, used)
          for panel in team.share(of: panels, thread: thread) {
            let taps: Transform.Taps
            if problem.isReadInPlace {
              taps = self.taps(panel, k, inPlace: filter)
            } else {
              taps = Transform.Taps(g: room, row: 16, tap: Self.rowsAtOnce * 16)
              gather(panel..<panel + 1, phase, channels, filter, room, tap: taps.tap)
            }
            Transform.filter(
              taps, count: channels.count, u: u + (panel * depth + phase * used + k) * 16, slice: filterSlice,
              workspace: space)
          }
        }
      }
    }
  }

  private func compute(
    _ tiles: Range<Int>, _ maps: CorrelationMaps, _ thread: Int, _ memory: UnsafeMutablePointer<Float>
  ) {
    let v = own(thread, memory)
    let (products, space) = (v + inputFloats, v + inputFloats + productFloats)
    guard !tiles.isEmpty else { return }
    let block = WinogradBlocking.equalBlocks(of: tiles.count, atMost: tilesAtOnce, grain: grain)
    for first in stride(from: tiles.lowerBound, to: tiles.upperBound, by: block) {
      let range = tiles.block(from: first, of: block)
      let next = tiles.block(from: range.upperBound, of: block)
      transformInput(range, maps.input, maps.activation, v, space)
      multiply(
        range.count, v, memory, 0..<panels, products, fillsZeros: first == tiles.lowerBound,
        Lookahead(
          products: range.count * productsOfTile,
          .init(maps.output, writes[0].lines(of: range, side: Rows.outputs)),
          .init(maps.input, reads[0].lines(of: next, side: Rows.inputs))))
      transformProducts(range, 0..<panels, products, maps, space)
    }
  }

  private func runByChannels(_ call: CorrelationCall, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    let (maps, filter) = call.whole
    let tiles = maps.images * tilesOfImage
    let own = gatheredFloats + filterFloats + productFloats + workspace
    team.run { thread in
      let share = team.share(of: tiles, thread: thread)
      let space = memory + inputFloats + (thread + 1) * own - workspace
      transformInput(share, maps.input, maps.activation, memory + share.lowerBound * input.row, space)
    }
    team.run { thread in
      let gathered = memory + inputFloats + thread * own
      let u = gathered + gatheredFloats
      let (products, space) = (u + filterFloats, u + filterFloats + productFloats)
      let share = team.share(of: panels, thread: thread)
      for first in stride(from: share.lowerBound, to: share.upperBound, by: panelsAtOnce) {
        let range = first..<min(first + panelsAtOnce, share.upperBound)
        gather(range, filter, gathered)
        for row in 0..<Rows.side {
          let points = row * Columns.side..<(row + 1) * Columns.side
          transformFilterRow(row, range, gathered, u, space)
          // Meanwhile for each point's inputs the next one's, as all of them have long left the second-level cache.
          let next = points.lowerBound + 1..<min(points.upperBound + 1, Transform.points)
          multiply(
            tiles, memory, u, range, products, points: points,
            Lookahead(
              products: tiles * depth * range.count * points.count,
              .init(memory, next.lowerBound * input.slice..<next.upperBound * input.slice)))
        }
        transformProducts(0..<tiles, range, products, maps, space)
      }
    }
  }

  /// v[point][tile][phase][inputChannels], or, where rows are finished, v[point][16 input channels][tile][16].
  private func transformInput(
    _ tiles: Range<Int>, _ map: UnsafePointer<Float>, _ activation: InputActivation?,
    _ v: UnsafeMutablePointer<Float>, _ space: UnsafeMutablePointer<Float>
  ) {
    Transform.inputs(
      reads, tiles: tiles, map: map, activation, v: v, input, workspace: space)
  }

  /// products[point][tile][panel][16] of a range of panels, skipping phases that do not reach a point, or, where rows are
  /// finished, [row of points][column of outputs][tile][panel][16].
  /// - Parameters:
  ///   - points: those whose products are wanted; u begins with the first. All of them unless said.
  ///   - fillsZeros: whether products of skipped phases are not zeros already.
  private func multiply(
    _ tiles: Int, _ v: UnsafePointer<Float>, _ u: UnsafePointer<Float>, _ range: Range<Int>,
    _ products: UnsafeMutablePointer<Float>, points: Range<Int>? = nil, fillsZeros: Bool = true,
    _ ahead: Lookahead = .nothing
  ) {
    let points = points ?? 0..<Transform.points
    var ahead = ahead
    if finishesRows {
      let rows = points.lowerBound / Columns.side..<points.upperBound / Columns.side
      return finishRows(rows, tiles, v, u, range.count, products, &ahead)
    }
    for point in points {
      let reached = reachedPhases[point]
      let summed = reads.count == 1 ? 0..<1 : reached
      let (start, k) = (summed.lowerBound * problem.inputChannels, summed.count * problem.usedChannels)
      // All phases of the map that is written at once, as their panels lie side by side.
      let own =
        writes.count == 1
        ? range : range.clamped(to: reached.lowerBound * phasePanels..<reached.upperBound * phasePanels)
      let place = products + point * productSlice
      if fillsZeros && own.count < range.count {
        for tile in 0..<tiles { (place + tile * productRow).update(repeating: 0, count: range.count * 16) }
      }
      if own.isEmpty { continue }
      let first = own.lowerBound - range.lowerBound
      RegisterBlock.multiply(
        rows: tiles, k: k, a: v + point * input.slice + start, lda: input.row,
        b: PackedPanels(
          u + (point - points.lowerBound) * filterSlice + (first * depth + start) * 16, stride: depth * 16),
        c: place + first * 16, ldc: productRow, columns: own.count * 16, accumulate: false, &ahead)
    }
  }

  /// `multiply` of whole rows of points.
  private func finishRows(
    _ rows: Range<Int>, _ tiles: Int, _ v: UnsafePointer<Float>, _ u: UnsafePointer<Float>, _ panels: Int,
    _ products: UnsafeMutablePointer<Float>, _ ahead: inout Lookahead
  ) {
    let (n, m) = (Columns.side, Columns.outputs)
    for row in rows {
      PointRow<Columns>(
        tiles: tiles, depth: depth, v: .init(first: v + row * n * input.slice, slice: input.slice),
        u: .init(first: u + (row - rows.lowerBound) * n * filterSlice, slice: filterSlice), inputPart: input.part,
        outputs: products + row * m * productSlice, slice: productSlice, row: productRow
      ).multiply(panels: panels, &ahead)
    }
  }

  private func transformProducts(
    _ tiles: Range<Int>, _ range: Range<Int>, _ products: UnsafePointer<Float>, _ maps: CorrelationMaps,
    _ space: UnsafeMutablePointer<Float>
  ) {
    for (phase, view) in writes.enumerated() {
      let own = range.clamped(to: phase * phasePanels..<(phase + 1) * phasePanels)
      if own.isEmpty { continue }
      let first = (own.lowerBound - phase * phasePanels) * 16
      Transform.output(
        view, tiles: tiles, first: first, count: min(own.count * 16, problem.outputChannels - first),
        p: products + (own.lowerBound - range.lowerBound) * 16, rowStride: productRow, slice: productSlice,
        hasFinishedRows: finishesRows, map: maps.output, accumulate: maps.accumulate, workspace: space)
    }
  }

  /// u[column][panel][phase][inputChannels][16] of one row of the tile's points, for a range of panels whose taps are gathered.
  private func transformFilterRow(
    _ row: Int, _ range: Range<Int>, _ gathered: UnsafePointer<Float>, _ u: UnsafeMutablePointer<Float>,
    _ space: UnsafeMutablePointer<Float>
  ) {
    for panel in 0..<range.count {
      for phase in reads.indices {
        Transform.filterRow(
          row,
          Transform.Taps(g: gathered + panel * gatheredPanel + phase * gatheredPhase, row: 16, tap: gatheredTap),
          count: problem.usedChannels, u: u + (panel * depth + phase * problem.usedChannels) * 16, slice: filterSlice,
          workspace: space)
      }
    }
  }

  /// The taps of a panel from an input channel on, where they are stored.
  @inline(__always)
  private func taps(_ panel: Int, _ channel: Int, inPlace filter: UnsafePointer<Float>) -> Transform.Taps {
    let (inputs, outputs) = (problem.inputChannels, problem.outputChannels)
    return Transform.Taps(g: filter + channel * outputs + panel * 16, row: outputs, tap: inputs * outputs)
  }

  /// gathered[panel - the first][phase][tap][input channel][16] of a range of panels.
  private func gather(_ range: Range<Int>, _ filter: UnsafePointer<Float>, _ gathered: UnsafeMutablePointer<Float>) {
    // All panels of a line at once where they lie side by side in it.
    let atOnce = problem.transposed ? 1 : range.count
    for panel in stride(from: 0, to: range.count, by: atOnce) {
      for phase in reads.indices {
        gather(
          range.block(from: range.lowerBound + panel, of: atOnce), phase, 0..<problem.usedChannels, filter,
          gathered + panel * gatheredPanel + phase * gatheredPhase, tap: gatheredTap)
      }
    }
  }

  /// taps[tap][input channel][16] of some panels of output channels, `gatheredPanel` apart, and a phase of the map that is read,
  /// taps `tap` apart; zeros right of the last channel and for taps that the phase lacks. One panel of a transposed filter.
  private func gather(
    _ range: Range<Int>, _ read: Int, _ channels: Range<Int>, _ filter: UnsafePointer<Float>,
    _ taps: UnsafeMutablePointer<Float>, tap: Int
  ) {
    let (inputs, outputs) = (problem.inputChannels, problem.outputChannels)
    let places = tapPlaces[writes.count == 1 ? read : range.lowerBound / phasePanels]
    let (o, k) = (range.lowerBound % phasePanels * 16, channels.lowerBound)
    let columns = min(range.count * 16, outputs - o)
    let corner = filter + (problem.transposed ? o * inputs + k : k * outputs + o)
    for index in places.indices {
      let target = taps + index * tap
      guard let place = places[index] else {
        for panel in 0..<range.count {
          (target + panel * gatheredPanel).update(repeating: 0, count: channels.count * 16)
        }
        continue
      }
      // Line by line, as more would wait for memory than the cache can have under way.
      let next = nextPlace(after: index, places, panels: range.count)
      for first in stride(from: 0, to: channels.count, by: 16) {
        let part = corner + (problem.transposed ? first : first * outputs)
        let (count, target) = (min(16, channels.count - first), target + first * 16)
        ask(part + next, count, panels: range.count)
        if problem.transposed {
          Packing.transposedColumns(part + place, ldb: inputs, k: count, columns: columns, target)
        } else {
          Packing.panelsOf16(part + place, ldb: outputs, k: count, columns: columns, target, panelStride: gatheredPanel)
        }
      }
    }
  }

  /// That of the next tap that the phase has, or, after the last, of the first in the next panels.
  private func nextPlace(after tap: Int, _ places: [Int?], panels: Int) -> Int {
    for next in places[(tap + 1)...] { if let next { return next } }
    for first in places {
      if let first { return first + panels * 16 * (problem.transposed ? problem.inputChannels : 1) }
    }
    preconditionFailure("a phase without taps")
  }

  /// Asks for the lines of some panels' tap, of up to 16 channels, which lie far apart in a filter that the caches have lost since
  /// the last step.
  private func ask(_ source: UnsafePointer<Float>, _ channels: Int, panels: Int) {
    let (rows, row) = problem.transposed ? (16, problem.inputChannels) : (channels, problem.outputChannels)
    for index in 0..<rows {
      for panel in 0..<panels { prefetchSecondLevel(source + index * row + panel * 16) }
    }
  }
}
