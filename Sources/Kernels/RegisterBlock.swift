/// Products of many rows with packed panels of 16 columns: register tiles one below the other, for one panel, or as many as
/// a tile has, after the other.
///
/// These are the innermost calls that are not inlined; a tile's panels should fit the first-level cache.
enum RegisterBlock {
  /// c[rows x columns] (+)= a[rows x k] b[k x columns], rows of a `lda` apart and of c `ldc` apart.
  @inline(never)
  static func multiply(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int,
    columns: Int, accumulate: Bool
  ) {
    let left = Left(a: a, lda: lda, rows: rows, k: k)
    for column in wideColumns(columns) {
      multiply(
        WidestColumns.self, left, b.from(column), c + column, ldc, columns: WidestColumns.lanes, accumulate)
    }
    for column in singlePanels(columns) {
      multiply(
        SixteenColumns.self, left, b.from(column), c + column, ldc, columns: min(16, columns - column), accumulate)
    }
  }

  /// The left factor: rows `lda` apart.
  struct Left {
    let a: UnsafePointer<Float>
    let lda, rows, k: Int

    /// The rows of a tile from a row on, at places.
    @inline(__always)
    func from<Places: RowPlaces>(_ row: Int, _ places: Places) -> RunsOfRows<Places> {
      RunsOfRows(base: a + row * lda, places: places, segments: 1, length: k, segmentStride: 0)
    }
  }

  /// The first columns of the tiles that are as wide as can be.
  @inline(__always)
  static func wideColumns(_ columns: Int) -> StrideTo<Int> {
    stride(from: 0, to: columns - WidestColumns.lanes + 1, by: WidestColumns.lanes)
  }

  /// The first columns of the panels that are left.
  @inline(__always)
  static func singlePanels(_ columns: Int) -> StrideTo<Int> {
    stride(from: columns / WidestColumns.lanes * WidestColumns.lanes, to: columns, by: 16)
  }

  @inline(__always)
  private static func multiply<Columns: TileColumns>(
    _: Columns.Type, _ left: Left, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, columns: Int,
    _ accumulate: Bool
  ) {
    var row = 0
    // Whole tiles first, whose beginnings and ends are short: where k is small they are much of the time.
    while columns == Columns.lanes && RegisterTile.isTall(Columns.self, k: left.k) && left.rows - row >= 12 {
      var tile = TallRegisterRows<Columns>(c + row * ldc, distance: ldc, accumulate: accumulate)
      tile.add(left.a + row * left.lda, lda: left.lda, b, k: left.k)
      tile.store(c + row * ldc, distance: ldc)
      row += 12
    }
    while columns == Columns.lanes && RegisterTile.isWhole(left.rows - row) {
      RegisterTile.multiply(
        Columns.self, height: 6, left.from(row, WholeRows(distance: left.lda)), b, c + row * ldc,
        WholeRows(distance: ldc), columns: Columns.lanes, accumulate: accumulate)
      row += 6
    }
    while row < left.rows {
      let last = left.rows - row - 1
      let runs = left.from(row, EvenRows(distance: left.lda, last: last))
      let stores = EvenRows(distance: ldc, last: last)
      let height = RegisterTile.height(last + 1)
      if height == 6 {
        RegisterTile.multiply(
          Columns.self, height: 6, runs, b, c + row * ldc, stores, columns: columns, accumulate: accumulate)
      } else {
        RegisterTile.multiply(
          Columns.self, height: 4, runs, b, c + row * ldc, stores, columns: columns, accumulate: accumulate)
      }
      row += height
    }
  }

  /// Windows of a map: row i is `segments` runs of `length` floats, `segmentStride` apart, from base + offsets[i].
  struct Windows {
    let base: UnsafePointer<Float>
    let offsets: UnsafePointer<Int>
    let rows, segments, length, segmentStride: Int

    @inline(__always)
    func at<Places: RowPlaces>(_ places: Places) -> RunsOfRows<Places> {
      RunsOfRows(base: base, places: places, segments: segments, length: length, segmentStride: segmentStride)
    }
  }

  /// c[listed rows x columns] (+)= windows times b; the products of window i go to c + cOffsets[i].
  @inline(never)
  static func convolve(
    _ windows: Windows, b: PackedPanels, c: UnsafeMutablePointer<Float>, cOffsets: UnsafePointer<Int>, columns: Int,
    accumulate: Bool
  ) {
    for column in wideColumns(columns) {
      convolve(
        WidestColumns.self, windows, b.from(column), c + column, cOffsets, columns: WidestColumns.lanes, accumulate)
    }
    for column in singlePanels(columns) {
      convolve(
        SixteenColumns.self, windows, b.from(column), c + column, cOffsets, columns: min(16, columns - column),
        accumulate)
    }
  }

