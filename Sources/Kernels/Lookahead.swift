/// A part of a map that lies in memory and is wanted next: its cache lines are asked for little by little while products,
/// which find all they need in the second-level cache, leave the memory idle.
enum Lookahead {
  case nothing
  case reading(UnsafePointer<Float>, Range<Int>)
  case writing(UnsafeMutablePointer<Float>, Range<Int>)

  /// Asks for one of `steps` equal shares.
  @inline(__always)
  func ask(_ step: Int, of steps: Int) {
    switch self {
    case .nothing: break
    case .reading(let map, let floats): Self.share(step, of: steps, floats) { prefetch(map + $0) }
    case .writing(let map, let floats): Self.share(step, of: steps, floats) { prefetchForWriting(map + $0) }
    }
  }

  @inline(__always)
  private static func share(_ step: Int, of steps: Int, _ floats: Range<Int>, _ ask: (Int) -> Void) {
    let lines = (floats.count + 15) / 16
    for line in step * lines / steps..<(step + 1) * lines / steps { ask(floats.lowerBound + line * 16) }
  }
}

extension WinogradView {
  /// The floats of the map's lines that the tiles of a range touch, `side` coordinates each.
  func lines(of tiles: Range<Int>, side: Int) -> Range<Int> {
    if tiles.isEmpty { return 0..<0 }
    let (image, y, _) = place(tiles.lowerBound)
    let (lastImage, lastY, _) = place(tiles.upperBound - 1)
    let first = image * height + max(y, 0)
    let end = lastImage * height + min(lastY + (side - 1) * stride + 1, height)
    return first * width * channels..<max(first, end) * width * channels
  }
}
