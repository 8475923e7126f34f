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
        m: m, n: n, k: k, a: a, lda: lda, aTransposed: aTransposed, b: b, ldb: ldb, bTransposed: bTransposed, c: c,
        ldc: ldc, accumulate: accumulate), team: team, memory: scratch.pointer)
  }

  /// What a product is of; see `run`.
  struct Operands: @unchecked Sendable {
    let m, n, k: Int
    let a: UnsafePointer<Float>
    let lda: Int
    let aTransposed: Bool
    let b: UnsafePointer<Float>
    let ldb: Int
    let bTransposed: Bool
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
    let blocks = Blocks(m: m, n: n, k: operands.k, aTransposed: operands.aTransposed)
    let product = Product(of: operands, blocks: blocks)
    // A thread packs for itself what it multiplies; the side with more to share out is divided, so that little is
    // packed twice and no thread waits for another.
    if m >= n {
      team.run { thread in
        product.run(rows: team.share(of: m, thread: thread, grain: 12), columns: 0..<n, memory + thread * blocks.floats)
      }
    } else {
      team.run { thread in
        product.run(rows: 0..<m, columns: team.share(of: n, thread: thread, grain: 16), memory + thread * blocks.floats)
      }
    }
  }

  /// Packs all of b for `run(_:team:packed:)`, which products with other rows of a may share; a is not looked at.
  /// - Parameter packed: `packedFloats` for these sizes.
  static func pack(_ operands: Operands, team: ThreadTeam, packed: UnsafeMutablePointer<Float>) {
    let product = Product(
      of: operands, blocks: Blocks(m: operands.m, n: operands.n, k: operands.k, aTransposed: false))
    team.run { product.packB(columns: team.share(of: operands.n, thread: $0, grain: 16), packed) }
  }

  /// As `run` for an a as it is stored, with what `pack` made of b.
  static func run(_ operands: Operands, team: ThreadTeam, packed: UnsafePointer<Float>) {
    precondition(!operands.aTransposed, "a transposed matrix is packed, block by block")
    if operands.k == 0 { return operands.clear() }
    let product = Product(
      of: operands, blocks: Blocks(m: operands.m, n: operands.n, k: operands.k, aTransposed: false))
    team.run { product.run(rows: team.share(of: operands.m, thread: $0, grain: 12), packed: packed) }
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
      let pieces = max(1, (k + 319) / 320)
      self.k = max(1, (k + pieces - 1) / pieces)
      self.n = min((n + 15) / 16 * 16, 1024)
      self.m = min((m + 5) / 6 * 6, max(12, 49_152 / self.k / 12 * 12))
      packsA = aTransposed
    }

    var floatsB: Int { n * k }
    /// Floats from one packed group of six rows of a to the next.
    var groupA: Int { 6 * k + 8 }
    var floats: Int { (floatsB + (packsA ? m / 6 * groupA : 0) + 15) / 16 * 16 }
  }

  /// A product and its blocking.
  private struct Product: @unchecked Sendable {
    let of: Operands
    let blocks: Blocks

    /// The rows by all columns, with b packed as a whole: the rows' block stays in the second-level cache with it.
    func run(rows: Range<Int>, packed: UnsafePointer<Float>) {
      let width = (of.n + 15) / 16 * 16
      for row in stride(from: rows.lowerBound, to: rows.upperBound, by: blocks.m) {
        let height = min(blocks.m, rows.upperBound - row)
        for depth in stride(from: 0, to: of.k, by: blocks.k) {
          let length = min(blocks.k, of.k - depth)
          for column in stride(from: 0, to: of.n, by: 16) {
            multiply(
              row, height, depth, length, column, min(16, of.n - column), packed + depth * width + column * length,
              packed)
          }
        }
      }
    }

    /// The columns' panels of all of b: [block of depth][panel][k][16].
    func packB(columns: Range<Int>, _ packed: UnsafeMutablePointer<Float>) {
      let width = (of.n + 15) / 16 * 16
      for depth in stride(from: 0, to: of.k, by: blocks.k) {
        let length = min(blocks.k, of.k - depth)
        packB(columns.lowerBound, columns.count, depth, length, packed + depth * width + columns.lowerBound * length)
      }
    }

    func run(rows: Range<Int>, columns: Range<Int>, _ memory: UnsafeMutablePointer<Float>) {
      let packedA = memory + blocks.floatsB
      for column in stride(from: columns.lowerBound, to: columns.upperBound, by: blocks.n) {
        let width = min(blocks.n, columns.upperBound - column)
        for depth in stride(from: 0, to: of.k, by: blocks.k) {
          let length = min(blocks.k, of.k - depth)
          packB(column, width, depth, length, memory)
          for row in stride(from: rows.lowerBound, to: rows.upperBound, by: blocks.m) {
            let height = min(blocks.m, rows.upperBound - row)
            if of.aTransposed {
              Packing.groupsOf6(
                of.a + depth * of.lda + row, lda: of.lda, k: length, rows: height, slack: of.m - row, packedA,
                groupStride: blocks.groupA)
            }
            for panel in stride(from: 0, to: width, by: 16) {
              multiply(
                row, height, depth, length, column + panel, min(16, width - panel), memory + panel * length, packedA)
            }
          }
        }
      }
    }

    private func multiply(
      _ row: Int, _ height: Int, _ depth: Int, _ length: Int, _ column: Int, _ width: Int,
      _ panel: UnsafePointer<Float>, _ packedA: UnsafePointer<Float>
    ) {
      let adds = of.accumulate || depth > 0
      guard of.aTransposed else {
        return RegisterBlock.multiply(
          rows: height, k: length, a: of.a + row * of.lda + depth, lda: of.lda, b: panel,
          c: of.c + row * of.ldc + column, ldc: of.ldc,
          columns: width, accumulate: adds)
      }
      for first in stride(from: 0, to: height, by: 6) {
        RegisterBlock.multiplyTransposed(
          rows: min(6, height - first), k: length, a: packedA + first / 6 * blocks.groupA, lda: 6, b: panel, ldb: 16,
          c: of.c + (row + first) * of.ldc + column, ldc: of.ldc, columns: width, accumulate: adds)
      }
    }

    private func packB(
      _ column: Int, _ width: Int, _ depth: Int, _ length: Int, _ packed: UnsafeMutablePointer<Float>
    ) {
      guard of.bTransposed else {
        return Packing.panelsOf16(
          of.b + depth * of.ldb + column, ldb: of.ldb, k: length, columns: width, packed, panelStride: 16 * length)
      }
      for panel in stride(from: 0, to: width, by: 16) {
        Packing.transposedColumns(
          of.b + (column + panel) * of.ldb + depth, ldb: of.ldb, k: length, columns: min(16, width - panel),
          packed + panel * length)
      }
    }
  }
}
