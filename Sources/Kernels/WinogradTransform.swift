/// A map cut into tiles of m x m outputs, each needing (m + 2) x (m + 2) inputs.
struct WinogradGrid {
  /// The map that tiles read with its zero border, and the map that they write.
  let inputHeight, inputWidth, outputHeight, outputWidth: Int
  let padding: Int
  let outputs: Int

  var rows: Int { (outputHeight + outputs - 1) / outputs }
  var columns: Int { (outputWidth + outputs - 1) / outputs }
  /// Tiles of one image.
  var tiles: Int { rows * columns }

  /// The image and the first output row and column of a tile.
  @inline(__always)
  func place(_ tile: Int) -> (image: Int, y: Int, x: Int) {
    let (image, rest) = tile.quotientAndRemainder(dividingBy: tiles)
    let (row, column) = rest.quotientAndRemainder(dividingBy: columns)
    return (image, row * outputs, column * outputs)
  }
}

/// Row lengths for transformed data: whole cache lines, an odd number of them, so that neither the tiles nor the
/// products of one tile fall into the same few cache sets.
func oddLines(_ floats: Int) -> Int { ((floats + 15) / 16 | 1) * 16 }

/// The transforms in two dimensions, on eight channels at a time, for a range of tiles.
enum WinogradTransform<Tile: WinogradTile> {
  /// What a thread needs: an intermediate tile, one row of zeros for what lies outside the map, and a tile's addresses.
  static func workspaceFloats(channels: Int) -> Int { Tile.points * 8 + oddLines(channels + 8) + 2 * Tile.points }

