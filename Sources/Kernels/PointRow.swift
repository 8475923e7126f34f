internal import CVector

/// Products of one row of a tile's points, of four tiles at a time, which are transformed along the row while registers hold
/// them: what goes to the caches and comes back is the row's outputs, four where there are six points, and the other half of
/// the transform has nothing else left to do. Six points of four tiles and 16 channels are 24 of AVX-512's registers; so are
/// three points of two panels of 16 channels, for which each number of a tile is read once for both. The numbers are those of
/// `WinogradTransform.output`, to the bit.
struct PointRow<Columns: WinogradTile> {
  let tiles, depth: Int
  /// v[point][tile][depth], `tileRow` floats from a tile to the next, and u[point][panel][depth][16].
  let v, u: Matrices
  let tileRow: Int
  /// [column][tile][panel][16], `slice` floats from a column to the next and `row` from a tile to the next.
  let outputs: UnsafeMutablePointer<Float>
  let slice, row: Int

  /// A matrix for each point of the row, `slice` floats from one to the next.
  struct Matrices {
    let first: UnsafePointer<Float>
    let slice: Int
  }

  /// Whether registers hold a row's products, and there is something to gain: a number of the filter that is read serves four
  /// products where a register tile makes twelve of it, so that filters have to be near. Processors before a slow third level
  /// have two multiply-add units, which the register tiles of twelve rows of greater depths keep busier.
  static func isWorthwhile(depth: Int) -> Bool {
    SIMD16<Float>.areWide && 4...6 ~= Columns.side && depth <= (CacheSize.isBeforeSlowThirdLevel ? 64 : 128)
  }

  private static var tilesAtOnce: Int { 4 }

  /// outputs = A' (v u) along the row, for so many panels of output channels.
  func multiply(panels: Int, _ ahead: inout Lookahead) {
    for panel in stride(from: 0, to: panels - 1, by: 2) { multiplyPair(panel, &ahead) }
    if panels % 2 == 1 { multiplyPanel(panels - 1, &ahead) }
  }

  /// All points of one panel at a time.
  @inline(never)
  private func multiplyPanel(_ panel: Int, _ ahead: inout Lookahead) {
    let (outputs, slice, row) = (outputs + panel * 16, slice, row)
    for first in stride(from: 0, to: tiles, by: Self.tilesAtOnce) {
      let sums = SixSums(
        v.first + first * tileRow, slice: v.slice, EvenRows(distance: tileRow, last: tiles - 1 - first),
        u.first + panel * depth * 16, slice: u.slice, depth: depth, points: Columns.side, isPair: false, &ahead)
      @inline(__always)
      func finish(_ tile: Int) {
        let target = outputs + (first + tile) * row
        Columns.output({ sums[$0][tile] }, { $1.store(target + $0 * slice) })
      }
      finish(0)
      if tiles - first > 1 { finish(1) }
      if tiles - first > 2 { finish(2) }
      if tiles - first > 3 { finish(3) }
    }
  }

  /// The first half of the points of two panels, kept where outputs will be, and then the other half.
  @inline(never)
  private func multiplyPair(_ panel: Int, _ ahead: inout Lookahead) {
    let (outputs, slice, row) = (outputs + panel * 16, slice, row)
    for first in stride(from: 0, to: tiles, by: Self.tilesAtOnce) {
      let sums = SixSums(
        v.first + first * tileRow, slice: v.slice, EvenRows(distance: tileRow, last: tiles - 1 - first),
        u.first + panel * depth * 16, slice: u.slice, depth: depth, points: Self.kept, isPair: true, &ahead)
      let target = outputs + first * row
      Self.keep(sums, 0, target, slice)
      if tiles - first > 1 { Self.keep(sums, 1, target + row, slice) }
      if tiles - first > 2 { Self.keep(sums, 2, target + 2 * row, slice) }
      if tiles - first > 3 { Self.keep(sums, 3, target + 3 * row, slice) }
    }
    for first in stride(from: 0, to: tiles, by: Self.tilesAtOnce) {
      let sums = SixSums(
        v.first + first * tileRow + Self.kept * v.slice, slice: v.slice,
        EvenRows(distance: tileRow, last: tiles - 1 - first), u.first + panel * depth * 16 + Self.kept * u.slice,
        slice: u.slice, depth: depth, points: Columns.side - Self.kept, isPair: true, &ahead)
      let target = outputs + first * row
      Self.finish(sums, 0, target, slice)
      if tiles - first > 1 { Self.finish(sums, 1, target + row, slice) }
      if tiles - first > 2 { Self.finish(sums, 2, target + 2 * row, slice) }
      if tiles - first > 3 { Self.finish(sums, 3, target + 3 * row, slice) }
    }
  }

  /// Points of the first half: as many as there are outputs to keep them in.
  @inline(__always)
  private static var kept: Int { min(3, Columns.outputs) }

  /// Written out, since the compiler makes calls of closures within closures here, which registers cannot be handed to.
  @inline(__always)
  private static func keep(_ sums: SixSums, _ tile: Int, _ target: UnsafeMutablePointer<Float>, _ slice: Int) {
    sums[0][tile].store(target)
    sums[3][tile].store(target + 16)
    sums[1][tile].store(target + slice)
    sums[4][tile].store(target + slice + 16)
    if kept < 3 { return }
    sums[2][tile].store(target + 2 * slice)
    sums[5][tile].store(target + 2 * slice + 16)
  }

