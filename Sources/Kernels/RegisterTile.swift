internal import CVector

/// Sixteen columns side by side: one register of AVX-512, whose tile of six rows then issues half the instructions, or two
/// of AVX2. The widest columns of a tile are two panels with AVX-512. The numbers are the same.
#if AVX512
  typealias SixteenColumns = SIMD16<Float>
  typealias WidestColumns = Two<SIMD16<Float>>
#else
  typealias SixteenColumns = Two<SIMD8<Float>>
  typealias WidestColumns = SixteenColumns
#endif

/// A row of a register tile: the columns of one packed panel, or of two.
protocol TileColumns: ChannelVector {
  init(repeating: Float)
  /// The columns at a row of the panels, `stride` floats from one panel to the next.
  static func load(panels: UnsafePointer<Float>, stride: Int) -> Self
}

#if AVX512
  extension SIMD16<Float>: TileColumns {
    @inline(__always)
    static func load(panels: UnsafePointer<Float>, stride: Int) -> Self { load(panels) }
  }

  extension Two: TileColumns where Vector == SIMD16<Float> {
    @inline(__always)
    init(repeating: Float) { self.init(Vector(repeating: repeating), Vector(repeating: repeating)) }

    @inline(__always)
    static func load(panels: UnsafePointer<Float>, stride: Int) -> Self {
      Two(.load(panels), .load(panels + stride))
    }
  }
#else
  extension Two: TileColumns where Vector == SIMD8<Float> {
    @inline(__always)
    init(repeating: Float) { self.init(Vector(repeating: repeating), Vector(repeating: repeating)) }

    @inline(__always)
    static func load(panels: UnsafePointer<Float>, stride: Int) -> Self { load(panels) }
  }
#endif

extension TileColumns {
  /// The present contents of a row, the part beyond `columns` as zeros.
  @inline(__always)
  static func load(_ c: UnsafePointer<Float>, columns: Int) -> Self {
    if columns == lanes { return load(c) }
    var row = Self(repeating: 0)
    withUnsafeMutableBytes(of: &row) { bytes in
      let floats = bytes.assumingMemoryBound(to: Float.self)
      for column in 0..<columns { floats[column] = c[column] }
    }
    return row
  }

  @inline(__always)
  func store(_ c: UnsafeMutablePointer<Float>, columns: Int) {
    if columns == Self.lanes { return store(c) }
    withUnsafeBytes(of: self) { bytes in
      let floats = bytes.assumingMemoryBound(to: Float.self)
      for column in 0..<columns { c[column] = floats[column] }
    }
  }
}

/// Packed panels of 16 columns, [panel][k][16] or with what else lies between: `stride` floats from one panel to the next.
struct PackedPanels {
  let base: UnsafePointer<Float>
  let stride: Int

  @inline(__always)
  init(_ base: UnsafePointer<Float>, stride: Int) { (self.base, self.stride) = (base, stride) }

  /// From a column on, the first of a panel.
  @inline(__always)
  func from(_ column: Int) -> PackedPanels { PackedPanels(base + column / 16 * stride, stride: stride) }

  /// From a row on.
  @inline(__always)
  func from(row: Int) -> PackedPanels { PackedPanels(base + row * 16, stride: stride) }
}

/// Where the rows of a register tile are read or written: base + offset(row). Rows past the last repeat the last one,
/// which is harmless because tiles load all rows before they compute and store from the last row to the first.
protocol RowPlaces {
  func offset(_ row: Int) -> Int
}

/// Rows at a fixed distance.
struct EvenRows: RowPlaces {
  let distance: Int
  let last: Int

  @inline(__always)
  func offset(_ row: Int) -> Int { min(row, last) * distance }
}

/// Rows at a fixed distance, all of them there.
struct WholeRows: RowPlaces {
  let distance: Int

  @inline(__always)
  func offset(_ row: Int) -> Int { row * distance }
}

/// Rows at offsets of a table, all of them there.
struct WholeListedRows: RowPlaces {
  let offsets: UnsafePointer<Int>

  @inline(__always)
  func offset(_ row: Int) -> Int { offsets[row] }
}

/// Rows at offsets of a table, of which some may be missing.
struct ListedRows: RowPlaces {
  let offsets: UnsafePointer<Int>
  let last: Int

  @inline(__always)
  func offset(_ row: Int) -> Int { offsets[min(row, last)] }
}

