internal import CVector

/// Products of one row of a tile's points, which are transformed along the row before they leave the first-level cache: what goes
/// to the others and comes back is the row's outputs, four where there are six points, and the other half of the transform has
/// nothing else left to do. Three points of eight tiles and a panel of 16 output channels are 24 of AVX-512's registers. The
/// numbers are those of `WinogradTransform.output`, to the bit.
struct PointRow<Columns: WinogradTile> {
  let tiles, depth: Int
  /// v[point][16 channels][tile][16], `inputPart` floats from 16 channels to the next ones, and u[point][panel][depth][16].
  let v, u: Matrices
  let inputPart: Int
  /// [column][tile][panel][16], `slice` floats from a column to the next and `row` from a tile to the next.
  let outputs: UnsafeMutablePointer<Float>
  let slice, row: Int

  /// A matrix for each point of the row, `slice` floats from one to the next.
  struct Matrices {
    let first: UnsafePointer<Float>
    let slice: Int
  }

  /// Whether a row's products can be kept where its outputs will be, of so many channels.
  static func applies(depth: Int) -> Bool {
    SIMD16<Float>.areWide && 4...8 ~= Columns.side && kept <= Columns.outputs && depth % EightSums.depthAtOnce == 0
  }

  /// Whether there is something to gain where it applies: a number of the filter that is read serves eight products where a register
  /// tile makes twelve of it, so that filters have to be near. Rows of eight points have the largest; and two wide multiply-add units
  /// are kept busier by register tiles of two panels: beside a quick third level from 32 channels on, before a slow one from where
  /// those have twelve rows.
  static func isWorthwhile(depth: Int) -> Bool {
    let most =
      CacheSize.isBeforeSlowThirdLevel ? 64 : MultiplyAddUnits.areWide ? 16 : Columns.side == 8 ? 64 : 128
    return depth <= most
  }

  /// Tiles whose sums registers hold. Of a part of v as many are read even where fewer are left.
  static var tilesAtOnce: Int { 8 }

  /// The last two or three points, whose products are transformed with those of the others. These are kept where outputs will be, so
  /// that there may be no more of them.
  @inline(__always)
  private static var last: Int { Columns.side % 3 == 0 ? 3 : 2 }
  @inline(__always)
  private static var kept: Int { Columns.side - last }

  /// outputs = A' (v u) along the row, for so many panels of output channels.
  func multiply(panels: Int, _ ahead: inout Lookahead) {
    // No preconditions, which this module is compiled without: both would write, or read, what is not there.
    if Self.kept > Columns.outputs { fatalError("fewer outputs than products that are kept") }
    if EightSums.depthAtOnce != 8 || depth % 8 != 0 { fatalError("channels that are not whole steps") }
    for panel in 0..<panels { multiply(panel, &ahead) }
  }

  @inline(never)
  private func multiply(_ panel: Int, _ ahead: inout Lookahead) {
    multiply(panel, from: 0, &ahead)
    if Self.kept > 3 { multiply(panel, from: 3, &ahead) }
    multiply(panel, from: Self.kept, &ahead)
  }

  /// Two or three points from one on: their products where outputs will be, or, of the last ones, the outputs. The tiles are written
  /// out, since the compiler makes calls of closures, which registers cannot be handed to.
  @inline(__always)
  private func multiply(_ panel: Int, from point: Int, _ ahead: inout Lookahead) {
    let (outputs, slice, row) = (outputs + panel * 16, slice, row)
    let points = point == Self.kept ? Self.last : min(3, Self.kept - point)
    for first in stride(from: 0, to: tiles, by: Self.tilesAtOnce) {
      let sums = EightSums(
        v.first + first * 16 + point * v.slice, slice: v.slice, part: inputPart,
        u.first + panel * depth * 16 + point * u.slice, slice: u.slice, depth: depth, points: points, &ahead)
      let (left, target) = (tiles - first, outputs + first * row)
      Self.put(sums, point, points, 0, target, slice)
      if left > 1 { Self.put(sums, point, points, 1, target + row, slice) }
      if left > 2 { Self.put(sums, point, points, 2, target + 2 * row, slice) }
      if left > 3 { Self.put(sums, point, points, 3, target + 3 * row, slice) }
      if left > 4 { Self.put(sums, point, points, 4, target + 4 * row, slice) }
      if left > 5 { Self.put(sums, point, points, 5, target + 5 * row, slice) }
      if left > 6 { Self.put(sums, point, points, 6, target + 6 * row, slice) }
      if left > 7 { Self.put(sums, point, points, 7, target + 7 * row, slice) }
    }
  }

  /// A tile's sums of points that are kept, or its outputs.
  @inline(__always)
  private static func put(
    _ sums: EightSums, _ point: Int, _ points: Int, _ tile: Int, _ target: UnsafeMutablePointer<Float>, _ slice: Int
  ) {
    if point == kept {
      finish(sums, tile, target, slice)
    } else {
      sums.store(points, tile, target + point * slice, slice)
    }
  }

