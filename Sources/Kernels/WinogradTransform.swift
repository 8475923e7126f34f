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

  /// The places of a range of tiles, in order, each for a sum where `place` divides.
  @inline(__always)
  func places(_ tiles: Range<Int>) -> TilePlaces { TilePlaces(self, tiles) }

  /// Which of `count` coordinates from a pixel on lie inside the map, `side` pixels long.
  @inline(__always)
  func inside(_ pixel: Int, _ count: Int, of side: Int) -> Range<Int> {
    let first = pixel >= 0 ? 0 : stride == 1 ? -pixel : (stride - 1 - pixel) / stride
    let end = stride == 1 ? side - pixel : (side - pixel + stride - 1) / stride
    return min(first, count)..<max(min(first, count), min(end, count))
  }
}

/// Tiles of a range, line by line of an image and image by image, with the image and the first pixel of each.
struct TilePlaces: Sequence, IteratorProtocol {
  private let view: WinogradView
  private var tile: Int
  private let end: Int
  private var image, y, x: Int
  private let lastY, lastX: Int

  @inline(__always)
  init(_ view: WinogradView, _ tiles: Range<Int>) {
    self.view = view
    (tile, end) = (tiles.lowerBound, tiles.upperBound)
    (image, y, x) = view.place(tile)
    lastY = view.row + (view.tileRows - 1) * view.rowStep * view.stride
    lastX = view.column + (view.tileColumns - 1) * view.columnStep * view.stride
  }

  @inline(__always)
  mutating func next() -> (image: Int, y: Int, x: Int)? {
    if tile == end { return nil }
    let place = (image, y, x)
    tile += 1
    x += view.columnStep * view.stride
    if x > lastX {
      x = view.column
      y += view.rowStep * view.stride
      if y > lastY { (y, image) = (view.row, image + 1) }
    }
    return place
  }
}

/// Row lengths for transformed data: whole cache lines, an odd number of them, so that neither the tiles nor the
/// products of one tile fall into the same few cache sets.
func oddLines(_ floats: Int) -> Int { ((floats + 15) / 16 | 1) * 16 }

/// Where transformed inputs v[point][tile][channels] lie: floats from a point to the next, from a tile to the next, and from sixteen
/// channels of a tile to the next sixteen, which lie side by side.
struct TileLayout {
  let slice, row, part: Int

  /// All channels of a tile side by side.
  init(slice: Int, row: Int) { (self.slice, self.row, part) = (slice, row, 16) }

  /// Sixteen channels of all tiles before the next sixteen.
  init(slice: Int, part: Int) { (self.slice, row, self.part) = (slice, 16, part) }

  /// That of a channel within a tile of the first point.
  @inline(__always)
  func place(_ channel: Int) -> Int { channel / 16 * part + channel % 16 }
}

/// The transforms in two dimensions, on a vector of channels at a time, for a range of tiles: one tile's transforms along the
/// columns of the map, and those of the same or another tile, of as many taps, along its rows.
enum WinogradTransform<Rows: WinogradTile, Columns: WinogradTile> {
  /// Products of a tile.
  @inline(__always)
  static var points: Int { Rows.side * Columns.side }

  /// What a thread needs: an intermediate tile, a line of a tile's zeros for what lies outside the map, and the addresses of
  /// a tile's lines.
  static func workspaceFloats(channels: Int, stride: Int) -> Int {
    points * 16 + zeroFloats(channels, stride) + oddLines(2 * Rows.inputs)
  }

  private static func zeroFloats(_ channels: Int, _ stride: Int) -> Int {
    oddLines(Columns.inputs * stride * channels + 8)
  }

  /// v[point][tile][phase][channels] of all phases, or of the only one's activation; see `input` and `activatedInput`.
  @inline(__always)
  static func inputs(
    _ phases: [WinogradView], tiles: Range<Int>, map: UnsafePointer<Float>, _ activation: InputActivation?,
    v: UnsafeMutablePointer<Float>, _ layout: TileLayout, workspace: UnsafeMutablePointer<Float>
  ) {
    if let activation {
      return activatedInput(
        phases[0], tiles: tiles, map: map, activation, v: v, layout, workspace: workspace)
    }
    for (phase, view) in phases.enumerated() {
      input(view, tiles: tiles, map: map, v: v + phase * view.channels, layout, workspace: workspace)
    }
  }