/// The left factor of a tile whose rows are stored row by row, k contiguous within each of `segments` runs: a matrix
/// (one run) or the window of a convolution (a run for each filter row).
struct RunsOfRows<Places: RowPlaces> {
  let base: UnsafePointer<Float>
  let places: Places
  let segments: Int
  let length: Int
  let segmentStride: Int
}

/// The rows of a tile in registers: six, or the first four of them for what 6 does not divide. The height is a constant
/// wherever a tile is used, and costs nothing there.
struct RegisterRows<Columns: TileColumns> {
  private let height: Int
  var r0, r1, r2, r3, r4, r5: Columns

  /// Zeros.
  @inline(__always)
  init(height: Int) {
    self.height = height
    let zero = Columns(repeating: 0)
    (r0, r1, r2, r3, r4, r5) = (zero, zero, zero, zero, zero, zero)
  }

  /// The rows' present contents where they are added to, or zeros.
  @inline(__always)
  init<C: RowPlaces>(height: Int, _ c: UnsafePointer<Float>, _ rows: C, columns: Int, accumulate: Bool) {
    self.init(height: height)
    guard accumulate else { return }
    (r0, r1) = (.load(c + rows.offset(0), columns: columns), .load(c + rows.offset(1), columns: columns))
    (r2, r3) = (.load(c + rows.offset(2), columns: columns), .load(c + rows.offset(3), columns: columns))
    guard height == 6 else { return }
    (r4, r5) = (.load(c + rows.offset(4), columns: columns), .load(c + rows.offset(5), columns: columns))
  }

  /// self += a[height x k] b[k x columns].
  @inline(__always)
  mutating func add<A: RowPlaces>(_ a: RunsOfRows<A>, _ b: PackedPanels) {
    var (a0, a1) = (a.base + a.places.offset(0), a.base + a.places.offset(1))
    var (a2, a3) = (a.base + a.places.offset(2), a.base + a.places.offset(3))
    var (a4, a5) = height == 6 ? (a.base + a.places.offset(4), a.base + a.places.offset(5)) : (a0, a0)
    var panels = b.base
    for _ in 0..<a.segments {
      for k in 0..<a.length {
        let columns = Columns.load(panels: panels, stride: b.stride)
        panels += 16
        r0 = r0.addingProduct(Columns(repeating: a0[k]), columns)
        r1 = r1.addingProduct(Columns(repeating: a1[k]), columns)
        r2 = r2.addingProduct(Columns(repeating: a2[k]), columns)
        r3 = r3.addingProduct(Columns(repeating: a3[k]), columns)
        if height == 6 {
          r4 = r4.addingProduct(Columns(repeating: a4[k]), columns)
          r5 = r5.addingProduct(Columns(repeating: a5[k]), columns)
        }
      }
      a0 += a.segmentStride
      a1 += a.segmentStride
      a2 += a.segmentStride
      a3 += a.segmentStride
      a4 += a.segmentStride
      a5 += a.segmentStride
    }
  }

  /// Six rows += their numbers times a row of b.
  @inline(__always)
  mutating func add(_ columns: Columns, _ a0: Float, _ a1: Float, _ a2: Float, _ a3: Float, _ a4: Float, _ a5: Float) {
    r0 = r0.addingProduct(Columns(repeating: a0), columns)
    r1 = r1.addingProduct(Columns(repeating: a1), columns)
    r2 = r2.addingProduct(Columns(repeating: a2), columns)
    r3 = r3.addingProduct(Columns(repeating: a3), columns)
    r4 = r4.addingProduct(Columns(repeating: a4), columns)
    r5 = r5.addingProduct(Columns(repeating: a5), columns)
  }

  /// The same of four rows.
  @inline(__always)
  mutating func add(_ columns: Columns, _ a0: Float, _ a1: Float, _ a2: Float, _ a3: Float) {
    r0 = r0.addingProduct(Columns(repeating: a0), columns)
    r1 = r1.addingProduct(Columns(repeating: a1), columns)
    r2 = r2.addingProduct(Columns(repeating: a2), columns)
    r3 = r3.addingProduct(Columns(repeating: a3), columns)
  }

