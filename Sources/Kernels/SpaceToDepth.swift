/// A convolution of stride 2 over few channels as a dense one: each 2x2 block of pixels becomes one pixel of four times
/// the channels, filled up to 16, and the 7x7 filter one of 4x4 taps, of which one row and column of pixels are zero.
///
/// Row A of the dense map holds rows 2A + parity - 1 - padding of the map; tap t of parity p is the filter's
/// 2t + p - 1.
struct SpaceToDepth: Sendable {
  let shape: ConvolutionShape
  /// Taps of the dense filter on a side, and channels of the dense map.
  static let taps = 4
  static let channels = 16

  static func applies(to shape: ConvolutionShape) -> Bool {
    shape.kernel == 7 && shape.stride == 2 && shape.padding == 3 && shape.inputChannels <= 4
  }

  init(_ shape: ConvolutionShape) { self.shape = shape }

  /// The dense convolution.
  var dense: ConvolutionShape {
    ConvolutionShape(
      images: shape.images, height: shape.outputHeight + Self.taps - 1, width: shape.outputWidth + Self.taps - 1,
      inputChannels: Self.channels, outputChannels: shape.outputChannels, kernel: Self.taps, stride: 1, padding: 0)
  }

  var problem: WinogradProblem {
    let dense = dense
    let taps = (0..<Self.taps).map(Optional.some)
    return WinogradProblem(
      images: dense.images, inputHeight: dense.height, inputWidth: dense.width, inputChannels: dense.inputChannels,
      inputStride: 1, outputHeight: dense.outputHeight, outputWidth: dense.outputWidth,
      outputChannels: dense.outputChannels, outputStride: 1,
      phases: [WinogradPhase(row: 0, column: 0, tapRows: taps, tapColumns: taps)], transposed: false,
      kernel: Self.taps, filledFrom: 4 * shape.inputChannels)
  }

  /// Floats of the dense map of all images, and of the dense filter.
  var mapFloats: Int { oddLines(shape.images * dense.inputSize) }
  var filterFloats: Int { oddLines(dense.filterSize) }

  /// target[images][dense height][dense width][16] from map[images][height][width][channels].
  func map(images: Int, _ map: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, team: ThreadTeam) {
    let (height, width) = (dense.height, dense.width)
    team.split(images * height) { rows in
      for row in rows {
        let (image, a) = row.quotientAndRemainder(dividingBy: height)
        let line = target + row * width * Self.channels
        line.update(repeating: 0, count: width * Self.channels)
        for parity in 0..<2 {
          let y = 2 * a + parity - 1 - shape.padding
          if y < 0 || y >= shape.height { continue }
          spread(map + (image * shape.height + y) * shape.width * shape.inputChannels, line, parity, width)
        }
      }
    }
  }

  /// A line of the map in the channels of its parity: both pixels of a block lie side by side in it, as the padding is odd.
  private func spread(
    _ source: UnsafePointer<Float>, _ line: UnsafeMutablePointer<Float>, _ parity: Int, _ width: Int
  ) {
    let (run, end) = (2 * shape.inputChannels, shape.width * shape.inputChannels)
    var mask = SIMD8<Int32>(repeating: 0)
    for lane in 0..<run { mask[lane] = -1 }
    var place = 0
    for b in (1 + shape.padding) / 2..<width {
      let block = line + b * Self.channels + parity * run
      if place + 8 <= end {
        // The lanes behind it are the other parity's, whose turn comes later, or zeros.
        store8(load8(source + place).lanes(mask, else: SIMD8(repeating: 0)), block)
      } else {
        for index in 0..<max(0, min(run, end - place)) { block[index] = source[place + index] }
      }
      place += run
    }
  }

  /// Visits the rows of output channels that the filter and the dense filter have in common, by their places in rows.
  @inline(__always)
  private func eachRow(_ body: (_ filterRow: Int, _ denseRow: Int) -> Void) {
    let channels = shape.inputChannels
    for row in 0..<shape.kernel {
      for column in 0..<shape.kernel {
        let (t, py) = (row + 1).quotientAndRemainder(dividingBy: 2)
        let (u, px) = (column + 1).quotientAndRemainder(dividingBy: 2)
        for c in 0..<channels {
          body(
            (row * shape.kernel + column) * channels + c,
            (t * Self.taps + u) * Self.channels + (2 * py + px) * channels + c)
        }
      }
    }
  }

