/// A map as the tiles of one phase see it: every `stride`-th pixel from `row`, `column` on.
struct WinogradView {
  let height, width, channels: Int
  let stride: Int
  let row, column: Int
  /// Rows and columns of tiles in an image, and the coordinates from one to the next.
  let tileRows, tileColumns: Int
  let rowStep, columnStep: Int

  /// The image, and the first pixel of a tile.
  @inline(__always)
  func place(_ tile: Int) -> (image: Int, y: Int, x: Int) {
    let (image, rest) = tile.quotientAndRemainder(dividingBy: tileRows * tileColumns)
    let (y, x) = rest.quotientAndRemainder(dividingBy: tileColumns)
    return (image, y * rowStep * stride + row, x * columnStep * stride + column)
  }
}

/// Row lengths for transformed data: whole cache lines, an odd number of them, so that neither the tiles nor the
/// products of one tile fall into the same few cache sets.
func oddLines(_ floats: Int) -> Int { ((floats + 15) / 16 | 1) * 16 }

/// The transforms in two dimensions, on eight channels at a time, for a range of tiles: one tile's transforms along the
/// columns of the map, and those of the same or another tile, of as many taps, along its rows.
enum WinogradTransform<Rows: WinogradTile, Columns: WinogradTile> {
  /// Products of a tile.
  @inline(__always)
  static var points: Int { Rows.side * Columns.side }

  /// What a thread needs: an intermediate tile, one row of zeros for what lies outside the map, and a tile's addresses.
  static func workspaceFloats(channels: Int) -> Int { points * 8 + oddLines(channels + 8) + 2 * points }

  /// v[point][tile][channels] = B' d B for the tiles of the range; `rowStride` and `slice` are v's distances in floats.
  /// Channels are filled up with zeros to a multiple of eight.
  static func input(
    _ view: WinogradView, tiles: Range<Int>, map: UnsafePointer<Float>, v: UnsafeMutablePointer<Float>, rowStride: Int,
    slice: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    let (height, width, channels) = (Rows.inputs, Columns.inputs, view.channels)
    let zeros = workspace + points * 8
    zeros.update(repeating: 0, count: channels + 8)
    let places = UnsafeMutableRawPointer(zeros + oddLines(channels + 8))
      .bindMemory(to: UnsafePointer<Float>.self, capacity: points)
    for tile in tiles {
      let (image, y, x) = view.place(tile)
      let corner = map + image * view.height * view.width * channels
      let (below, right) = (y + (height - 1) * view.stride, x + (width - 1) * view.stride)
      if y >= 0 && x >= 0 && below < view.height && right < view.width {
        let (line, pixel) = (view.stride * view.width * channels, view.stride * channels)
        let first = corner + (y * view.width + x) * channels
        for i in 0..<height { for j in 0..<width { places[i * width + j] = first + (i * line + j * pixel) } }
      } else {
        for i in 0..<height {
          let row = y + i * view.stride
          let inside = row >= 0 && row < view.height
          for j in 0..<width {
            let column = x + j * view.stride
            let valid = inside && column >= 0 && column < view.width
            places[i * width + j] = valid ? corner + (row * view.width + column) * channels : UnsafePointer(zeros)
          }
        }
      }
      let target = v + (tile - tiles.lowerBound) * rowStride
      for channel in Swift.stride(from: 0, to: channels & ~7, by: 8) {
        if channel & 8 == 0 {
          for point in 0..<points { prefetchForWriting(target + channel + point * slice) }
        }
        square({ load8(places[$0] + channel) }, { store8($1, target + channel + $0 * slice) }, workspace)
      }
      if channels & 7 != 0 {
        let channel = channels & ~7
        square(
          { loadFirst(channels & 7, places[$0] + channel) }, { store8($1, target + channel + $0 * slice) }, workspace)
      }
    }
  }

  /// B' d B of one tile of eight channels.
  @inline(__always)
  private static func square(
    _ load: (Int) -> SIMD8<Float>, _ store: (Int, SIMD8<Float>) -> Void, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let width = Columns.inputs
    for j in 0..<width {
      Rows.input({ load($0 * width + j) }, { store8($1, workspace + ($0 * width + j) * 8) })
    }
    for i in 0..<Rows.side {
      Columns.input({ load8(workspace + (i * width + $0) * 8) }, { store(i * Columns.side + $0, $1) })
    }
  }