  /// v[point][row][channels] = B' d B for the tiles of the range; `rowStride` and `slice` are v's distances in floats.
  /// Channels are filled up with zeros to a multiple of eight.
  static func input(
    _ grid: WinogradGrid, tiles: Range<Int>, channels: Int, map: UnsafePointer<Float>,
    v: UnsafeMutablePointer<Float>, rowStride: Int, slice: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    let n = Tile.side
    let zeros = workspace + Tile.points * 8
    zeros.update(repeating: 0, count: channels + 8)
    let places = UnsafeMutableRawPointer(zeros + oddLines(channels + 8))
      .bindMemory(to: UnsafePointer<Float>.self, capacity: Tile.points)
    for tile in tiles {
      let (image, y, x) = grid.place(tile)
      let corner = map + image * grid.inputHeight * grid.inputWidth * channels
      for i in 0..<n {
        let row = y + i - grid.padding
        let inside = row >= 0 && row < grid.inputHeight
        for j in 0..<n {
          let column = x + j - grid.padding
          let valid = inside && column >= 0 && column < grid.inputWidth
          places[i * n + j] =
            valid ? corner + (row * grid.inputWidth + column) * channels : UnsafePointer(zeros)
        }
      }
      let target = v + (tile - tiles.lowerBound) * rowStride
      for channel in stride(from: 0, to: channels & ~7, by: 8) {
        square(
          { load8(places[$0] + channel) }, { store8($1, target + channel + $0 * slice) }, workspace)
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
    let n = Tile.side
    for j in 0..<n {
      Tile.input({ load($0 * n + j) }, { store8($1, workspace + ($0 * n + j) * 8) })
    }
    for i in 0..<n {
      Tile.input({ load8(workspace + (i * n + $0) * 8) }, { store(i * n + $0, $1) })
    }
  }

  /// map (+)= A' p A for the tiles of the range and the channels first..<first + count of `channels`, where
  /// p[point][row][count].
  static func output(
    _ grid: WinogradGrid, tiles: Range<Int>, first: Int, count: Int, channels: Int, p: UnsafePointer<Float>,
    rowStride: Int, slice: Int, map: UnsafeMutablePointer<Float>, accumulate: Bool,
    workspace: UnsafeMutablePointer<Float>
  ) {
    let (m, n) = (Tile.outputs, Tile.side)
    for tile in tiles {
      let (image, y, x) = grid.place(tile)
      let source = p + (tile - tiles.lowerBound) * rowStride
      let corner = map + ((image * grid.outputHeight + y) * grid.outputWidth + x) * channels + first
      let (height, width) = (min(m, grid.outputHeight - y), min(m, grid.outputWidth - x))
      for channel in stride(from: 0, to: count, by: 8) {
        for j in 0..<n {
          Tile.output(
            { load8(source + channel + ($0 * n + j) * slice) }, { store8($1, workspace + ($0 * n + j) * 8) })
        }
        let lanes = min(8, count - channel)
        for i in 0..<height {
          let line = corner + i * grid.outputWidth * channels + channel
          Tile.output({ load8(workspace + (i * n + $0) * 8) }) { j, value in
            if j < width { put(value, line + j * channels, lanes: lanes, accumulate: accumulate) }
          }
        }
      }
    }
  }

  /// z[point][panel][row][16] = A y A' for the tiles of the range and 16-channel panels of the output gradient from
  /// `first` on; zeros right of the last channel.
  static func outputGradient(
    _ grid: WinogradGrid, tiles: Range<Int>, first: Int, count: Int, channels: Int, map: UnsafePointer<Float>,
    z: UnsafeMutablePointer<Float>, panelStride: Int, slice: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    let (m, n) = (Tile.outputs, Tile.side)
    for tile in tiles {
      let (image, y, x) = grid.place(tile)
      let corner = map + ((image * grid.outputHeight + y) * grid.outputWidth + x) * channels + first
      let (height, width) = (min(m, grid.outputHeight - y), min(m, grid.outputWidth - x))
      let row = z + (tile - tiles.lowerBound) * 16
      for channel in stride(from: 0, to: (count + 15) / 16 * 16, by: 8) {
        let lanes = min(8, count - channel)
        let target = row + channel / 16 * panelStride + channel % 16
        for j in 0..<m {
          Tile.outputGradient({ i in
            guard i < height, j < width, lanes > 0 else { return SIMD8(repeating: 0) }
            let source = corner + (i * grid.outputWidth + j) * channels + channel
            return lanes == 8 ? load8(source) : loadFirst(lanes, source)
          }) { store8($1, workspace + ($0 * n + j) * 8) }
        }
        for i in 0..<n {
          Tile.outputGradient(
            { load8(workspace + (i * n + $0) * 8) }, { store8($1, target + (i * n + $0) * slice) })
        }
      }
    }
  }

  /// u[point][k][16] = G g G' for `count` k, from g[tap][k][16] with taps `tapStride` apart.
  static func filter(
    count: Int, g: UnsafePointer<Float>, tapStride: Int, u: UnsafeMutablePointer<Float>, slice: Int,
    workspace: UnsafeMutablePointer<Float>
  ) {
    let n = Tile.side
    for k in 0..<count {
      for half in stride(from: 0, to: 16, by: 8) {
        let (source, target) = (g + k * 16 + half, u + k * 16 + half)
        for j in 0..<3 {
          Tile.filter({ load8(source + ($0 * 3 + j) * tapStride) }, { store8($1, workspace + ($0 * n + j) * 8) })
        }
        for i in 0..<n {
          Tile.filter({ load8(workspace + (i * n + $0) * 8) }, { store8($1, target + (i * n + $0) * slice) })
        }
      }
    }
  }

  /// filterGradient[tap][channel][first..<first + count] = G' u G for input channels of the range, u[point][channel][..]
  /// being the sum of `parts` partial sums `partStride` apart.
  static func filterGradient(
    inputs: Range<Int>, inputChannels: Int, first: Int, count: Int, outputChannels: Int, u: UnsafePointer<Float>,
    rowStride: Int, slice: Int, parts: Int, partStride: Int, gradient: UnsafeMutablePointer<Float>,
    workspace: UnsafeMutablePointer<Float>
  ) {
    let n = Tile.side
    for input in inputs {
      for channel in stride(from: 0, to: count, by: 8) {
        let source = u + input * rowStride + channel
        for j in 0..<n {
          Tile.filterGradient({ i in
            var sum = load8(source + (i * n + j) * slice)
            for part in 1..<max(parts, 1) { sum += load8(source + part * partStride + (i * n + j) * slice) }
            return sum
          }) { store8($1, workspace + ($0 * n + j) * 8) }
        }
        let target = gradient + input * outputChannels + first + channel
        let lanes = min(8, count - channel)
        for i in 0..<3 {
          Tile.filterGradient({ load8(workspace + (i * n + $0) * 8) }) { j, value in
            put(value, target + (i * 3 + j) * inputChannels * outputChannels, lanes: lanes, accumulate: false)
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
