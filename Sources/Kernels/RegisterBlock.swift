/// Products of many rows with packed panels of 16 columns: register tiles one below the other, for one panel, or as many as
/// a tile has, after the other.
///
/// These are the innermost calls that are not inlined; a tile's panels should fit the first-level cache.
enum RegisterBlock {
  /// c[rows x columns] (+)= a[rows x k] b[k x columns], rows of a `lda` apart and of c `ldc` apart.
  static func multiply(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int,
    columns: Int, accumulate: Bool
  ) {
    var nothing = Lookahead.nothing
    multiply(
      rows: rows, k: k, a: a, lda: lda, b: b, c: c, ldc: ldc, columns: columns, accumulate: accumulate, &nothing)
  }

  /// The same, asking meanwhile for what lies ahead.
  @inline(never)
  static func multiply(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int,
    columns: Int, accumulate: Bool, _ ahead: inout Lookahead
  ) {
    let left = Left(a: a, lda: lda, rows: rows, k: k)
    eachTile(of: columns, RowsProduct(left: left, b: b, c: c, ldc: ldc, accumulate: accumulate), &ahead)
  }

  /// c[listed rows x columns] (+)= windows times b; the products of window i go to c + cOffsets[i].
  @inline(never)
  static func convolve(
    _ windows: Windows, b: PackedPanels, c: UnsafeMutablePointer<Float>, cOffsets: UnsafePointer<Int>, columns: Int,
    accumulate: Bool
  ) {
    eachTile(
      of: columns, WindowsProduct(windows: windows, b: b, c: c, cOffsets: cOffsets, accumulate: accumulate))
  }

  /// c[rows x columns] (+)= a' b, where a is stored k x rows, `lda` apart. Reads a few floats past the last row of a where
  /// `rows` is no sum of sixes and fours.
  /// - Parameter asksForSums: whether what is added to has left the second-level cache.
  @inline(never)
  static func multiplyTransposed(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int,
    columns: Int, accumulate: Bool, asksForSums: Bool, _ ahead: inout Lookahead
  ) {
    let left = TransposedLeft(a: a, lda: lda, rows: rows, k: k)
    eachTile(
      of: columns,
      RowsProduct(left: left, b: b, c: c, ldc: ldc, accumulate: accumulate, asksForSums: accumulate && asksForSums),
      &ahead)
  }

  /// c[rows x columns] (+)= a' b of packed groups.
  @inline(never)
  static func multiplyGroups(
    _ left: Groups, b: PackedPanels, c: UnsafeMutablePointer<Float>, ldc: Int, columns: Int, accumulate: Bool
  ) {
    eachTile(of: columns, GroupsProduct(left: left, b: b, c: c, ldc: ldc, accumulate: accumulate))
  }

  /// All columns of a product, by tiles as wide as can be and single panels for what is left.
  @inline(__always)
  static func eachTile<Product: TiledProduct>(of columns: Int, _ product: Product) {
    var nothing = Lookahead.nothing
    eachTile(of: columns, product, &nothing)
  }

  @inline(__always)
  private static func eachTile<Product: TiledProduct>(of columns: Int, _ product: Product, _ ahead: inout Lookahead) {
    let wide = WidestColumns.lanes
    for column in stride(from: 0, to: columns - wide + 1, by: wide) {
      product.multiply(WidestColumns.self, from: column, columns: wide, &ahead)
    }
    for column in stride(from: columns / wide * wide, to: columns, by: 16) {
      product.multiply(SixteenColumns.self, from: column, columns: min(16, columns - column), &ahead)
    }
  }
}

/// A product that is computed for the columns of one register tile at a time.
protocol TiledProduct {
  /// All rows of the columns from one on, the first of a panel; fewer than the tile has where the last panel is not full.
  func multiply<Columns: TileColumns>(
    _: Columns.Type, from column: Int, columns: Int, _ ahead: inout Lookahead)
}

/// A left factor by the rows of tiles.
protocol LeftFactor {
  var rows: Int { get }
  var k: Int { get }
  /// Whether a tile of a single panel can have sixteen rows.
  static var reachesSixteen: Bool { get }
  /// tile += as many rows as it has from one on, all of them there, k in a range, times b.
  func add<Columns: TileColumns>(
    to tile: inout TallRegisterRows<Columns>, from row: Int, _ k: Range<Int>, _ b: PackedPanels)
  /// The same for fours of k from one on.
  func add<Columns: TileColumns>(
    fours: Int, to tile: inout TallRegisterRows<Columns>, from row: Int, k: Int, _ b: PackedPanels)
  /// tile += as many rows as it has from one on, k in a range, times b; where they are not whole, some may be missing.
  func add<Columns: TileColumns>(
    to tile: inout RegisterRows<Columns>, from row: Int, areWhole: Bool, _ k: Range<Int>, _ b: PackedPanels)
}