  @inline(__always)
  private static func convolve<Columns: TileColumns>(
    _: Columns.Type, _ windows: Windows, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>,
    _ cOffsets: UnsafePointer<Int>, columns: Int, _ accumulate: Bool
  ) {
    var row = 0
    while columns == Columns.lanes && RegisterTile.isWhole(windows.rows - row) {
      // Five tiles ahead: the processor does not foresee rows of every second pixel. Windows of several lines are read from
      // a bordered copy, which the caches have.
      for later in row + 30..<max(row + 30, min(row + 36, windows.rows)) {
        for line in stride(from: 0, to: Columns.lanes, by: 16) { prefetchForWriting(c + cOffsets[later] + line) }
        for line in stride(from: 0, to: windows.segments == 1 ? min(windows.length, 64) : 0, by: 16) {
          prefetch(windows.base + windows.offsets[later] + line)
        }
      }
      RegisterTile.multiply(
        Columns.self, height: 6, windows.at(WholeListedRows(offsets: windows.offsets + row)), b, c,
        WholeListedRows(offsets: cOffsets + row), columns: Columns.lanes, accumulate: accumulate)
      row += 6
    }
    while row < windows.rows {
      let last = windows.rows - row - 1
      let runs = windows.at(ListedRows(offsets: windows.offsets + row, last: last))
      let stores = ListedRows(offsets: cOffsets + row, last: last)
      let height = RegisterTile.height(last + 1)
      if height == 6 {
        RegisterTile.multiply(
          Columns.self, height: 6, runs, b, c, stores, columns: columns, accumulate: accumulate)
      } else {
        RegisterTile.multiply(
          Columns.self, height: 4, runs, b, c, stores, columns: columns, accumulate: accumulate)
      }
      row += height
    }
  }

  /// c[rows x columns] (+)= a' b, where a is stored k x rows, `lda` apart. Reads a few floats past the last row of a where
  /// `rows` is no sum of sixes and fours.
  @inline(never)
  static func multiplyTransposed(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int,
    columns: Int, accumulate: Bool
  ) {
    let left = Left(a: a, lda: lda, rows: rows, k: k)
    for column in wideColumns(columns) {
      multiplyTransposed(
        WidestColumns.self, left, b.from(column), c + column, ldc, columns: WidestColumns.lanes, accumulate)
    }
    for column in singlePanels(columns) {
      multiplyTransposed(
        SixteenColumns.self, left, b.from(column), c + column, ldc, columns: min(16, columns - column), accumulate)
    }
  }

  @inline(__always)
  private static func multiplyTransposed<Columns: TileColumns>(
    _: Columns.Type, _ left: Left, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, columns: Int,
    _ accumulate: Bool
  ) {
    var row = 0
    while columns == Columns.lanes && RegisterTile.isTall(Columns.self, k: left.k) && left.rows - row >= 12 {
      var tile = TallRegisterRows<Columns>(c + row * ldc, distance: ldc, accumulate: accumulate)
      tile.addTransposed(left.a + row, lda: left.lda, b, k: left.k)
      tile.store(c + row * ldc, distance: ldc)
      row += 12
    }
    while columns == Columns.lanes && RegisterTile.isWhole(left.rows - row) {
      RegisterTile.multiplyTransposed(
        Columns.self, height: 6, left.a + row, lda: left.lda, b, k: left.k, c + row * ldc, WholeRows(distance: ldc),
        columns: Columns.lanes, accumulate: accumulate)
      row += 6
    }
    while row < left.rows {
      let stores = EvenRows(distance: ldc, last: left.rows - row - 1)
      let height = RegisterTile.height(left.rows - row)
      if height == 6 {
        RegisterTile.multiplyTransposed(
          Columns.self, height: 6, left.a + row, lda: left.lda, b, k: left.k, c + row * ldc, stores, columns: columns,
          accumulate: accumulate)
      } else {
        RegisterTile.multiplyTransposed(
          Columns.self, height: 4, left.a + row, lda: left.lda, b, k: left.k, c + row * ldc, stores, columns: columns,
          accumulate: accumulate)
      }
      row += height
    }
  }

  /// A left factor packed in groups of six columns of what is stored k by k: a[group][k][6], groups `stride` apart.
  struct Groups {
    let a: UnsafePointer<Float>
    let stride, rows, k: Int
  }

  /// c[rows x columns] (+)= a' b.
  @inline(never)
  static func multiplyGroups(
    _ left: Groups, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int, columns: Int, accumulate: Bool
  ) {
    for column in wideColumns(columns) {
      multiplyGroups(
        WidestColumns.self, left, b.from(column), c + column, ldc, columns: WidestColumns.lanes, accumulate)
    }
    for column in singlePanels(columns) {
      multiplyGroups(
        SixteenColumns.self, left, b.from(column), c + column, ldc, columns: min(16, columns - column), accumulate)
    }
  }

  @inline(__always)
  private static func multiplyGroups<Columns: TileColumns>(
    _: Columns.Type, _ left: Groups, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, columns: Int,
    _ accumulate: Bool
  ) {
    for row in stride(from: 0, to: left.rows, by: 6) {
      let group = Left(a: left.a + row / 6 * left.stride, lda: 6, rows: min(6, left.rows - row), k: left.k)
      multiplyTransposed(Columns.self, group, b, c + row * ldc, ldc, columns: columns, accumulate)
    }
  }
}