  @inline(__always)
  private static func finish(_ sums: EightSums, _ tile: Int, _ target: UnsafeMutablePointer<Float>, _ slice: Int) {
    @inline(__always)
    func kept(_ point: Int) -> SIMD16<Float> { .load(target + min(point, Self.kept - 1) * slice) }
    let (k0, k1, k2, k3, k4, k5) = (kept(0), kept(1), kept(2), kept(3), kept(4), kept(5))
    Columns.output(
      { point in
        if point >= Self.kept { return sums[point - Self.kept][tile] }
        switch point {
        case 0: return k0
        case 1: return k1
        case 2: return k2
        case 3: return k3
        case 4: return k4
        default: return k5
        }
      }, { $1.store(target + $0 * slice) })
  }
}

/// The sums of eight tiles in registers, of two or three points and one panel.
private struct EightSums {
  private var p0, p1, p2: PointSums

  /// Channels between two calls of `Lookahead.ask`: eight, which are written out.
  static var depthAtOnce: Int { Lookahead.depth(rows: 24, columns: 16) }

  /// v[point][16 channels][tile][16] u[point][k][16].
  /// - Parameters:
  ///   - v: the first tile's, at the first point, and likewise u.
  ///   - part: floats from 16 channels of v to the next.
  @inline(__always)
  init(
    _ v: UnsafePointer<Float>, slice: Int, part: Int, _ u: UnsafePointer<Float>, slice filterSlice: Int, depth: Int,
    points: Int, _ ahead: inout Lookahead
  ) {
    (p0, p1, p2) = (.zero, .zero, .zero)
    // A loop that runs once at least: sums that a loop might not change would be moved through memory.
    var (b, done) = (u, 0)
    repeat {
      // Pointers that the compiler may not make others of, most of which it would read from memory.
      let a0 = cvector_opaque(v + (done / 16 * part + done % 16))
      let (a1, a2) = (cvector_opaque(a0 + slice), cvector_opaque(a0 + 2 * slice))
      @inline(__always)
      func add(_ k: Int) {
        p0.add(a0 + k, b + k * 16)
        p1.add(a1 + k, b + (filterSlice + k * 16))
        if points > 2 { p2.add(a2 + k, b + (2 * filterSlice + k * 16)) }
      }
      // Without a loop nothing is counted, and every distance is in an instruction.
      add(0)
      add(1)
      add(2)
      add(3)
      add(4)
      add(5)
      add(6)
      add(7)
      b = cvector_opaque(b + Self.depthAtOnce * 16)
      ahead.ask()
      done += Self.depthAtOnce
    } while done < depth
  }

  @inline(__always)
  subscript(point: Int) -> PointSums { point == 0 ? p0 : point == 1 ? p1 : p2 }

  /// A tile's sums, those of each point `slice` after those of the one before.
  @inline(__always)
  func store(_ points: Int, _ tile: Int, _ target: UnsafeMutablePointer<Float>, _ slice: Int) {
    p0[tile].store(target)
    p1[tile].store(target + slice)
    if points > 2 { p2[tile].store(target + 2 * slice) }
  }
}

/// The sums of one point for eight tiles and 16 output channels. Indices are constants wherever it is used, and cost nothing there.
private struct PointSums {
  private var s0, s1, s2, s3, s4, s5, s6, s7: SIMD16<Float>

  @inline(__always)
  static var zero: PointSums {
    let zero = SIMD16<Float>(repeating: 0)
    return PointSums(s0: zero, s1: zero, s2: zero, s3: zero, s4: zero, s5: zero, s6: zero, s7: zero)
  }

  /// += the tiles' numbers, from `a` on, times a row of the filter. Their distances are constants, so that a multiply-add reads its
  /// number itself: through a register that holds a distance it would take two slots of the processor in place of one.
  @inline(__always)
  mutating func add(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) {
    let columns = SIMD16<Float>.load(b)
    s0 = s0.addingProduct(SIMD16(repeating: a[0]), columns)
    s1 = s1.addingProduct(SIMD16(repeating: a[16]), columns)
    s2 = s2.addingProduct(SIMD16(repeating: a[32]), columns)
    s3 = s3.addingProduct(SIMD16(repeating: a[48]), columns)
    s4 = s4.addingProduct(SIMD16(repeating: a[64]), columns)
    s5 = s5.addingProduct(SIMD16(repeating: a[80]), columns)
    s6 = s6.addingProduct(SIMD16(repeating: a[96]), columns)
    s7 = s7.addingProduct(SIMD16(repeating: a[112]), columns)
  }

  @inline(__always)
  subscript(tile: Int) -> SIMD16<Float> {
    switch tile {
    case 0: s0
    case 1: s1
    case 2: s2
    case 3: s3
    case 4: s4
    case 5: s5
    case 6: s6
    default: s7
    }
  }
}