extension RegisterBlock {
  /// A left factor as it is stored: rows `lda` apart.
  struct Left: LeftFactor {
    let a: UnsafePointer<Float>
    let lda, rows, k: Int

    /// As addresses of sixteen rows would take more registers than there are.
    static var reachesSixteen: Bool { false }

    @inline(__always)
    func add<Columns: TileColumns>(
      to tile: inout TallRegisterRows<Columns>, from row: Int, _ k: Range<Int>, _ b: PackedPanels
    ) { tile.add(a + row * lda + k.lowerBound, lda: lda, b, k: k.count) }

    @inline(__always)
    func add<Columns: TileColumns>(
      fours: Int, to tile: inout TallRegisterRows<Columns>, from row: Int, k: Int, _ b: PackedPanels
    ) { tile.add(fours: fours, a + row * lda + k, lda: lda, b) }

    @inline(__always)
    func add<Columns: TileColumns>(
      to tile: inout RegisterRows<Columns>, from row: Int, areWhole: Bool, _ k: Range<Int>, _ b: PackedPanels
    ) {
      if areWhole {
        tile.add(from(row, k, WholeRows(distance: lda)), b)
      } else {
        tile.add(from(row, k, EvenRows(distance: lda, last: rows - row - 1)), b)
      }
    }

    @inline(__always)
    private func from<Places: RowPlaces>(_ row: Int, _ k: Range<Int>, _ places: Places) -> RunsOfRows<Places> {
      RunsOfRows(base: a + row * lda + k.lowerBound, places: places, segments: 1, length: k.count, segmentStride: 0)
    }
  }

  /// A left factor that is stored k by k, `lda` apart.
  struct TransposedLeft: LeftFactor {
    let a: UnsafePointer<Float>
    let lda, rows, k: Int

    static var reachesSixteen: Bool { true }

    @inline(__always)
    func add<Columns: TileColumns>(
      to tile: inout TallRegisterRows<Columns>, from row: Int, _ k: Range<Int>, _ b: PackedPanels
    ) { tile.addTransposed(a + row + k.lowerBound * lda, lda: lda, b, k: k.count) }

    @inline(__always)
    func add<Columns: TileColumns>(
      fours: Int, to tile: inout TallRegisterRows<Columns>, from row: Int, k: Int, _ b: PackedPanels
    ) { tile.addTransposed(fours: fours, a + row + k * lda, lda: lda, b) }

    @inline(__always)
    func add<Columns: TileColumns>(
      to tile: inout RegisterRows<Columns>, from row: Int, areWhole: Bool, _ k: Range<Int>, _ b: PackedPanels
    ) { tile.addTransposed(a + row + k.lowerBound * lda, lda: lda, b, k: k.count) }
  }

  /// A left factor packed in groups of six columns of what is stored k by k: a[group][k][6], groups `stride` apart.
  struct Groups {
    let a: UnsafePointer<Float>
    let stride, rows, k: Int
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
}

/// c (+)= a b, rows of c `ldc` apart.
private struct RowsProduct<Factor: LeftFactor>: TiledProduct {
  let left: Factor
  let b: PackedPanels
  let c: UnsafeMutablePointer<Float>
  let ldc: Int
  let accumulate: Bool
  /// Whether a tile asks for what the next one adds to.
  var asksForSums = false

  @inline(__always)
  func multiply<Columns: TileColumns>(
    _: Columns.Type, from column: Int, columns: Int, _ ahead: inout Lookahead
  ) {
    let (b, c) = (b.from(column), c + column)
    var row = 0
    // Whole tiles first, whose beginnings and ends are short: where k is small they are much of the time. Their loops over k are
    // written out, since the compiler puts sums that closures or strides come near into memory.
    while columns == Columns.lanes && RegisterTile.isTall(Columns.self, k: left.k) && left.rows - row >= 12 {
      if Factor.reachesSixteen && Columns.lanes == 16 && (left.rows - row) % 16 == 0 {
        addTall(Columns.self, height: 16, row, b, c, &ahead)
        row += 16
      } else {
        addTall(Columns.self, height: 12, row, b, c, &ahead)
        row += 12
      }
    }
    while columns == Columns.lanes && RegisterTile.isWhole(left.rows - row) {
      askForSums(Columns.self, height: 6, from: row + 6, c)
      addWhole(Columns.self, height: 6, row, b, c, &ahead)
      row += 6
    }
    // The four or eight rows that are left of 16, 32 or 64.
    while columns == Columns.lanes && row < left.rows && (left.rows - row) % 4 == 0 {
      addWhole(Columns.self, height: 4, row, b, c, &ahead)
      row += 4
    }
    while row < left.rows {
      let height = RegisterTile.height(left.rows - row)
      if height == 6 {
        addRagged(Columns.self, height: 6, row, b, c, columns: columns)
      } else {
        addRagged(Columns.self, height: 4, row, b, c, columns: columns)
      }
      let depth = Lookahead.depth(rows: height, columns: Columns.lanes)
      for _ in 0..<(left.k + depth - 1) / depth { ahead.ask() }
      row += height
    }
  }

