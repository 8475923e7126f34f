/// A table of offsets in floats that lives as long as its plan.
final class OffsetTable: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Int>
  let count: Int

  init(_ offsets: [Int]) {
    count = offsets.count
    pointer = .allocate(capacity: max(count, 1))
    pointer.initialize(from: offsets, count: count)
  }

  deinit { pointer.deallocate() }
}

/// Where a correlation reads: images with a border of zeros, copied where there is no such border in the map itself.
struct BorderedMap {
  let height, width, channels: Int
  /// Zeros above and to the left, and the size with all borders.
  let before, borderedHeight, borderedWidth: Int

  var isCopied: Bool { before > 0 || borderedHeight > height || borderedWidth > width }
  /// Floats from a row of pixels to the next, of an image of the map itself, and of one as it is read.
  var row: Int { borderedWidth * channels }
  var plainSize: Int { height * width * channels }
  var size: Int { borderedHeight * row }

  /// Copies images of a map and zeroes their borders.
  func copy(images: Int, _ map: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
    let (line, left) = (width * channels, before * channels)
    for image in 0..<images {
      let (source, start) = (map + image * plainSize, target + image * size)
      start.update(repeating: 0, count: before * row + left)
      for y in 0..<height {
        let place = start + (before + y) * row + left
        place.update(from: source + y * line, count: line)
        // To the first pixel of the next row, if there is one.
        (place + line).update(repeating: 0, count: min(row - line, start + size - (place + line)))
      }
      let written = (before + height) * row + left
      if written < size { (start + written).update(repeating: 0, count: size - written) }
    }
  }
}

/// One dense correlation of stride 1 over a bordered map: all of a forward pass, or those pixels of an input gradient
/// that see the same taps of the filter.
struct DirectPhase {
  /// Taps that it applies, in the order in which their inputs lie in memory.
  let tapRows, tapColumns: [Int]
  /// For each pixel written in a block of images: where its window starts, and where it goes.
  let reads, writes: OffsetTable
  /// Pixels of one image.
  let pixels: Int
  /// Where its packed filter begins.
  let filterOffset: Int
}

/// Convolution as an implicit matrix product: the rows of the left factor are the windows themselves, read in place
/// from a bordered copy of a few images; no patch is ever written. Serves every kernel, stride and padding.
struct DirectConvolution: CorrelationKernel {
  var pieces: PieceRule { .tiles(threads: 1) }
  private let map: BorderedMap
  private let phases: [DirectPhase]
  private let imagesAtOnce: Int
  private let outputSize, outputChannels, kernel: Int
  /// Whether the filter is stored [tap][outputChannels][inputChannels].
  private let transposed: Bool
  private let packedFloats: Int
  private let threads: Int

  private var panels: Int { (outputChannels + 15) / 16 }

  /// Working memory: the packed filter for all threads, and bordered images for each.
  var scratchFloats: Int {
    oddLines(packedFloats) + (map.isCopied ? threads * oddLines(imagesAtOnce * map.size) : 0)
  }

  /// The forward pass.
  init(forward shape: ConvolutionShape, threads: Int) {
    let right = (shape.outputWidth - 1) * shape.stride + shape.kernel
    let below = (shape.outputHeight - 1) * shape.stride + shape.kernel
    map = BorderedMap(
      height: shape.height, width: shape.width, channels: shape.inputChannels, before: shape.padding,
      borderedHeight: max(shape.height + shape.padding, below), borderedWidth: max(shape.width + shape.padding, right))
    (outputChannels, outputSize) = (shape.outputChannels, shape.outputSize)
    (kernel, transposed) = (shape.kernel, false)
    self.threads = threads
    imagesAtOnce = Self.block(map, pixels: shape.outputHeight * shape.outputWidth, images: shape.images, threads)
    var (reads, writes) = ([Int](), [Int]())
    for image in 0..<imagesAtOnce {
      for y in 0..<shape.outputHeight {
        for x in 0..<shape.outputWidth {
          reads.append(image * map.size + y * shape.stride * map.row + x * shape.stride * map.channels)
          writes.append(writes.count * shape.outputChannels)
        }
      }
    }
    let taps = Array(0..<shape.kernel)
    phases = [
      DirectPhase(
        tapRows: taps, tapColumns: taps, reads: OffsetTable(reads), writes: OffsetTable(writes),
        pixels: shape.outputHeight * shape.outputWidth, filterOffset: 0)
    ]
    packedFloats = shape.kernel * shape.kernel * shape.inputChannels * ((shape.outputChannels + 15) / 16 * 16)
  }

  /// The input gradient. A pixel's row gets y = (row + padding - tap) / stride for the taps that stride divides, so the
  /// pixels fall into stride x stride phases, each a dense correlation over the output gradient.
  init(inputGradient shape: ConvolutionShape, threads: Int) {
    let before = (shape.kernel - 1) / shape.stride
    map = BorderedMap(
      height: shape.outputHeight, width: shape.outputWidth, channels: shape.outputChannels, before: before,
      borderedHeight: before + max(shape.outputHeight, (shape.height - 1 + shape.padding) / shape.stride + 1),
      borderedWidth: before + max(shape.outputWidth, (shape.width - 1 + shape.padding) / shape.stride + 1))
    (outputChannels, outputSize) = (shape.inputChannels, shape.inputSize)
    (kernel, transposed) = (shape.kernel, true)
    self.threads = threads
    imagesAtOnce = Self.block(map, pixels: shape.height * shape.width, images: shape.images, threads)
    var phases = [DirectPhase]()
    var packed = 0
    for py in 0..<shape.stride {
      for px in 0..<shape.stride {
        let phase = Self.phase(shape, map, py, px, imagesAtOnce, packed)
        packed += phase.tapRows.count * phase.tapColumns.count * map.channels * ((outputChannels + 15) / 16 * 16)
        phases.append(phase)
      }
    }
    self.phases = phases
    packedFloats = packed
  }

