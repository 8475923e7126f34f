internal import CVector

/// Products of one row of a tile's points, of four tiles at a time, which are transformed along the row while registers hold
/// them: what goes to the caches and comes back is the row's outputs, four where there are six points, and the other half of
/// the transform has nothing else left to read. Six points of four tiles and 16 channels are 24 of AVX-512's registers. The
/// numbers are those of `WinogradTransform.output`, to the bit.
enum PointRow<Columns: WinogradTile> {
  /// Whether registers hold a row's products, and there is something to gain: a number of the filter that is read serves four
  /// products where a register tile makes twelve of it, so that filters have to be near.
  static func isWorthwhile(depth: Int) -> Bool { SIMD16<Float>.areWide && 4...6 ~= Columns.side && depth <= 128 }

  /// Tiles whose sums are in registers at a time.
  static var tilesAtOnce: Int { 4 }

  /// A matrix for each point of the row, `slice` floats from one to the next.
  struct Matrices {
    let first: UnsafePointer<Float>
    let slice: Int
  }

  /// outputs[column][tile][16] = A' (v[point][tile][k] u[point][k][16]) along the row, for one panel of output channels.
  /// - Parameters:
  ///   - tileRow: floats from a tile of v to the next.
  ///   - slice: floats from a column of the outputs to the next, and likewise `row` from a tile to the next.
  @inline(never)
  static func multiply(
    tiles: Int, k: Int, _ v: Matrices, tileRow: Int, _ u: Matrices, outputs: UnsafeMutablePointer<Float>, slice: Int,
    row: Int
  ) {
    for next in stride(from: 0, to: tiles, by: tilesAtOnce) {
      // The last four end with the last tile and repeat some of those before; of fewer than four the last is repeated.
      let first = max(0, min(next, tiles - tilesAtOnce))
      let tile = EvenRows(distance: tileRow, last: tiles - 1)
      let sums = RowSums<Columns>(v.first + first * tileRow, slice: v.slice, tile, u, k: k)
      @inline(__always)
      func finish(_ tile: Int) {
        let target = outputs + (first + tile) * row
        Columns.output({ sums[$0][tile] }, { $1.store(target + $0 * slice) })
      }
      finish(0)
      if tiles > 1 { finish(1) }
      if tiles > 2 { finish(2) }
      if tiles > 3 { finish(3) }
    }
  }
}

/// The sums of a row's points, in registers. Indices are constants wherever it is used, and cost nothing there.
private struct RowSums<Columns: WinogradTile> {
  private var p0, p1, p2, p3, p4, p5: PointSums

  /// v[point][tile][k] u[point][k][16] for four tiles.
  /// - Parameter v: the first tile's, at the first point.
  @inline(__always)
  init(_ v: UnsafePointer<Float>, slice: Int, _ tiles: EvenRows, _ u: PointRow<Columns>.Matrices, k: Int) {
    (p0, p1, p2, p3, p4, p5) = (.zero, .zero, .zero, .zero, .zero, .zero)
    let n = Columns.side
    let (t1, t2, t3) = (tiles.offset(1), tiles.offset(2), tiles.offset(3))
    // A pointer a point and one for three points' filters, to which an address can add the rest.
    var (a0, a1, a2) = (v, v + slice, v + 2 * slice)
    var (a3, a4, a5) = (v + 3 * slice, v + 4 * slice, v + 5 * slice)
    var (b0, b3) = (u.first, u.first + 3 * u.slice)
    for _ in 0..<k {
      p0.add(a0, t1, t2, t3, b0)
      p1.add(a1, t1, t2, t3, b0 + u.slice)
      p2.add(a2, t1, t2, t3, b0 + 2 * u.slice)
      p3.add(a3, t1, t2, t3, b3)
      if n > 4 { p4.add(a4, t1, t2, t3, b3 + u.slice) }
      if n > 5 { p5.add(a5, t1, t2, t3, b3 + 2 * u.slice) }
      (a0, a1, a2) = (cvector_opaque(a0 + 1), cvector_opaque(a1 + 1), cvector_opaque(a2 + 1))
      a3 = cvector_opaque(a3 + 1)
      if n > 4 { a4 = cvector_opaque(a4 + 1) }
      if n > 5 { a5 = cvector_opaque(a5 + 1) }
      (b0, b3) = (cvector_opaque(b0 + 16), cvector_opaque(b3 + 16))
    }
  }

  @inline(__always)
  subscript(point: Int) -> PointSums {
    switch point {
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