  @inline(__always)
  private static func finish(_ sums: SixSums, _ tile: Int, _ target: UnsafeMutablePointer<Float>, _ slice: Int) {
    finish(sums, tile, panel: 0, target, slice)
    finish(sums, tile, panel: 1, target + 16, slice)
  }

  @inline(__always)
  private static func finish(
    _ sums: SixSums, _ tile: Int, panel: Int, _ target: UnsafeMutablePointer<Float>, _ slice: Int
  ) {
    let (first, second) = (SIMD16<Float>.load(target), SIMD16<Float>.load(target + slice))
    let third = kept < 3 ? first : SIMD16<Float>.load(target + 2 * slice)
    Columns.output(
      { point in
        if point >= kept { return sums[point - kept + 3 * panel][tile] }
        return point == 0 ? first : point == 1 ? second : third
      }, { $1.store(target + $0 * slice) })
  }
}

/// The sums of four tiles in registers, of up to six points and one panel or of up to three points and two panels. Indices are
/// constants wherever it is used, and cost nothing there.
private struct SixSums {
  private var p0, p1, p2, p3, p4, p5: PointSums

  private static var depthAtOnce: Int { Lookahead.depth(rows: 24, columns: 16) }

  /// v[point][tile][k] u[point][panel][k][16]: of one panel by points; of a pair those of the first panel by points, and from the
  /// fourth on those of the second.
  /// - Parameters:
  ///   - v: the first tile's, at the first point, and likewise u.
  ///   - points: four to six of one panel, two or three of a pair.
  @inline(__always)
  init(
    _ v: UnsafePointer<Float>, slice: Int, _ tiles: EvenRows, _ u: UnsafePointer<Float>, slice filterSlice: Int,
    depth: Int, points: Int, isPair: Bool, _ ahead: inout Lookahead
  ) {
    (p0, p1, p2, p3, p4, p5) = (.zero, .zero, .zero, .zero, .zero, .zero)
    let (upper, lower) = isPair ? (points, points) : (3, points - 3)
    let (t1, t2, t3) = (tiles.offset(1), tiles.offset(2), tiles.offset(3))
    // A pointer a point and one for three points' filters, to which an address can add the rest.
    var (a0, a1, a2) = (v, v + slice, v + 2 * slice)
    var (a3, a4, a5) = (v + 3 * slice, v + 4 * slice, v + 5 * slice)
    var (b0, b3) = (u, isPair ? u + depth * 16 : u + 3 * filterSlice)
    var left = depth
    while left > 0 {
      for _ in 0..<min(left, Self.depthAtOnce) {
        p0.add(a0, t1, t2, t3, b0)
        p3.add(isPair ? a0 : a3, t1, t2, t3, b3)
        p1.add(a1, t1, t2, t3, b0 + filterSlice)
        if lower > 1 { p4.add(isPair ? a1 : a4, t1, t2, t3, b3 + filterSlice) }
        if upper > 2 { p2.add(a2, t1, t2, t3, b0 + 2 * filterSlice) }
        if lower > 2 { p5.add(isPair ? a2 : a5, t1, t2, t3, b3 + 2 * filterSlice) }
        (a0, a1) = (cvector_opaque(a0 + 1), cvector_opaque(a1 + 1))
        if upper > 2 { a2 = cvector_opaque(a2 + 1) }
        if !isPair { a3 = cvector_opaque(a3 + 1) }
        if !isPair && lower > 1 { a4 = cvector_opaque(a4 + 1) }
        if !isPair && lower > 2 { a5 = cvector_opaque(a5 + 1) }
        (b0, b3) = (cvector_opaque(b0 + 16), cvector_opaque(b3 + 16))
      }
      left -= Self.depthAtOnce
      ahead.ask()
    }
  }

  @inline(__always)
  subscript(index: Int) -> PointSums {
    switch index {
    case 0: p0
    case 1: p1
    case 2: p2
    case 3: p3
    case 4: p4
    default: p5
    }
  }
}

/// The sums of one point for four tiles and 16 output channels.
private struct PointSums {
  private var s0, s1, s2, s3: SIMD16<Float>

  @inline(__always)
  static var zero: PointSums {
    let zero = SIMD16<Float>(repeating: 0)
    return PointSums(s0: zero, s1: zero, s2: zero, s3: zero)
  }

  /// += the four tiles' numbers, at `a` and at the distances from it, times a row of the filter.
  @inline(__always)
  mutating func add(_ a: UnsafePointer<Float>, _ t1: Int, _ t2: Int, _ t3: Int, _ b: UnsafePointer<Float>) {
    let columns = SIMD16<Float>.load(b)
    s0 = s0.addingProduct(SIMD16(repeating: a[0]), columns)
    s1 = s1.addingProduct(SIMD16(repeating: a[t1]), columns)
    s2 = s2.addingProduct(SIMD16(repeating: a[t2]), columns)
    s3 = s3.addingProduct(SIMD16(repeating: a[t3]), columns)
  }

  @inline(__always)
  subscript(tile: Int) -> SIMD16<Float> {
    switch tile {
    case 0: s0
    case 1: s1
    case 2: s2
    default: s3
    }
  }
}
