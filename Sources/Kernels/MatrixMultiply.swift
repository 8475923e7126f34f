/// Products of row-major matrices of floats, by packed panels and register tiles (Goto and van de Geijn 2008).
public enum MatrixMultiply {
  /// c[m x n] (+)= op(a)[m x k] op(b)[k x n].
  ///
  /// - Parameters:
  ///   - lda: floats from one stored row of `a` to the next; `a` is stored as k x m when transposed. Likewise `ldb`.
  ///   - accumulate: adds to `c` instead of overwriting it.
  public static func run(
    m: Int, n: Int, k: Int, a: UnsafePointer<Float>, lda: Int, aTransposed: Bool, b: UnsafePointer<Float>, ldb: Int,
    bTransposed: Bool, c: UnsafeMutablePointer<Float>, ldc: Int, accumulate: Bool, team: ThreadTeam, scratch: Scratch
  ) {
    precondition(m >= 0 && n >= 0 && k >= 0, "a matrix cannot have \(m) x \(n) x \(k)")
    scratch.reserve(scratchFloats(m: m, n: n, k: k, aTransposed: aTransposed, threads: team.threads))
    run(
      Operands(
        m: m, n: n, k: k, a: StoredMatrix(a, row: lda, isTransposed: aTransposed),
        b: StoredMatrix(b, row: ldb, isTransposed: bTransposed), c: c, ldc: ldc, accumulate: accumulate),
      team: team, memory: scratch.pointer)
  }

  /// What a product is of; see `run`.
  struct Operands: @unchecked Sendable {
    let m, n, k: Int
    let a, b: StoredMatrix
    let c: UnsafeMutablePointer<Float>
    let ldc: Int
    let accumulate: Bool

    /// c for a product without depth.
    fileprivate func clear() {
      if !accumulate { for row in 0..<m { (c + row * ldc).update(repeating: 0, count: n) } }
    }
  }

  /// As above, in memory of `scratchFloats` for these sizes, or for more rows of a.
  static func run(_ operands: Operands, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    if operands.k == 0 { return operands.clear() }
    let (m, n) = (operands.m, operands.n)
    let product = Product(operands)
    let floats = product.blocks.floats
    // A thread packs for itself what it multiplies; the side with more to share out is divided, so that little is
    // packed twice and no thread waits for another.
    if m >= n {
      team.run { thread in
        product.run(rows: team.share(of: m, thread: thread, grain: 12), columns: 0..<n, memory + thread * floats)
      }
    } else {
      team.run { thread in
        product.run(rows: 0..<m, columns: team.share(of: n, thread: thread, grain: 16), memory + thread * floats)
      }
    }
  }

  /// Packs all of b[k x n], for `runPacked` with any rows of a: [block of depth][panel][k][16].
  /// - Parameter packed: `packedFloats` for these sizes.
  static func pack(n: Int, k: Int, b: StoredMatrix, team: ThreadTeam, packed: UnsafeMutablePointer<Float>) {
    let (width, step) = ((n + 15) / 16 * 16, Blocks.depth(k))
    team.run { thread in
      let columns = team.share(of: n, thread: thread, grain: 16)
      for depth in stride(from: 0, to: k, by: step) {
        let length = min(step, k - depth)
        b.pack(columns.lowerBound, columns.count, depth, length, packed + depth * width + columns.lowerBound * length)
      }
    }
  }

  /// As `run` for an a as it is stored and a b as `pack` has made it.
  static func runPacked(_ operands: Operands, team: ThreadTeam) {
    precondition(!operands.a.isTransposed, "a transposed matrix is packed, block by block")
    if operands.k == 0 { return operands.clear() }
    let product = Product(operands)
    team.run { product.runPacked(rows: team.share(of: operands.m, thread: $0, grain: 12)) }
  }

  /// Floats of a packed b.
  static func packedFloats(n: Int, k: Int) -> Int { (n + 15) / 16 * 16 * k }

  /// Scratch floats that `run` uses for one of these sizes, for plans that must not grow it later.
  static func scratchFloats(m: Int, n: Int, k: Int, aTransposed: Bool, threads: Int) -> Int {
    threads * Blocks(m: m, n: n, k: k, aTransposed: aTransposed).floats
  }

  /// Sizes of what is packed at a time: a panel of b (`k` x 16) stays in the first-level cache, a block of a (`m` x `k`)
  /// in the second.
  private struct Blocks {
    let m, n, k: Int
    let packsA: Bool

    init(m: Int, n: Int, k: Int, aTransposed: Bool) {
      self.k = Self.depth(k)
      self.n = min((n + 15) / 16 * 16, 1024)
      self.m = min((m + 5) / 6 * 6, max(12, 49_152 / self.k / 12 * 12))
      packsA = aTransposed
    }