  /// v[point][tile][channels] = B' d B for the tiles of the range. Channels are filled up with zeros to a multiple of eight.
  static func input(
    _ view: WinogradView, tiles: Range<Int>, map: UnsafePointer<Float>, v: UnsafeMutablePointer<Float>,
    _ layout: TileLayout, workspace: UnsafeMutablePointer<Float>
  ) {
    let (height, width, channels) = (Rows.inputs, Columns.inputs, view.channels)
    let (line, pixel) = (view.stride * view.width * channels, view.stride * channels)
    let zeros = workspace + points * 16
    let zeroFloats = zeroFloats(channels, view.stride)
    zeros.update(repeating: 0, count: zeroFloats)
    let lines = UnsafeMutableRawPointer(zeros + zeroFloats)
      .bindMemory(to: UnsafePointer<Float>.self, capacity: height)
    for (index, (image, y, x)) in view.places(tiles).enumerated() {
      let first = map + ((image * view.height + y) * view.width + x) * channels
      let target = v + index * layout.row
      let (rows, columns) = (view.inside(y, height, of: view.height), view.inside(x, width, of: view.width))
      if rows.count == height && columns.count == width {
        square(channels, target, layout, workspace, 0..<width) { i, j in first + (i * line + j * pixel) }
      } else {
        for i in 0..<height { lines[i] = rows.contains(i) ? first + i * line : UnsafePointer(zeros) }
        square(channels, target, layout, workspace, columns) { i, j in lines[i] + j * pixel }
      }
    }
  }

  /// Floats of the largest map that is worth reading through its activation: four megabytes, of which the last-level cache
  /// has much. Of larger maps a pass in order is quicker than what tiles ask for.
  private static var activatedFloats: Int { 1 << 20 }

  /// Whether `activatedInput` is the way to read these phases: whole vectors of channels, and maps of stride 1 that tiles
  /// divide, so that of a tile no more than its outermost rows and columns lie outside.
  static func activates(_ views: [WinogradView], images: Int) -> Bool {
    guard views.count == 1, let view = views.first else { return false }
    return images * view.height * view.width * view.channels <= activatedFloats && view.stride == 1
      && view.channels % 8 == 0 && view.row == -1 && view.column == -1
      && view.tileRows * Rows.outputs == view.height && view.tileColumns * Columns.outputs == view.width
      && Rows.inputs == Rows.outputs + 2 && Columns.inputs == Columns.outputs + 2
  }

  /// As `input`, of relu(map * scale + shift).
  static func activatedInput(
    _ view: WinogradView, tiles: Range<Int>, map: UnsafePointer<Float>, _ activation: InputActivation,
    v: UnsafeMutablePointer<Float>, _ layout: TileLayout, workspace: UnsafeMutablePointer<Float>
  ) {
    let (height, width, channels) = (Rows.inputs, Columns.inputs, view.channels)
    let line = view.width * channels
    for (index, (image, y, x)) in view.places(tiles).enumerated() {
      let affine = activation.affine(ofImage: image)
      let first = map + ((image * view.height + y) * view.width + x) * channels
      let target = v + index * layout.row
      let (above, below) = (y < 0, y + height > view.height)
      let columns = view.inside(x, width, of: view.width)
      @inline(__always)
      func activated<V: FloatVector>(_: V.Type, _ channel: Int) {
        let activation = ActivationVector<V>(affine, channel)
        square(
          { i, j in
            if i == 0 && above || i == height - 1 && below { return V(repeating: 0) }
            return activation(V.load(first + channel + (i * line + j * channels)))
          }, columns, target + layout.place(channel), layout.slice, workspace)
      }
      _ = forVectors(
        of: channels, by16: { activated(SIMD16<Float>.self, $0) }, by8: { activated(SIMD8<Float>.self, $0) })
    }
  }

