/// Products of many rows with one packed panel of 16 columns: register tiles one below the other.
///
/// These are the innermost calls that are not inlined; a panel of b should fit the first-level cache.
enum RegisterBlock {
  /// c[rows x columns] (+)= a[rows x k] b[k x 16], rows of a `lda` apart and of c `ldc` apart.
  @inline(never)
  static func multiply(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: UnsafePointer<Float>, c: UnsafeMutablePointer<Float>,
    ldc: Int, columns: Int, accumulate: Bool
  ) {
    var row = 0
    // Whole tiles first, whose beginnings and ends are short: where k is small they are much of the time.
    while columns == 16 && RegisterTile.isWhole(rows - row) {
      let runs = RunsOfRows(
        base: a + row * lda, places: WholeRows(distance: lda), segments: 1, length: k, segmentStride: 0)
      RegisterTile.multiply(
        height: 6, runs, b, c + row * ldc, WholeRows(distance: ldc), columns: 16, accumulate: accumulate)
      row += 6
    }
    while row < rows {
      let left = rows - row
      let places = EvenRows(distance: lda, last: left - 1)
      let left6 = RunsOfRows(base: a + row * lda, places: places, segments: 1, length: k, segmentStride: 0)
      let stores = EvenRows(distance: ldc, last: left - 1)
      let height = RegisterTile.height(left)
      if height == 6 {
        RegisterTile.multiply(height: 6, left6, b, c + row * ldc, stores, columns: columns, accumulate: accumulate)
      } else {
        RegisterTile.multiply(height: 4, left6, b, c + row * ldc, stores, columns: columns, accumulate: accumulate)
      }
      row += height
    }
  }

  /// c[listed rows x columns] (+)= windows of a times b: row i of the left factor is `segments` runs of `length` floats,
  /// `segmentStride` apart, from a + aOffsets[i]; its products go to c + cOffsets[i].
  @inline(never)
  static func convolve(
    rows: Int, a: UnsafePointer<Float>, aOffsets: UnsafePointer<Int>, segments: Int, length: Int, segmentStride: Int,
    b: UnsafePointer<Float>, c: UnsafeMutablePointer<Float>, cOffsets: UnsafePointer<Int>, columns: Int,
    accumulate: Bool
  ) {
    var row = 0
    while columns == 16 && RegisterTile.isWhole(rows - row) {
      // Five tiles ahead: the processor does not foresee rows of every second pixel. Windows of several lines are read from
      // a bordered copy, which the caches have.
      for later in row + 30..<max(row + 30, min(row + 36, rows)) {
        prefetchForWriting(c + cOffsets[later])
        for line in stride(from: 0, to: segments == 1 ? min(length, 64) : 0, by: 16) {
          prefetch(a + aOffsets[later] + line)
        }
      }
      let runs = RunsOfRows(
        base: a, places: WholeListedRows(offsets: aOffsets + row), segments: segments, length: length,
        segmentStride: segmentStride)
      RegisterTile.multiply(
        height: 6, runs, b, c, WholeListedRows(offsets: cOffsets + row), columns: 16, accumulate: accumulate)
      row += 6
    }
    while row < rows {
      let left = rows - row
      let runs = RunsOfRows(
        base: a, places: ListedRows(offsets: aOffsets + row, last: left - 1), segments: segments, length: length,
        segmentStride: segmentStride)
      let stores = ListedRows(offsets: cOffsets + row, last: left - 1)
      let height = RegisterTile.height(left)
      if height == 6 {
        RegisterTile.multiply(height: 6, runs, b, c, stores, columns: columns, accumulate: accumulate)
      } else {
        RegisterTile.multiply(height: 4, runs, b, c, stores, columns: columns, accumulate: accumulate)
      }
      row += height
    }
  }

  /// c[rows x columns] (+)= a' b, where a is stored k x rows (`lda` apart) and b k x 16 (`ldb` apart). Reads a few
  /// floats past the last row of a where `rows` is no sum of sixes and fours.
  @inline(never)
  static func multiplyTransposed(
    rows: Int, k: Int, a: UnsafePointer<Float>, lda: Int, b: UnsafePointer<Float>, ldb: Int,
    c: UnsafeMutablePointer<Float>, ldc: Int, columns: Int, accumulate: Bool
  ) {
    var row = 0
    while columns == 16 && RegisterTile.isWhole(rows - row) {
      RegisterTile.multiplyTransposed(
        height: 6, a + row, lda: lda, b, ldb: ldb, k: k, c + row * ldc, WholeRows(distance: ldc), columns: 16,
        accumulate: accumulate)
      row += 6
    }
    while row < rows {
      let left = rows - row
      let stores = EvenRows(distance: ldc, last: left - 1)
      let height = RegisterTile.height(left)
      if height == 6 {
        RegisterTile.multiplyTransposed(
          height: 6, a + row, lda: lda, b, ldb: ldb, k: k, c + row * ldc, stores, columns: columns,
          accumulate: accumulate)
      } else {
        RegisterTile.multiplyTransposed(
          height: 4, a + row, lda: lda, b, ldb: ldb, k: k, c + row * ldc, stores, columns: columns,
          accumulate: accumulate)
      }
      row += height
    }
  }
}