  func filter(_ filter: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
    target.update(repeating: 0, count: dense.filterSize)
    let outputs = shape.outputChannels
    eachRow { (target + $1 * outputs).update(from: filter + $0 * outputs, count: outputs) }
  }

  func filterGradient(_ dense: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
    let outputs = shape.outputChannels
    eachRow { (target + $0 * outputs).update(from: dense + $1 * outputs, count: outputs) }
  }
}

/// The forward pass of a 7x7 convolution of stride 2 by dense 5x5 tiles.
struct SpaceToDepthConvolution: CorrelationKernel {
  /// Images are computed one by one whatever the piece.
  var pieces: PieceRule { kernel.pieces == .whole ? .whole : PieceRule(least: 1, grain: 1) }
  private let rearranged: SpaceToDepth
  private let kernel: WinogradConvolution<WinogradTile5, WinogradTile5>
  /// Floats of one image's dense map, of which each thread has room for one.
  private let imageFloats, mapFloats: Int

  init(_ shape: ConvolutionShape, threads: Int) {
    rearranged = SpaceToDepth(shape)
    kernel = WinogradConvolution(rearranged.problem, threads: threads)
    imageFloats = oddLines(rearranged.dense.inputSize)
    mapFloats = max(rearranged.mapFloats, threads * imageFloats)
  }

  var scratchFloats: Int { mapFloats + rearranged.filterFloats + kernel.scratchFloats }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    let filter = memory + mapFloats
    let (inner, shape) = (filter + rearranged.filterFloats, rearranged.shape)
    switch call {
    case .filter(let plain):
      rearranged.filter(plain, filter)
      kernel.run(.filter(filter), team: team, memory: inner)
    case .images(let maps, let thread):
      let map = memory + thread * imageFloats
      for image in 0..<maps.images {
        rearranged.map(images: 1, maps.input + image * shape.inputSize, map, team: .alone)
        let dense = CorrelationMaps(
          images: 1, input: map, output: maps.output + image * shape.outputSize, accumulate: maps.accumulate)
        kernel.run(.images(dense, thread: thread), team: team, memory: inner)
      }
    case .all(let maps, let plain):
      rearranged.map(images: maps.images, maps.input, memory, team: team)
      rearranged.filter(plain, filter)
      let dense = CorrelationMaps(
        images: maps.images, input: memory, output: maps.output, accumulate: maps.accumulate)
      kernel.run(.all(dense, filter: filter), team: team, memory: inner)
    }
  }
}

/// The filter gradient of a 7x7 convolution of stride 2 by dense 5x5 tiles.
struct SpaceToDepthFilterGradient: FilterGradientKernel {
  /// An image for each thread is many tiles.
  var pieces: PieceRule { kernel.pieces == .whole ? .whole : PieceRule(least: threads, grain: threads) }
  private let threads: Int
  private let rearranged: SpaceToDepth
  private let kernel: WinogradFilterGradient<WinogradTile5, WinogradTile5>

  init(_ shape: ConvolutionShape, threads: Int) {
    self.threads = threads
    rearranged = SpaceToDepth(shape)
    kernel = WinogradFilterGradient(rearranged.problem, threads: threads)
  }

  var scratchFloats: Int { rearranged.mapFloats + rearranged.filterFloats + kernel.scratchFloats }

  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    let (map, dense) = (memory, memory + rearranged.mapFloats)
    rearranged.map(images: call.images, call.input, map, team: team)
    kernel.run(
      FilterGradientCall(
        images: call.images, input: map, outputGradient: call.outputGradient, filterGradient: dense,
        isFirst: call.isFirst, isLast: call.isLast),
      team: team, memory: dense + rearranged.filterFloats)
    if call.isLast { rearranged.filterGradient(dense, call.filterGradient) }
  }
}