    /// Even parts of a depth.
    static func depth(_ k: Int) -> Int {
      let pieces = max(1, (k + 319) / 320)
      return max(1, (k + pieces - 1) / pieces)
    }

    var floatsB: Int { n * k }
    /// Floats from one packed group of six rows of a to the next.
    var groupA: Int { 6 * k + 8 }
    var floats: Int { (floatsB + (packsA ? m / 6 * groupA : 0) + 15) / 16 * 16 }
  }

  /// A product and its blocking.
  private struct Product: @unchecked Sendable {
    let operands: Operands
    let blocks: Blocks

    init(_ operands: Operands) {
      self.operands = operands
      blocks = Blocks(m: operands.m, n: operands.n, k: operands.k, aTransposed: operands.a.isTransposed)
    }

    /// The rows by all columns of a packed b: the rows' block stays in the second-level cache with it.
    func runPacked(rows: Range<Int>) {
      let (n, k) = (operands.n, operands.k)
      let width = (n + 15) / 16 * 16
      for row in stride(from: rows.lowerBound, to: rows.upperBound, by: blocks.m) {
        let height = min(blocks.m, rows.upperBound - row)
        for depth in stride(from: 0, to: k, by: blocks.k) {
          let length = min(blocks.k, k - depth)
          multiply(row, height, depth, length, 0, n, operands.b.floats + depth * width)
        }
      }
    }

    func run(rows: Range<Int>, columns: Range<Int>, _ memory: UnsafeMutablePointer<Float>) {
      let (a, k) = (operands.a, operands.k)
      let packedA = memory + blocks.floatsB
      for column in stride(from: columns.lowerBound, to: columns.upperBound, by: blocks.n) {
        let width = min(blocks.n, columns.upperBound - column)
        for depth in stride(from: 0, to: k, by: blocks.k) {
          let length = min(blocks.k, k - depth)
          operands.b.pack(column, width, depth, length, memory)
          for row in stride(from: rows.lowerBound, to: rows.upperBound, by: blocks.m) {
            let height = min(blocks.m, rows.upperBound - row)
            if a.isTransposed {
              Packing.groupsOf6(
                a.floats + depth * a.row + row, lda: a.row, k: length, rows: height, slack: operands.m - row, packedA,
                groupStride: blocks.groupA)
            }
            if a.isTransposed {
              multiplyPacked(row, height, depth, length, column, width, memory, packedA)
            } else {
              multiply(row, height, depth, length, column, width, memory)
            }
          }
        }
      }
    }

    /// Rows of an a as it is stored by packed panels.
    private func multiply(
      _ row: Int, _ height: Int, _ depth: Int, _ length: Int, _ column: Int, _ width: Int,
      _ panels: UnsafePointer<Float>
    ) {
      let (a, ldc) = (operands.a, operands.ldc)
      RegisterBlock.multiply(
        rows: height, k: length, a: a.floats + row * a.row + depth, lda: a.row,
        b: PackedPanels(panels, stride: 16 * length), c: operands.c + row * ldc + column, ldc: ldc, columns: width,
        accumulate: operands.accumulate || depth > 0)
    }

    /// Rows of a packed in groups of six by packed panels.
    private func multiplyPacked(
      _ row: Int, _ height: Int, _ depth: Int, _ length: Int, _ column: Int, _ width: Int,
      _ panels: UnsafePointer<Float>, _ packedA: UnsafePointer<Float>
    ) {
      let ldc = operands.ldc
      RegisterBlock.multiplyGroups(
        RegisterBlock.Groups(a: packedA, stride: blocks.groupA, rows: height, k: length),
        b: PackedPanels(panels, stride: 16 * length), c: operands.c + row * ldc + column, ldc: ldc, columns: width,
        accumulate: operands.accumulate || depth > 0)
    }
  }
}

/// A matrix in memory: rows `row` floats apart, or its transpose's.
struct StoredMatrix {
  let floats: UnsafePointer<Float>
  let row: Int
  let isTransposed: Bool

  init(_ floats: UnsafePointer<Float>, row: Int, isTransposed: Bool = false) {
    (self.floats, self.row, self.isTransposed) = (floats, row, isTransposed)
  }

  /// packed[panel][length][16] = `length` rows from `depth` on of `width` columns from `column` on.
  func pack(
    _ column: Int, _ width: Int, _ depth: Int, _ length: Int, _ packed: UnsafeMutablePointer<Float>
  ) {
    guard isTransposed else {
      return Packing.panelsOf16(
        floats + depth * row + column, ldb: row, k: length, columns: width, packed, panelStride: 16 * length)
    }
    for panel in stride(from: 0, to: width, by: 16) {
      Packing.transposedColumns(
        floats + (column + panel) * row + depth, ldb: row, k: length, columns: min(16, width - panel),
        packed + panel * length)
    }
  }
}
