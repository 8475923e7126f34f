/// The filter gradient as an implicit matrix product: windows (transposed) times output gradients. The windows of a few dozen
/// pixels are copied at a time, or, where lines are long, read in place: along a line of pixels a row of all windows is a
/// matrix whose rows overlap.
struct DirectFilterGradient: FilterGradientKernel {
  var pieces: PieceRule { .tiles(threads: threads) }
  private let shape: ConvolutionShape
  private let map: BorderedMap
  private let imagesAtOnce: Int
  private let reads: OffsetTable
  private let threads: Int
  /// Whether windows are read in place: with fewer pixels a line the sums would be read and written too often, and windows of
  /// one pixel, which need no border, are as quickly copied.
  private var readsInPlace: Bool { shape.outputWidth >= 16 && map.isCopied }
  /// Neighbouring floats of a window: one of its lines.
  private var run: Int { shape.kernel * map.channels }

  /// Pixels and rows of the filter matrix worked on at a time.
  private static let pixelsAtOnce = 128
  private static let rowsAtOnce = 192

  /// Rows of the filter matrix.
  private var rows: Int { shape.kernel * shape.kernel * shape.inputChannels }
  private var panels: Int { (shape.outputChannels + 15) / 16 }
  private var windowRow: Int { oddLines(min(Self.rowsAtOnce, rows) + 8) }
  private var windowFloats: Int { readsInPlace ? 0 : Self.pixelsAtOnce * windowRow + 16 }
  /// Whether gradients are a packed panel as they lie.
  private var isOnePanel: Bool { shape.outputChannels == 16 }
  private var gradientFloats: Int { isOnePanel ? 0 : Self.pixelsAtOnce * panels * 16 }
  private var copyFloats: Int { map.isCopied ? oddLines(imagesAtOnce * map.size + 8) : 0 }

  /// Working memory; every thread has all of it for itself.
  var scratchFloats: Int { threads * (windowFloats + gradientFloats + copyFloats) }

  init(_ shape: ConvolutionShape, threads: Int) {
    self.shape = shape
    self.threads = threads
    let right = (shape.outputWidth - 1) * shape.stride + shape.kernel
    let below = (shape.outputHeight - 1) * shape.stride + shape.kernel
    let map = BorderedMap(
      height: shape.height, width: shape.width, channels: shape.inputChannels, before: shape.padding,
      borderedHeight: max(shape.height + shape.padding, below), borderedWidth: max(shape.width + shape.padding, right))
    self.map = map
    let pixels = shape.outputHeight * shape.outputWidth
    imagesAtOnce = min(shape.images, max(1, (Self.pixelsAtOnce + pixels - 1) / pixels))
    var reads = [Int]()
    for image in 0..<imagesAtOnce {
      for y in 0..<shape.outputHeight {
        for x in 0..<shape.outputWidth {
          reads.append(image * map.size + y * shape.stride * map.row + x * shape.stride * map.channels)
        }
      }
    }
    self.reads = OffsetTable(reads)
  }

  /// Threads share the rows of the filter matrix, so no sums need adding up.
  func run(_ call: FilterGradientCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    let pixels = shape.outputHeight * shape.outputWidth
    team.run { thread in
      let share = team.share(of: rows, thread: thread, grain: 12)
      if share.isEmpty { return }
      let windows = memory + thread * (windowFloats + gradientFloats + copyFloats)
      let (gradients, copy) = (windows + windowFloats, windows + windowFloats + gradientFloats)
      for first in stride(from: 0, to: call.images, by: imagesAtOnce) {
        let count = min(imagesAtOnce, call.images - first)
        var source = call.input + first * shape.inputSize
        if map.isCopied {
          map.copy(images: count, source, copy)
          source = UnsafePointer(copy)
        }
        for pixel in stride(from: 0, to: count * pixels, by: Self.pixelsAtOnce) {
          let chunk = min(Self.pixelsAtOnce, count * pixels - pixel)
          let gradient = packed(
            call.outputGradient + (first * pixels + pixel) * shape.outputChannels, chunk, into: gradients)
          let accumulate = first + pixel > 0 || !call.isFirst
          if readsInPlace {
            addLines(
              pixel..<pixel + chunk, of: share, source, gradient, call.filterGradient, accumulate: accumulate)
            continue
          }
          for row in stride(from: share.lowerBound, to: share.upperBound, by: Self.rowsAtOnce) {
            let height = min(Self.rowsAtOnce, share.upperBound - row)
            gather(row, height, source, reads.pointer + pixel, chunk, windows)
            multiply(
              row..<row + height, chunk, windows, lda: windowRow, gradient, call.filterGradient, accumulate: accumulate)
          }
        }
      }
    }
  }