  /// Asks for the `height` rows of sums from one on, those of the next tile below: what has left the second-level cache takes
  /// longer than a processor looks ahead across this tile. Where there is no such tile nothing is lost.
  @inline(__always)
  private func askForSums<Columns: TileColumns>(
    _: Columns.Type, height: Int, from row: Int, _ c: UnsafeMutablePointer<Float>
  ) {
    guard asksForSums else { return }
    for row in row..<row + height {
      for line in stride(from: 0, to: Columns.lanes, by: 16) { prefetchForWriting(c + row * ldc + line) }
    }
  }

  /// A tile of twelve rows or sixteen.
  @inline(__always)
  private func addTall<Columns: TileColumns>(
    _: Columns.Type, height: Int, _ row: Int, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>,
    _ ahead: inout Lookahead
  ) {
    askForSums(Columns.self, height: height, from: row + height, c)
    var tile = TallRegisterRows<Columns>(height: height, c + row * ldc, distance: ldc, accumulate: accumulate)
    let depth = Lookahead.depth(rows: height, columns: Columns.lanes)
    if depth % 4 != 0 { fatalError("steps that fours leave out") }
    var k = 0
    if k + depth <= left.k {
      repeat {
        left.add(fours: depth / 4, to: &tile, from: row, k: k, b.from(row: k))
        ahead.ask()
        k += depth
      } while k + depth <= left.k
    }
    if k < left.k {
      left.add(to: &tile, from: row, k..<left.k, b.from(row: k))
      ahead.ask()
    }
    tile.store(c + row * ldc, distance: ldc)
  }

  /// A tile that is all there.
  @inline(__always)
  private func addWhole<Columns: TileColumns>(
    _: Columns.Type, height: Int, _ row: Int, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>,
    _ ahead: inout Lookahead
  ) {
    let rows = WholeRows(distance: ldc)
    var tile = RegisterRows<Columns>(
      height: height, c + row * ldc, rows, columns: Columns.lanes, accumulate: accumulate)
    let depth = Lookahead.depth(rows: height, columns: Columns.lanes)
    var k = 0
    while k < left.k {
      left.add(to: &tile, from: row, areWhole: true, k..<min(k + depth, left.k), b.from(row: k))
      ahead.ask()
      k += depth
    }
    tile.store(c + row * ldc, rows, columns: Columns.lanes)
  }

  /// A tile of which rows or columns may be missing.
  @inline(__always)
  private func addRagged<Columns: TileColumns>(
    _: Columns.Type, height: Int, _ row: Int, _ b: PackedPanels, _ c: UnsafeMutablePointer<Float>, columns: Int
  ) {
    let rows = EvenRows(distance: ldc, last: left.rows - row - 1)
    var tile = RegisterRows<Columns>(height: height, c + row * ldc, rows, columns: columns, accumulate: accumulate)
    left.add(to: &tile, from: row, areWhole: false, 0..<left.k, b)
    tile.store(c + row * ldc, rows, columns: columns)
  }
}

/// The same for packed groups, of six rows each.
private struct GroupsProduct: TiledProduct {
  let left: RegisterBlock.Groups
  let b: PackedPanels
  let c: UnsafeMutablePointer<Float>
  let ldc: Int
  let accumulate: Bool

  @inline(__always)
  func multiply<Columns: TileColumns>(
    _: Columns.Type, from column: Int, columns: Int, _ ahead: inout Lookahead
  ) {
    for row in stride(from: 0, to: left.rows, by: 6) {
      let group = RegisterBlock.TransposedLeft(
        a: left.a + row / 6 * left.stride, lda: 6, rows: min(6, left.rows - row), k: left.k)
      RowsProduct(left: group, b: b, c: c + row * ldc, ldc: ldc, accumulate: accumulate)
        .multiply(Columns.self, from: column, columns: columns, &ahead)
    }
  }
}

/// c (+)= windows b, rows of c where a table says.
private struct WindowsProduct: TiledProduct {
  let windows: RegisterBlock.Windows
  let b: PackedPanels
  let c: UnsafeMutablePointer<Float>
  let cOffsets: UnsafePointer<Int>
  let accumulate: Bool

  @inline(__always)
  func multiply<Columns: TileColumns>(
    _: Columns.Type, from column: Int, columns: Int, _ ahead: inout Lookahead
  ) {
    let (b, c) = (b.from(column), c + column)
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
}