  /// map (+)= A' p A for the tiles of the range and the channels first..<first + count of the map, where
  /// p[point][tile][count].
  static func output(
    _ view: WinogradView, tiles: Range<Int>, first: Int, count: Int, p: UnsafePointer<Float>, rowStride: Int,
    slice: Int, map: UnsafeMutablePointer<Float>, accumulate: Bool, workspace: UnsafeMutablePointer<Float>
  ) {
    let (n, pixel) = (Columns.side, view.stride * view.channels)
    for tile in tiles {
      let (image, y, x) = view.place(tile)
      let source = p + (tile - tiles.lowerBound) * rowStride
      let corner = map + ((image * view.height + y) * view.width + x) * view.channels + first
      let height = min(Rows.outputs, (view.height - y + view.stride - 1) / view.stride)
      let width = min(Columns.outputs, (view.width - x + view.stride - 1) / view.stride)
      for channel in Swift.stride(from: 0, to: count, by: 8) {
        if channel & 8 == 0 {
          for i in 0..<Rows.outputs {
            let line = corner + i * view.width * pixel + channel
            for j in 0..<Columns.outputs { prefetch(line + j * pixel) }
          }
        }
        for j in 0..<n {
          Rows.output(
            { load8(source + channel + ($0 * n + j) * slice) }, { store8($1, workspace + ($0 * n + j) * 8) })
        }
        write(
          workspace, corner + channel, line: view.width * pixel, pixel: pixel, height: height, width: width,
          lanes: min(8, count - channel), accumulate: accumulate)
      }
    }
  }

  /// The second half of `output`: the rows of one tile of eight channels from the workspace to the map, whose lines and
  /// pixels are so many floats apart; without a question asked where all of the tile lies inside it.
  @inline(__always)
  private static func write(
    _ workspace: UnsafePointer<Float>, _ corner: UnsafeMutablePointer<Float>, line: Int, pixel: Int, height: Int,
    width: Int, lanes: Int, accumulate: Bool
  ) {
    let n = Columns.side
    let isWhole = height == Rows.outputs && width == Columns.outputs && lanes == 8
    for i in 0..<max(height, 0) {
      let target = corner + i * line
      if isWhole && !accumulate {
        Columns.output({ load8(workspace + (i * n + $0) * 8) }, { store8($1, target + $0 * pixel) })
      } else if isWhole {
        Columns.output(
          { load8(workspace + (i * n + $0) * 8) },
          { store8(load8(target + $0 * pixel) + $1, target + $0 * pixel) })
      } else {
        Columns.output(
          { load8(workspace + (i * n + $0) * 8) },
          { j, value in if j < width { put(value, target + j * pixel, lanes: lanes, accumulate: accumulate) } })
      }
    }
  }

  /// z[point][panel][tile][16] = A y A' for the tiles of the range and 16-channel panels of the output gradient from
  /// `first` on; zeros right of the last channel.
  static func outputGradient(
    _ view: WinogradView, tiles: Range<Int>, first: Int, count: Int, map: UnsafePointer<Float>,
    z: UnsafeMutablePointer<Float>, panelStride: Int, slice: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    let (n, channels) = (Columns.side, view.channels)
    for tile in tiles {
      let (image, y, x) = view.place(tile)
      let corner = map + ((image * view.height + y) * view.width + x) * channels + first
      let (height, width) = (min(Rows.outputs, view.height - y), min(Columns.outputs, view.width - x))
      let row = z + (tile - tiles.lowerBound) * 16
      for channel in Swift.stride(from: 0, to: (count + 15) / 16 * 16, by: 8) {
        let lanes = min(8, count - channel)
        let target = row + channel / 16 * panelStride + channel % 16
        if height == Rows.outputs && width == Columns.outputs && lanes == 8 {
          for j in 0..<Columns.outputs {
            let column = corner + j * channels + channel
            Rows.outputGradient(
              { load8(column + $0 * view.width * channels) }, { store8($1, workspace + ($0 * n + j) * 8) })
          }
        } else {
          for j in 0..<Columns.outputs {
            Rows.outputGradient(
              { i in
                guard i < height, j < width, lanes > 0 else { return SIMD8(repeating: 0) }
                let source = corner + (i * view.width + j) * channels + channel
                return lanes == 8 ? load8(source) : loadFirst(lanes, source)
              }, { store8($1, workspace + ($0 * n + j) * 8) })
          }
        }
        for i in 0..<Rows.side {
          Columns.outputGradient(
            { load8(workspace + (i * n + $0) * 8) }, { store8($1, target + (i * n + $0) * slice) })
        }
      }
    }
  }