  /// The gradients of some pixels in panels.
  private func packed(
    _ gradient: UnsafePointer<Float>, _ pixels: Int, into panels: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    if isOnePanel { return gradient }
    Packing.panelsOf16(
      gradient, ldb: shape.outputChannels, k: pixels, columns: shape.outputChannels, panels,
      panelStride: Self.pixelsAtOnce * 16)
    return UnsafePointer(panels)
  }

  /// Adds the windows of some pixels of a block of images times their gradients, line by line of the map that is written and
  /// of the windows.
  private func addLines(
    _ pixels: Range<Int>, of rows: Range<Int>, _ source: UnsafePointer<Float>, _ gradients: UnsafePointer<Float>,
    _ filterGradient: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    var pixel = pixels.lowerBound
    while pixel < pixels.upperBound {
      let end = min(pixels.upperBound, (pixel / shape.outputWidth + 1) * shape.outputWidth)
      let line = source + reads.pointer[pixel]
      for window in 0..<shape.kernel {
        let own = rows.clamped(to: window * run..<(window + 1) * run)
        if own.isEmpty { continue }
        multiply(
          own, end - pixel, line + window * map.row + (own.lowerBound - window * run),
          lda: shape.stride * map.channels, gradients + (pixel - pixels.lowerBound) * 16, filterGradient,
          accumulate: accumulate || pixel > pixels.lowerBound)
      }
      pixel = end
    }
  }

  /// filterGradient[rows] (+)= windows' gradients for some pixels, whose windows lie `lda` apart.
  private func multiply(
    _ rows: Range<Int>, _ pixels: Int, _ windows: UnsafePointer<Float>, lda: Int, _ gradients: UnsafePointer<Float>,
    _ filterGradient: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    var nothing = Lookahead.nothing
    RegisterBlock.multiplyTransposed(
      rows: rows.count, k: pixels, a: windows, lda: lda, b: PackedPanels(gradients, stride: Self.pixelsAtOnce * 16),
      c: filterGradient + rows.lowerBound * shape.outputChannels, ldc: shape.outputChannels,
      columns: shape.outputChannels, accumulate: accumulate, asksForSums: false, &nothing)
  }

  /// windows[pixel][height]: rows row..<row + height of the pixels' windows, which are runs of kernel x channels
  /// floats.
  private func gather(
    _ row: Int, _ height: Int, _ source: UnsafePointer<Float>, _ offsets: UnsafePointer<Int>, _ pixels: Int,
    _ windows: UnsafeMutablePointer<Float>
  ) {
    var done = 0
    while done < height {
      let (segment, start) = (row + done).quotientAndRemainder(dividingBy: run)
      let length = min(run - start, height - done)
      let (from, target) = (source + segment * map.row + start, windows + done)
      if length >= 8 {
        // Whole vectors, the last one ending with the run.
        for pixel in 0..<pixels {
          let (x, y) = (from + offsets[pixel], target + pixel * windowRow)
          var index = 0
          while index + 8 <= length {
            store8(load8(x + index), y + index)
            index += 8
          }
          store8(load8(x + length - 8), y + length - 8)
        }
      } else {
        for pixel in 0..<pixels {
          let (x, y) = (from + offsets[pixel], target + pixel * windowRow)
          for index in 0..<length { y[index] = x[index] }
        }
      }
      done += length
    }
  }
}