  /// B' d B of one tile, whose pixels are at the places; those of other columns are zeros.
  @inline(__always)
  private static func square(
    _ channels: Int, _ target: UnsafeMutablePointer<Float>, _ layout: TileLayout,
    _ workspace: UnsafeMutablePointer<Float>, _ columns: Range<Int>, _ place: (Int, Int) -> UnsafePointer<Float>
  ) {
    let slice = layout.slice
    var channel = 0
    if SIMD16<Float>.areWide {
      while channel + 16 <= channels {
        square(
          { SIMD16<Float>.load(place($0, $1) + channel) }, columns, target + layout.place(channel), slice, workspace)
        channel += 16
      }
    }
    while channel + 8 <= channels {
      let target = target + layout.place(channel)
      // Both halves of each line that is written.
      if channel & 8 == 0 { for point in 0..<points { prefetchForWriting(target + point * slice) } }
      square({ SIMD8<Float>.load(place($0, $1) + channel) }, columns, target, slice, workspace)
      channel += 8
    }
    if channel < channels {
      square(
        { loadFirst(channels - channel, place($0, $1) + channel) }, columns, target + layout.place(channel), slice,
        workspace)
    }
  }

  /// B' d B of one tile and a vector of channels.
  @inline(__always)
  private static func square<V: FloatVector>(
    _ load: (Int, Int) -> V, _ columns: Range<Int>, _ target: UnsafeMutablePointer<Float>, _ slice: Int,
    _ workspace: UnsafeMutablePointer<Float>
  ) {
    let width = Columns.inputs
    for j in 0..<width {
      if columns.contains(j) {
        Rows.input({ load($0, j) }, { $1.store(workspace + ($0 * width + j) * V.lanes) })
      } else {
        for i in 0..<Rows.side { V(repeating: 0).store(workspace + (i * width + j) * V.lanes) }
      }
    }
    for i in 0..<Rows.side {
      Columns.input(
        { V.load(workspace + (i * width + $0) * V.lanes) }, { $1.store(target + (i * Columns.side + $0) * slice) })
    }
  }

  /// z[point][panel][tile][16] = A y A' for the tiles of the range and 16-channel panels of the output gradient from
  /// `first` on; zeros right of the last channel.
  static func outputGradient(
    _ view: WinogradView, tiles: Range<Int>, first: Int, count: Int, map: UnsafePointer<Float>,
    z: UnsafeMutablePointer<Float>, panelStride: Int, slice: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    let (pixel, line) = (view.channels, view.width * view.channels)
    for (index, (image, y, x)) in view.places(tiles).enumerated() {
      let corner = map + ((image * view.height + y) * view.width + x) * pixel + first
      let height = view.inside(y, Rows.outputs, of: view.height).count
      let width = view.inside(x, Columns.outputs, of: view.width).count
      let isInside = height == Rows.outputs && width == Columns.outputs
      let row = z + index * 16
      for channel in Swift.stride(from: 0, to: count, by: 16) {
        let target = row + channel / 16 * panelStride
        if SIMD16<Float>.areWide && isInside && channel + 16 <= count {
          outputGradient({ SIMD16<Float>.load(corner + channel + ($0 * line + $1 * pixel)) }, target, slice, workspace)
          continue
        }
        for half in Swift.stride(from: channel, to: channel + 16, by: 8) {
          let (lanes, target) = (min(8, count - half), target + (half - channel))
          if isInside && lanes == 8 {
            outputGradient({ SIMD8<Float>.load(corner + half + ($0 * line + $1 * pixel)) }, target, slice, workspace)
            continue
          }
          outputGradient(
            { i, j -> SIMD8<Float> in
              guard i < height, j < width, lanes > 0 else { return SIMD8<Float>(repeating: 0) }
              let source = corner + half + (i * line + j * pixel)
              return lanes == 8 ? SIMD8<Float>.load(source) : loadFirst(lanes, source)
            }, target, slice, workspace)
        }
      }
    }
  }

  /// A y A' of one tile and a vector of channels.
  @inline(__always)
  private static func outputGradient<V: FloatVector>(
    _ load: (Int, Int) -> V, _ target: UnsafeMutablePointer<Float>, _ slice: Int,
    _ workspace: UnsafeMutablePointer<Float>
  ) {
    let n = Columns.side
    for j in 0..<Columns.outputs {
      Rows.outputGradient({ load($0, j) }, { $1.store(workspace + ($0 * n + j) * V.lanes) })
    }
    for i in 0..<Rows.side {
      Columns.outputGradient(
        { V.load(workspace + (i * n + $0) * V.lanes) }, { $1.store(target + (i * n + $0) * slice) })
    }
  }

