/// Strassen's product of two matrices, each cut into quarters: seven products of quarters where the definition has eight
/// (Strassen 1969), for some sums. One level: sums cost as much as they save where a quarter is small, and each level rounds more.
///
/// With quarters 11, 12, 21 and 22 of a, b and c the products, and what each is added to, are
/// ```
/// 0  (a11 + a22) (b11 + b22)   c11 + c22
/// 1  (a21 + a22)  b11          c21 - c22
/// 2   a11        (b12 - b22)   c12 + c22
/// 3   a22        (b21 - b11)   c11 + c21
/// 4  (a11 + a12)  b22          c12 - c11
/// 5  (a21 - a11) (b11 + b12)   c22
/// 6  (a12 - a22) (b21 + b22)   c11
/// ```
enum Strassen {
  @inline(__always)
  static var products: Int { 7 }

  /// The sums of a's quarters, by product.
  @inline(__always)
  static func left<V: ChannelVector>(_ a11: V, _ a12: V, _ a21: V, _ a22: V, _ result: (Int, V) -> Void) {
    result(0, a11 + a22)
    result(1, a21 + a22)
    result(4, a11 + a12)
    result(5, a21 - a11)
    result(6, a12 - a22)
  }

  /// The sums of b's quarters, by product.
  @inline(__always)
  static func right<V: ChannelVector>(_ b11: V, _ b12: V, _ b21: V, _ b22: V, _ result: (Int, V) -> Void) {
    result(0, b11 + b22)
    result(2, b12 - b22)
    result(3, b21 - b11)
    result(5, b11 + b12)
    result(6, b21 + b22)
  }

  /// The vectors at a place of two rows of a matrix and half a row later; zeros of a second row that is not there.
  @inline(__always)
  static func quarters<V>(
    _ first: UnsafePointer<Float>, _ second: UnsafePointer<Float>?, half: Int, zero: V,
    _ load: (UnsafePointer<Float>) -> V
  ) -> (V, V, V, V) {
    let (third, fourth) = second.map { (load($0), load($0 + half)) } ?? (zero, zero)
    return (load(first), load(first + half), third, fourth)
  }

  /// Two quarters of c that the same product is added to, and whether it is the first for them; one of the two alone for the
  /// last products.
  struct Targets {
    let first: Quarter
    var second: Quarter?
    /// Whether it is subtracted from the second.
    var subtracts = false
    var writesFirst = false
    var writesSecond = false
  }

  enum Quarter { case c11, c12, c21, c22 }

  @inline(__always)
  static func targets(_ product: Int) -> Targets {
    switch product {
    case 0: Targets(first: .c11, second: .c22, writesFirst: true, writesSecond: true)
    case 1: Targets(first: .c21, second: .c22, subtracts: true, writesFirst: true)
    case 2: Targets(first: .c12, second: .c22, writesFirst: true)
    case 3: Targets(first: .c11, second: .c21)
    case 4: Targets(first: .c12, second: .c11, subtracts: true)
    case 5: Targets(first: .c22)
    default: Targets(first: .c11)
    }
  }

  /// Where a block's quarters of c begin, for the same rows and columns of each quarter.
  struct Block {
    let c11: UnsafeMutablePointer<Float>
    /// Floats to the quarter to the right, to the one below, and from a row to the next.
    let right, below, row: Int
    /// Rows of the upper quarters, and of the lower ones, which may be one fewer.
    let rows, rowsBelow: Int
    let accumulate: Bool

    /// From a column of each quarter on.
    @inline(__always)
    func from(_ column: Int) -> Block {
      Block(
        c11: c11 + column, right: right, below: below, row: row, rows: rows, rowsBelow: rowsBelow,
        accumulate: accumulate)
    }

    /// What a product is added to.
    @inline(__always)
    func sums(of product: Int) -> AddedProduct {
      let targets = Strassen.targets(product)
      return AddedProduct(
        first: part(targets.first, accumulate: accumulate || !targets.writesFirst),
        second: targets.second.map { part($0, accumulate: accumulate || !targets.writesSecond) },
        subtracts: targets.subtracts, row: row)
    }

    @inline(__always)
    private func part(_ quarter: Quarter, accumulate: Bool) -> AddedProduct.Part {
      let (place, rows) =
        switch quarter {
        case .c11: (0, rows)
        case .c12: (right, rows)
        case .c21: (below, rowsBelow)
        case .c22: (below + right, rowsBelow)
        }
      return AddedProduct.Part(c: c11 + place, rows: rows, accumulate: accumulate)
    }
  }
}

/// The places that a product is added to.
struct AddedProduct {
  struct Part {
    let c: UnsafeMutablePointer<Float>
    let rows: Int
    /// Whether the product is added to what is there.
    let accumulate: Bool
  }

  let first: Part
  let second: Part?
  /// Whether it is subtracted from the second.
  let subtracts: Bool
  /// Floats from a row to the next.
  let row: Int
}

extension RegisterBlock {
  /// Adds a[rows x k] b[k x columns] to one place or two; as `multiply`, for a single tile's columns.
  @inline(never)
  static func multiply<Columns: TileColumns>(
    _: Columns.Type, _ left: Left, b: PackedPanels, into target: AddedProduct
  ) {
    for row in stride(from: 0, to: left.rows, by: 6) {
      var tile = RegisterRows<Columns>(height: 6)
      if RegisterTile.isWhole(left.rows - row) {
        left.add(to: &tile, from: row, areWhole: true, 0..<left.k, b)
      } else {
        left.add(to: &tile, from: row, areWhole: false, 0..<left.k, b)
      }
      tile.add(to: target, from: row)
    }
  }
}

extension RegisterRows {
  /// Adds the rows to the places, as many as these have from a row on.
  @inline(__always)
  fileprivate func add(to target: AddedProduct, from row: Int) {
    add(to: target.first, from: row, distance: target.row) { $0 + $1 }
    guard let second = target.second else { return }
    if target.subtracts {
      add(to: second, from: row, distance: target.row) { $0 - $1 }
    } else {
      add(to: second, from: row, distance: target.row) { $0 + $1 }
    }
  }

  @inline(__always)
  private func add(
    to part: AddedProduct.Part, from row: Int, distance: Int, _ sum: (Columns, Columns) -> Columns
  ) {
    let c = part.c + row * distance
    let rows = part.rows - row
    if part.accumulate {
      eachRow(rows) { sum(Columns.load(c + $0 * distance), $1).store(c + $0 * distance) }
    } else {
      eachRow(rows) { $1.store(c + $0 * distance) }
    }
  }

  @inline(__always)
  private func eachRow(_ rows: Int, _ body: (Int, Columns) -> Void) {
    if rows >= 6 {
      body(0, r0)
      body(1, r1)
      body(2, r2)
      body(3, r3)
      body(4, r4)
      body(5, r5)
    } else {
      if rows > 0 { body(0, r0) }
      if rows > 1 { body(1, r1) }
      if rows > 2 { body(2, r2) }
      if rows > 3 { body(3, r3) }
      if rows > 4 { body(4, r4) }
    }
  }
}