  /// self += a' b where a is stored k by k, `lda` apart, its entries side by side. Reads as many of a as the tile is high
  /// even where fewer rows are wanted.
  @inline(__always)
  mutating func addTransposed(_ a: UnsafePointer<Float>, lda: Int, _ b: PackedPanels, k: Int) {
    var (a, panels) = (a, b.base)
    for _ in 0..<k {
      let columns = Columns.load(panels: panels, stride: b.stride)
      r0 = r0.addingProduct(Columns(repeating: a[0]), columns)
      r1 = r1.addingProduct(Columns(repeating: a[1]), columns)
      r2 = r2.addingProduct(Columns(repeating: a[2]), columns)
      r3 = r3.addingProduct(Columns(repeating: a[3]), columns)
      if height == 6 {
        r4 = r4.addingProduct(Columns(repeating: a[4]), columns)
        r5 = r5.addingProduct(Columns(repeating: a[5]), columns)
      }
      a += lda
      panels += 16
    }
  }

  @inline(__always)
  func store<C: RowPlaces>(_ c: UnsafeMutablePointer<Float>, _ rows: C, columns: Int) {
    if height == 6 {
      r5.store(c + rows.offset(5), columns: columns)
      r4.store(c + rows.offset(4), columns: columns)
    }
    r3.store(c + rows.offset(3), columns: columns)
    r2.store(c + rows.offset(2), columns: columns)
    r1.store(c + rows.offset(1), columns: columns)
    r0.store(c + rows.offset(0), columns: columns)
  }
}

/// Four steps of a loop over k written out, which count and move their pointers once.
enum Fours {
  /// Calls `step` with 0 to 3 and then `next`, `count` times and once at least: sums that a loop might not change would be moved
  /// through memory.
  @inline(__always)
  static func each(_ count: Int, step: (Int) -> Void, next: () -> Void) {
    var left = count
    repeat {
      step(0)
      step(1)
      step(2)
      step(3)
      next()
      left -= 1
    } while left > 0
  }

  /// Moves a pointer that the compiler may not make others of, as it would for each distance.
  @inline(__always)
  static func advance(_ pointer: inout UnsafePointer<Float>, _ floats: Int) {
    pointer = cvector_opaque(pointer + floats)
  }
}

/// Twelve or sixteen rows in registers of AVX-512, all of them there: those of two or three tiles, which share each row of b.
/// The height is a constant as that of `RegisterRows` is.
struct TallRegisterRows<Columns: TileColumns> {
  private let height: Int
  private var upper, lower, rest: RegisterRows<Columns>

  /// The present contents of rows `distance` apart where they are added to, or zeros.
  @inline(__always)
  init(height: Int, _ c: UnsafePointer<Float>, distance: Int, accumulate: Bool) {
    self.height = height
    let rows = WholeRows(distance: distance)
    upper = RegisterRows(height: 6, c, rows, columns: Columns.lanes, accumulate: accumulate)
    lower = RegisterRows(height: 6, c + 6 * distance, rows, columns: Columns.lanes, accumulate: accumulate)
    rest = RegisterRows(
      height: 4, c + 12 * distance, rows, columns: Columns.lanes, accumulate: accumulate && height == 16)
  }

  /// self += a[12 x k] b[k x columns], rows of a `lda` apart.
  @inline(__always)
  mutating func add(_ a: UnsafePointer<Float>, lda: Int, _ b: PackedPanels, k: Int) {
    // Three rows a pointer, which an address can reach.
    var (a0, a3, a6, a9) = (a, a + 3 * lda, a + 6 * lda, a + 9 * lda)
    var panels = b.base
    for _ in 0..<k {
      add(.load(panels: panels, stride: b.stride), a0, a3, a6, a9, lda: lda)
      a0 += 1
      a3 += 1
      a6 += 1
      a9 += 1
      panels += 16
    }
  }

  /// The same for fours of k, one at least; see `Fours`.
  @inline(__always)
  mutating func add(fours: Int, _ a: UnsafePointer<Float>, lda: Int, _ b: PackedPanels) {
    var (a0, a3, a6, a9) = (a, a + 3 * lda, a + 6 * lda, a + 9 * lda)
    var panels = b.base
    Fours.each(fours) { k in
      add(.load(panels: panels + k * 16, stride: b.stride), a0 + k, a3 + k, a6 + k, a9 + k, lda: lda)
    } next: {
      Fours.advance(&a0, 4)
      Fours.advance(&a3, 4)
      Fours.advance(&a6, 4)
      Fours.advance(&a9, 4)
      Fours.advance(&panels, 64)
    }
  }

