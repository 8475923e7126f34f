extension WinogradTransform {
  /// map (+)= A' p A for the tiles of the range and the channels first..<first + count of the map.
  /// - Parameters:
  ///   - p: [point][tile][count], or [row of points][column of outputs][tile][count] where the rows are finished.
  ///   - hasFinishedRows: whether p is transformed along the rows already; see `PointRow`.
  static func output(
    _ view: WinogradView, tiles: Range<Int>, first: Int, count: Int, p: UnsafePointer<Float>, rowStride: Int,
    slice: Int, hasFinishedRows: Bool, map: UnsafeMutablePointer<Float>, accumulate: Bool,
    workspace: UnsafeMutablePointer<Float>
  ) {
    let pixel = view.stride * view.channels
    for (index, (image, y, x)) in view.places(tiles).enumerated() {
      let source = p + index * rowStride
      let part = MapTile(
        corner: map + ((image * view.height + y) * view.width + x) * view.channels + first,
        line: view.width * pixel, pixel: pixel,
        height: view.inside(y, Rows.outputs, of: view.height).count,
        width: view.inside(x, Columns.outputs, of: view.width).count)
      for channel in Swift.stride(from: 0, to: count, by: 16) {
        for i in 0..<Rows.outputs {
          let line = part.corner + i * part.line + channel
          for j in 0..<Columns.outputs { prefetch(line + j * pixel) }
        }
        @inline(__always)
        func write<V: FloatVector>(_: V.Type, _ channel: Int, lanes: Int) {
          // The whole transform has a distance that the compiler knows between the numbers of its second half.
          if hasFinishedRows {
            columns(V.self, source + channel, slice, part, channel, lanes: lanes, accumulate)
          } else {
            rows(V.self, source + channel, slice, workspace)
            columns(V.self, workspace, V.lanes, part, channel, lanes: lanes, accumulate)
          }
        }
        if SIMD16<Float>.areWide && channel + 16 <= count {
          write(SIMD16<Float>.self, channel, lanes: 16)
          continue
        }
        for half in Swift.stride(from: channel, to: min(channel + 16, count), by: 8) {
          write(SIMD8<Float>.self, half, lanes: min(8, count - half))
        }
      }
    }
  }

  /// p A of one tile and a vector of channels: target[row of points][column of outputs][lanes]. Along the rows first: of tiles
  /// of 8x4 outputs they are the shorter, and fewer vectors are left for the costlier transform.
  @inline(__always)
  private static func rows<V: FloatVector>(
    _: V.Type, _ source: UnsafePointer<Float>, _ slice: Int, _ target: UnsafeMutablePointer<Float>
  ) {
    let (n, m) = (Columns.side, Columns.outputs)
    for i in 0..<Rows.side {
      Columns.output({ V.load(source + (i * n + $0) * slice) }, { $1.store(target + (i * m + $0) * V.lanes) })
    }
  }

  /// A' of what `rows` leaves, whose vectors lie `slice` floats apart, without a question asked where all of the tile lies
  /// inside the map.
  @inline(__always)
  private static func columns<V: FloatVector>(
    _: V.Type, _ source: UnsafePointer<Float>, _ slice: Int, _ part: MapTile, _ channel: Int, lanes: Int,
    _ accumulate: Bool
  ) {
    let m = Columns.outputs
    @inline(__always)
    func column(_ j: Int, _ result: (UnsafeMutablePointer<Float>, Int, V) -> Void) {
      let target = part.corner + channel + j * part.pixel
      Rows.output({ V.load(source + ($0 * m + j) * slice) }, { result(target + $0 * part.line, $0, $1) })
    }
    if part.height < Rows.outputs || part.width < m || lanes < V.lanes {
      for j in 0..<part.width {
        column(j) { if $1 < part.height { put($2, $0, lanes: lanes, accumulate: accumulate) } }
      }
    } else if accumulate {
      for j in 0..<m { column(j) { (V.load($0) + $2).store($0) } }
    } else {
      for j in 0..<m { column(j) { $2.store($0) } }
    }
  }
}

/// Where a tile of outputs goes: its first pixel, the floats from a line and a pixel to the next, and the rows and columns
/// that lie inside the map.
private struct MapTile {
  let corner: UnsafeMutablePointer<Float>
  let line, pixel, height, width: Int
}