  private static func phase(
    _ shape: ConvolutionShape, _ map: BorderedMap, _ py: Int, _ px: Int, _ images: Int, _ filterOffset: Int
  ) -> DirectPhase {
    let tapRows = Array(stride(from: py, to: shape.kernel, by: shape.stride).reversed())
    let tapColumns = Array(stride(from: px, to: shape.kernel, by: shape.stride).reversed())
    let rows = (0..<shape.height).filter { ($0 + shape.padding) % shape.stride == py }
    let columns = (0..<shape.width).filter { ($0 + shape.padding) % shape.stride == px }
    var (reads, writes) = ([Int](), [Int]())
    for image in 0..<images {
      for y in rows {
        for x in columns {
          let top = (y + shape.padding - py) / shape.stride - max(tapRows.count - 1, 0) + map.before
          let left = (x + shape.padding - px) / shape.stride - max(tapColumns.count - 1, 0) + map.before
          reads.append(image * map.size + top * map.row + left * map.channels)
          writes.append(((image * shape.height + y) * shape.width + x) * shape.inputChannels)
        }
      }
    }
    return DirectPhase(
      tapRows: tapRows, tapColumns: tapColumns, reads: OffsetTable(reads), writes: OffsetTable(writes),
      pixels: rows.count * columns.count, filterOffset: filterOffset)
  }

  /// Images at a time: some hundred rows for each pass over a panel of the filter, bordered copies of about the size
  /// of the second-level cache.
  private static func block(_ map: BorderedMap, pixels: Int, images: Int, _ threads: Int) -> Int {
    let wanted = max(1, 98_304 / map.size, (192 + pixels - 1) / pixels)
    return min(wanted, (images + threads - 1) / threads)
  }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    switch call {
    case .filter(let filter): pack(filter, team, memory)
    case .images(let maps, let thread): compute(0..<maps.images, maps, thread, memory)
    case .all(let maps, let filter):
      pack(filter, team, memory)
      team.run { compute(team.share(of: maps.images, thread: $0), maps, $0, memory) }
    }
  }

  private func pack(_ filter: UnsafePointer<Float>, _ team: ThreadTeam, _ memory: UnsafeMutablePointer<Float>) {
    team.run { thread in
      for phase in phases {
        pack(phase, team.share(of: panels, thread: thread), filter, memory + phase.filterOffset)
      }
    }
  }

  private func compute(
    _ images: Range<Int>, _ maps: CorrelationMaps, _ thread: Int, _ memory: UnsafeMutablePointer<Float>
  ) {
    let copy = memory + oddLines(packedFloats) + (map.isCopied ? thread * oddLines(imagesAtOnce * map.size) : 0)
    for first in stride(from: images.lowerBound, to: images.upperBound, by: imagesAtOnce) {
      let count = min(imagesAtOnce, images.upperBound - first)
      var source = maps.input + first * map.plainSize
      if map.isCopied {
        map.copy(images: count, source, copy)
        source = UnsafePointer(copy)
      }
      for phase in phases {
        apply(phase, count, source, memory + phase.filterOffset, maps.output + first * outputSize, maps.accumulate)
      }
    }
  }

  private func apply(
    _ phase: DirectPhase, _ images: Int, _ source: UnsafePointer<Float>, _ packed: UnsafePointer<Float>,
    _ target: UnsafeMutablePointer<Float>, _ accumulate: Bool
  ) {
    let rows = images * phase.pixels
    let length = phase.tapColumns.count * map.channels
    let depth = phase.tapRows.count * length
    if depth == 0 {
      if !accumulate {
        for row in 0..<rows { (target + phase.writes.pointer[row]).update(repeating: 0, count: outputChannels) }
      }
      return
    }
    let segments = max(1, 512 / length)
    for first in stride(from: 0, to: phase.tapRows.count, by: segments) {
      RegisterBlock.convolve(
        RegisterBlock.Windows(
          base: source + first * map.row, offsets: phase.reads.pointer, rows: rows,
          segments: min(segments, phase.tapRows.count - first), length: length, segmentStride: map.row),
        b: PackedPanels(packed + first * length * 16, stride: depth * 16), c: target, cOffsets: phase.writes.pointer,
        columns: outputChannels, accumulate: accumulate || first > 0)
    }
  }

  /// packed[panel][tap row][tap column][input channel][16] for a range of panels.
  private func pack(
    _ phase: DirectPhase, _ range: Range<Int>, _ filter: UnsafePointer<Float>, _ packed: UnsafeMutablePointer<Float>
  ) {
    let inputs = map.channels
    let depth = phase.tapRows.count * phase.tapColumns.count * inputs
    for panel in range {
      let columns = min(16, outputChannels - panel * 16)
      var target = packed + panel * depth * 16
      for row in phase.tapRows {
        for column in phase.tapColumns {
          let tap = filter + (row * kernel + column) * inputs * outputChannels
          if transposed {
            Packing.transposedColumns(tap + panel * 16 * inputs, ldb: inputs, k: inputs, columns: columns, target)
          } else {
            Packing.panelsOf16(
              tap + panel * 16, ldb: outputChannels, k: inputs, columns: columns, target, panelStride: 0)
          }
          target += inputs * 16
        }
      }
    }
  }
}