  /// self += a' b for fours of k, one at least, where a is stored k by k, as in `addTransposed`.
  @inline(__always)
  mutating func addTransposed(fours: Int, _ a: UnsafePointer<Float>, lda: Int, _ b: PackedPanels) {
    var (a, panels) = (a, b.base)
    Fours.each(fours) { k in
      addTransposed(.load(panels: panels + k * 16, stride: b.stride), a)
      Fours.advance(&a, lda)
    } next: {
      Fours.advance(&panels, 64)
    }
  }

  /// self += a' b where a is stored k by k, `lda` apart, its entries side by side.
  @inline(__always)
  mutating func addTransposed(_ a: UnsafePointer<Float>, lda: Int, _ b: PackedPanels, k: Int) {
    var (a, panels) = (a, b.base)
    for _ in 0..<k {
      addTransposed(.load(panels: panels, stride: b.stride), a)
      a += lda
      panels += 16
    }
  }

  /// One k: of twelve rows, three from each address on, `lda` apart.
  @inline(__always)
  private mutating func add(
    _ columns: Columns, _ a0: UnsafePointer<Float>, _ a3: UnsafePointer<Float>, _ a6: UnsafePointer<Float>,
    _ a9: UnsafePointer<Float>, lda: Int
  ) {
    upper.add(columns, a0[0], a0[lda], a0[2 * lda], a3[0], a3[lda], a3[2 * lda])
    lower.add(columns, a6[0], a6[lda], a6[2 * lda], a9[0], a9[lda], a9[2 * lda])
  }

  /// One k of rows side by side.
  @inline(__always)
  private mutating func addTransposed(_ columns: Columns, _ a: UnsafePointer<Float>) {
    upper.add(columns, a[0], a[1], a[2], a[3], a[4], a[5])
    lower.add(columns, a[6], a[7], a[8], a[9], a[10], a[11])
    if height == 16 { rest.add(columns, a[12], a[13], a[14], a[15]) }
  }

  @inline(__always)
  func store(_ c: UnsafeMutablePointer<Float>, distance: Int) {
    let rows = WholeRows(distance: distance)
    upper.store(c, rows, columns: Columns.lanes)
    lower.store(c + 6 * distance, rows, columns: Columns.lanes)
    if height == 16 { rest.store(c + 12 * distance, rows, columns: Columns.lanes) }
  }
}

/// Products of a few rows with packed columns, held in registers: 6 x 16 uses 12 accumulators, two registers for b
/// and one for the broadcast of a, all of AVX2's 16 less one (the shape of BLIS's Haswell kernel, Van Zee and van de
/// Geijn 2015). With AVX-512 it is 6 x 32: as many sums, where six would not cover the time that two products at once take,
/// and each number of a that is read serves two; 12 x 16 for a single panel, or 16 x 16 where rows of a lie side by side; or
/// 12 x 32 where products are deep enough for the longer beginning and end.
enum RegisterTile {
  /// c[height x columns] (+)= a[height x k] b[k x columns].
  @inline(__always)
  static func multiply<Columns: TileColumns, A: RowPlaces, C: RowPlaces>(
    _: Columns.Type, height: Int, _ a: RunsOfRows<A>, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>, _ rows: C,
    columns: Int, accumulate: Bool
  ) {
    var sums = RegisterRows<Columns>(height: height, c, rows, columns: columns, accumulate: accumulate)
    sums.add(a, b)
    sums.store(c, rows, columns: columns)
  }

  /// How many rows the next tile takes when `left` remain: 6, or 4 where that wastes less (8 = 4 + 4, 4, 3, ...).
  @inline(__always)
  static func height(_ left: Int) -> Int { left >= 9 || left == 6 || left == 5 ? 6 : 4 }

  /// Whether rows are taken by twelve, or sixteen, as long as there are so many.
  @inline(__always)
  static func isTall<Columns: TileColumns>(_: Columns.Type, k: Int) -> Bool {
    SIMD16<Float>.areWide && (Columns.lanes == 16 || k >= 96)
  }

  /// Whether that is a tile of six rows that are all there.
  @inline(__always)
  static func isWhole(_ left: Int) -> Bool { left >= 9 || left == 6 }
}
