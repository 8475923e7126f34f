/// Sixteen columns side by side: one register of AVX-512, whose tile of six rows then issues half the instructions, or two
/// of AVX2. The numbers are the same.
#if AVX512
  typealias SixteenColumns = SIMD16<Float>
#else
  typealias SixteenColumns = Two<SIMD8<Float>>
#endif

/// One row of 16 products in registers.
struct RegisterRow {
  var sums: SixteenColumns

  @inline(__always)
  init() { sums = SixteenColumns(repeating: 0) }

  /// The row's present contents, the part beyond `columns` as zeros.
  @inline(__always)
  init(_ c: UnsafePointer<Float>, columns: Int) {
    self.init()
    if columns == 16 {
      sums = SixteenColumns.load(c)
    } else {
      withUnsafeMutableBytes(of: &sums) { bytes in
        let floats = bytes.assumingMemoryBound(to: Float.self)
        for column in 0..<columns { floats[column] = c[column] }
      }
    }
  }

  @inline(__always)
  mutating func add(_ a: Float, _ b: SixteenColumns) {
    sums = sums.addingProduct(SixteenColumns(repeating: a), b)
  }

  @inline(__always)
  func store(_ c: UnsafeMutablePointer<Float>, columns: Int) {
    if columns == 16 {
      sums.store(c)
    } else {
      withUnsafeBytes(of: sums) { bytes in
        let floats = bytes.assumingMemoryBound(to: Float.self)
        for column in 0..<columns { c[column] = floats[column] }
      }
    }
  }
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

/// The rows of a tile in registers, 16 products each: six, or the first four of them for what 6 does not divide. The height
/// is a constant wherever a tile is used, and costs nothing there.
struct RegisterRows {
  private let height: Int
  var r0, r1, r2, r3, r4, r5: RegisterRow

  /// Zeros.
  @inline(__always)
  init(height: Int) {
    self.height = height
    (r0, r1, r2) = (RegisterRow(), RegisterRow(), RegisterRow())
    (r3, r4, r5) = (RegisterRow(), RegisterRow(), RegisterRow())
  }

  /// The rows' present contents where they are added to, or zeros.
  @inline(__always)
  init<C: RowPlaces>(height: Int, _ c: UnsafePointer<Float>, _ rows: C, columns: Int, accumulate: Bool) {
    self.init(height: height)
    guard accumulate else { return }
    (r0, r1) = (RegisterRow(c + rows.offset(0), columns: columns), RegisterRow(c + rows.offset(1), columns: columns))
    (r2, r3) = (RegisterRow(c + rows.offset(2), columns: columns), RegisterRow(c + rows.offset(3), columns: columns))
    guard height == 6 else { return }
    (r4, r5) = (RegisterRow(c + rows.offset(4), columns: columns), RegisterRow(c + rows.offset(5), columns: columns))
  }

  /// self += a[height x k] b[k x 16].
  @inline(__always)
  mutating func add<A: RowPlaces>(_ a: RunsOfRows<A>, _ b: UnsafePointer<Float>) {
    var (a0, a1) = (a.base + a.places.offset(0), a.base + a.places.offset(1))
    var (a2, a3) = (a.base + a.places.offset(2), a.base + a.places.offset(3))
    var (a4, a5) = height == 6 ? (a.base + a.places.offset(4), a.base + a.places.offset(5)) : (a0, a0)
    var b = b
    for _ in 0..<a.segments {
      for k in 0..<a.length {
        let columns16 = SixteenColumns.load(b)
        b += 16
        r0.add(a0[k], columns16)
        r1.add(a1[k], columns16)
        r2.add(a2[k], columns16)
        r3.add(a3[k], columns16)
        if height == 6 {
          r4.add(a4[k], columns16)
          r5.add(a5[k], columns16)
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

  /// self += a' b where a is stored k by k, `lda` apart, its entries side by side; b likewise, 16 wide. Reads as many of a as
  /// the tile is high even where fewer rows are wanted.
  @inline(__always)
  mutating func addTransposed(_ a: UnsafePointer<Float>, lda: Int, _ b: UnsafePointer<Float>, ldb: Int, k: Int) {
    var (a, b) = (a, b)
    for _ in 0..<k {
      let columns16 = SixteenColumns.load(b)
      r0.add(a[0], columns16)
      r1.add(a[1], columns16)
      r2.add(a[2], columns16)
      r3.add(a[3], columns16)
      if height == 6 {
        r4.add(a[4], columns16)
        r5.add(a[5], columns16)
      }
      a += lda
      b += ldb
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

/// Products of a few rows with 16 packed columns, held in registers: 6 x 16 uses 12 accumulators, two registers for b
/// and one for the broadcast of a, all of AVX2's 16 less one (the shape of BLIS's Haswell kernel, Van Zee and van de
/// Geijn 2015). AVX-512 keeps the shape, as taller tiles of its registers are no faster: six sums cover the time that a
/// product takes, and a row's number is broadcast by the product that uses it.
enum RegisterTile {
  /// c[height x columns] (+)= a[height x k] b[k x 16].
  @inline(__always)
  static func multiply<A: RowPlaces, C: RowPlaces>(
    height: Int, _ a: RunsOfRows<A>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>, _ rows: C,
    columns: Int, accumulate: Bool
  ) {
    var sums = RegisterRows(height: height, c, rows, columns: columns, accumulate: accumulate)
    sums.add(a, b)
    sums.store(c, rows, columns: columns)
  }

  /// c[height x columns] (+)= a' b; see `RegisterRows.addTransposed`.
  @inline(__always)
  static func multiplyTransposed<C: RowPlaces>(
    height: Int, _ a: UnsafePointer<Float>, lda: Int, _ b: UnsafePointer<Float>, ldb: Int, k: Int,
    _ c: UnsafeMutablePointer<Float>, _ rows: C, columns: Int, accumulate: Bool
  ) {
    var sums = RegisterRows(height: height, c, rows, columns: columns, accumulate: accumulate)
    sums.addTransposed(a, lda: lda, b, ldb: ldb, k: k)
    sums.store(c, rows, columns: columns)
  }

  /// How many rows the next tile takes when `left` remain: 6, or 4 where that wastes less (8 = 4 + 4, 4, 3, ...).
  @inline(__always)
  static func height(_ left: Int) -> Int { left >= 9 || left == 6 || left == 5 ? 6 : 4 }

  /// Whether that is a tile of six rows that are all there.
  @inline(__always)
  static func isWhole(_ left: Int) -> Bool { left >= 9 || left == 6 }
}
