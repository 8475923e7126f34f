/// A part of a map that lies in memory and is read or written next: its cache lines are asked for little by little while
/// products, which find all they need in the second-level cache, leave the memory idle. They go to that cache too: the
/// first level's would push out what the products read.
struct Lookahead {
  private let map: UnsafePointer<Float>
  private let floats: Range<Int>

  init(_ map: UnsafePointer<Float>, _ floats: Range<Int>) { (self.map, self.floats) = (map, floats) }

  /// Asks for one of `steps` equal shares.
  @inline(__always)
  func ask(_ step: Int, of steps: Int) {
    let lines = (floats.count + 15) / 16
    for line in step * lines / steps..<(step + 1) * lines / steps {
      prefetchSecondLevel(map + floats.lowerBound + line * 16)
    }
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