  /// Floats of `filter`'s intermediate tile.
  static var filterWorkspaceFloats: Int { max(Rows.side * Columns.taps, Rows.taps * Columns.side) * 16 }

  /// Taps g[tap][k][16] of a filter, and the floats from an input channel k and from a tap to the next.
  struct Taps {
    let g: UnsafePointer<Float>
    let row, tap: Int
  }

  /// u[point][k][16] = G g G' for `count` k.
  static func filter(
    _ taps: Taps, count: Int, u: UnsafeMutablePointer<Float>, slice: Int, workspace: UnsafeMutablePointer<Float>
  ) {
    for k in 0..<count {
      let source = taps.g + k * taps.row
      // The taps lie a multiple of 4096 bytes apart in large filters, in one set of the first-level cache, and push each
      // other out: they are asked for in time.
      let later = k + 3 < count ? source + 3 * taps.row : source + 16 + (3 - count) * taps.row
      if SIMD16<Float>.areWide {
        filter(SIMD16<Float>.self, source, later, taps.tap, u + k * 16, slice, workspace)
      } else {
        filter(SIMD8<Float>.self, source, later, taps.tap, u + k * 16, slice, workspace)
      }
    }
  }

  /// G g G' for 16 channels, of whose cache lines both vectors are taken at once.
  @inline(__always)
  private static func filter<V: FloatVector>(
    _: V.Type, _ source: UnsafePointer<Float>, _ later: UnsafePointer<Float>, _ tapStride: Int,
    _ target: UnsafeMutablePointer<Float>, _ slice: Int, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let (n, r) = (Columns.side, Columns.taps)
    for j in 0..<r {
      for i in 0..<Rows.taps { prefetch(later + (i * r + j) * tapStride) }
      for part in Swift.stride(from: 0, to: 16, by: V.lanes) {
        Rows.filter(
          { V.load(source + part + ($0 * r + j) * tapStride) }, { $1.store(workspace + ($0 * r + j) * 16 + part) })
      }
    }
    for i in 0..<Rows.side {
      for part in Swift.stride(from: 0, to: 16, by: V.lanes) {
        Columns.filter(
          { V.load(workspace + (i * r + $0) * 16 + part) }, { $1.store(target + part + (i * n + $0) * slice) })
      }
    }
  }

  /// One row of the tile's points: u[column][k][16] = row `row` of G g G' for `count` k, to the bits of `filter`.
  static func filterRow(
    _ row: Int, _ taps: Taps, count: Int, u: UnsafeMutablePointer<Float>, slice: Int,
    workspace: UnsafeMutablePointer<Float>
  ) {
    // The row is a constant in each case, so that the others' part of the transform is left out.
    switch row {
    case 0: filterRow(constant: 0, taps, count, u, slice, workspace)
    case 1: filterRow(constant: 1, taps, count, u, slice, workspace)
    case 2: filterRow(constant: 2, taps, count, u, slice, workspace)
    case 3: filterRow(constant: 3, taps, count, u, slice, workspace)
    case 4: filterRow(constant: 4, taps, count, u, slice, workspace)
    case 5: filterRow(constant: 5, taps, count, u, slice, workspace)
    case 6: filterRow(constant: 6, taps, count, u, slice, workspace)
    case 7: filterRow(constant: 7, taps, count, u, slice, workspace)
    case 8: filterRow(constant: 8, taps, count, u, slice, workspace)
    case 9: filterRow(constant: 9, taps, count, u, slice, workspace)
    default: preconditionFailure("a tile of more than ten rows of points")
    }
  }