  /// Floats of `filter`'s intermediate tile.
  static var filterWorkspaceFloats: Int { max(Rows.side * Columns.taps, Rows.taps * Columns.side) * 16 }

  /// u[point][k][16] = G g G' for `count` k, from g[tap][k][16] with rows k `rowStride` apart and taps `tapStride`.
  static func filter(
    count: Int, g: UnsafePointer<Float>, rowStride: Int, tapStride: Int, u: UnsafeMutablePointer<Float>, slice: Int,
    workspace: UnsafeMutablePointer<Float>
  ) {
    let (n, r) = (Columns.side, Columns.taps)
    for k in 0..<count {
      let (source, target) = (g + k * rowStride, u + k * 16)
      // Both halves of a cache line at once: the taps lie a multiple of 4096 bytes apart in large filters, in one set
      // of the first-level cache, and would push each other out in between.
      let later = k + 3 < count ? source + 3 * rowStride : source + 16 + (3 - count) * rowStride
      for j in 0..<r {
        for i in 0..<Rows.taps { prefetch(later + (i * r + j) * tapStride) }
        for half in 0..<2 {
          Rows.filter(
            { load8(source + half * 8 + ($0 * r + j) * tapStride) },
            { store8($1, workspace + (($0 * r + j) * 2 + half) * 8) })
        }
      }
      for i in 0..<Rows.side {
        for half in 0..<2 {
          Columns.filter(
            { load8(workspace + ((i * r + $0) * 2 + half) * 8) },
            { store8($1, target + half * 8 + (i * n + $0) * slice) })
        }
      }
    }
  }

  /// gradient[tap] + first.. = G' u G for `inputs` input channels and `count` output channels, with u[point][input][..]
  /// being the sum of `parts` partial sums `partStride` apart, rows of the gradient `gradientRow` apart, and taps[i][j]
  /// the place of a tap in it, or below zero for none.
  static func filterGradient(
    inputs: Int, count: Int, u: UnsafePointer<Float>, rowStride: Int, slice: Int, parts: Int, partStride: Int,
    gradient: UnsafeMutablePointer<Float>, gradientRow: Int, taps: UnsafePointer<Int>,
    workspace: UnsafeMutablePointer<Float>
  ) {
    let (n, r) = (Columns.side, Columns.taps)
    for input in 0..<inputs {
      // As in `filter`, both vectors of a cache line at once, and the lines of the taps asked for in time.
      for line in Swift.stride(from: 0, to: count, by: 16) {
        let target = gradient + input * gradientRow + line
        let vectors = min(2, (count - line + 7) / 8)
        for tap in 0..<Rows.taps * r where taps[tap] >= 0 { prefetch(target + taps[tap]) }
        for half in 0..<vectors {
          let source = u + input * rowStride + line + half * 8
          for j in 0..<n {
            Rows.filterGradient(
              { i in
                var sum = load8(source + (i * n + j) * slice)
                if parts > 1 {
                  for part in 1..<parts { sum += load8(source + part * partStride + (i * n + j) * slice) }
                }
                return sum
              }, { store8($1, workspace + (($0 * n + j) * 2 + half) * 8) })
          }
        }
        for i in 0..<Rows.taps {
          for half in 0..<vectors {
            let lanes = min(8, count - line - half * 8)
            Columns.filterGradient(
              { load8(workspace + ((i * n + $0) * 2 + half) * 8) },
              { j, value in
                let tap = taps[i * r + j]
                if tap >= 0 { put(value, target + half * 8 + tap, lanes: lanes, accumulate: false) }
              })
          }
        }
      }
    }
  }

  /// Writes or adds the first `lanes` of a vector.
  @inline(__always)
  private static func put(
    _ value: SIMD8<Float>, _ target: UnsafeMutablePointer<Float>, lanes: Int, accumulate: Bool
  ) {
    if lanes == 8 {
      store8(accumulate ? load8(target) + value : value, target)
    } else {
      for lane in 0..<lanes { target[lane] = accumulate ? target[lane] + value[lane] : value[lane] }
    }
  }
}

/// The first `lanes` floats at an address, then zeros.
@inline(__always)
func loadFirst(_ lanes: Int, _ pointer: UnsafePointer<Float>) -> SIMD8<Float> {
  var value = SIMD8<Float>(repeating: 0)
  for lane in 0..<lanes { value[lane] = pointer[lane] }
  return value
}