  @inline(__always)
  private static func filterRow(
    constant row: Int, _ taps: Taps, _ count: Int, _ u: UnsafeMutablePointer<Float>, _ slice: Int,
    _ workspace: UnsafeMutablePointer<Float>
  ) {
    if row >= Rows.side { return }
    for k in 0..<count {
      let (source, target) = (taps.g + k * taps.row, u + k * 16)
      if SIMD16<Float>.areWide {
        filterRow(SIMD16<Float>.self, row, source, taps.tap, target, slice, workspace)
      } else {
        filterRow(SIMD8<Float>.self, row, source, taps.tap, target, slice, workspace)
        filterRow(SIMD8<Float>.self, row, source + 8, taps.tap, target + 8, slice, workspace)
      }
    }
  }

  @inline(__always)
  private static func filterRow<V: FloatVector>(
    _: V.Type, _ row: Int, _ source: UnsafePointer<Float>, _ tapStride: Int, _ target: UnsafeMutablePointer<Float>,
    _ slice: Int, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let r = Columns.taps
    for j in 0..<r {
      Rows.filter(
        { V.load(source + ($0 * r + j) * tapStride) }, { if $0 == row { $1.store(workspace + j * V.lanes) } })
    }
    Columns.filter({ V.load(workspace + $0 * V.lanes) }, { $1.store(target + $0 * slice) })
  }

  /// Sums of products, transformed or to be transformed back: u[point][input][..] is the sum of `parts` partial sums
  /// `partStride` apart.
  struct Sums {
    let u: UnsafePointer<Float>
    let rowStride, slice: Int
    let parts, partStride: Int
  }

  /// gradient[tap] + first.. = G' u G for `inputs` input channels and `count` output channels, with rows of the gradient
  /// `gradientRow` apart, and taps[i][j] the place of a tap in it, or below zero for none.
  static func filterGradient(
    inputs: Int, count: Int, of sums: Sums, gradient: UnsafeMutablePointer<Float>, gradientRow: Int,
    taps: UnsafePointer<Int>, workspace: UnsafeMutablePointer<Float>
  ) {
    for input in 0..<inputs {
      for line in Swift.stride(from: 0, to: count, by: 16) {
        let source = sums.u + input * sums.rowStride + line
        let target = gradient + input * gradientRow + line
        for tap in 0..<Rows.taps * Columns.taps where taps[tap] >= 0 { prefetch(target + taps[tap]) }
        let channels = min(16, count - line)
        if SIMD16<Float>.areWide && channels == 16 {
          filterGradient(SIMD16<Float>.self, source, sums, target, channels, taps, workspace)
        } else {
          filterGradient(SIMD8<Float>.self, source, sums, target, channels, taps, workspace)
        }
      }
    }
  }

  /// G' u G for up to 16 channels; as in `filter`, both vectors of a cache line at once.
  @inline(__always)
  private static func filterGradient<V: FloatVector>(
    _: V.Type, _ source: UnsafePointer<Float>, _ sums: Sums, _ target: UnsafeMutablePointer<Float>, _ channels: Int,
    _ taps: UnsafePointer<Int>, _ workspace: UnsafeMutablePointer<Float>
  ) {
    let (n, r) = (Columns.side, Columns.taps)
    for j in 0..<n {
      for part in Swift.stride(from: 0, to: channels, by: V.lanes) {
        Rows.filterGradient(
          { i in
            let place = source + part + (i * n + j) * sums.slice
            var sum = V.load(place)
            if sums.parts > 1 {
              for other in 1..<sums.parts { sum = sum + V.load(place + other * sums.partStride) }
            }
            return sum
          }, { $1.store(workspace + ($0 * n + j) * 16 + part) })
      }
    }
    for i in 0..<Rows.taps {
      for part in Swift.stride(from: 0, to: channels, by: V.lanes) {
        let lanes = min(V.lanes, channels - part)
        Columns.filterGradient(
          { V.load(workspace + (i * n + $0) * 16 + part) },
          { j, value in
            let tap = taps[i * r + j]
            if tap >= 0 { put(value, target + part + tap, lanes: lanes, accumulate: false) }
          })
      }
    }
  }

  /// Writes or adds the first `lanes` of a vector.
  @inline(__always)
  static func put<V: FloatVector>(
    _ value: V, _ target: UnsafeMutablePointer<Float>, lanes: Int, accumulate: Bool
  ) {
    if lanes == V.lanes {
      (accumulate ? V.load(target) + value : value).store(target)
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
