/// Max-pooling 3x3 stride 2 padding 1 and the global average, over NHWC maps.
public enum Pooling {
  /// The output size of the max-pooling for an input of `size`.
  public static func pooledSize(_ size: Int) -> Int { (size - 1) / 2 + 1 }

  /// output[n, i, j, c] = the largest of the up to nine inputs around (2i, 2j); `chosen` notes which (0...8), the first
  /// of equals as PyTorch takes.
  /// - Parameter affine: where given, a normalisation and a ReLU come before the pooling, without a pass of their own.
  public static func maxForward(
    _ input: UnsafePointer<Float>, affine: ChannelAffine? = nil, images: Int, height: Int, width: Int, channels: Int,
    output: UnsafeMutablePointer<Float>, chosen: UnsafeMutablePointer<UInt8>?, team: ThreadTeam
  ) {
    let outHeight = pooledSize(height)
    let outWidth = pooledSize(width)
    team.split(images * outHeight) { range in
      for row in range {
        let (image, i) = row.quotientAndRemainder(dividingBy: outHeight)
        let map = input + image * height * width * channels
        for j in 0..<outWidth {
          let at = (row * outWidth + j) * channels
          let window = Window(
            rows: max(0, 2 * i - 1)...min(height - 1, 2 * i + 1),
            columns: max(0, 2 * j - 1)...min(width - 1, 2 * j + 1),
            firstRow: 2 * i - 1, firstColumn: 2 * j - 1, line: width * channels, pixel: channels)
          var c = 0
          while c < channels {
            // The last vector of channels that eight do not divide overlaps the one before it; fewer than eight go one by one.
            let vector = c + 8 <= channels ? c : channels - 8
            if vector < 0 {
              window.largest(of: map, channel: c, affine, output + at + c, chosen.map { $0 + at + c })
              c += 1
            } else {
              window.largestOfEight(
                of: map, channel: vector, affine, output + at + vector, chosen.map { $0 + at + vector })
              c += 8
            }
          }
        }
      }
    }
  }

  /// The pixels of one window that lie inside the map.
  private struct Window {
    let rows, columns: ClosedRange<Int>
    let firstRow, firstColumn: Int
    /// Floats from one row to the next and from one pixel to the next.
    let line, pixel: Int

    @inline(__always)
    func largestOfEight(
      of map: UnsafePointer<Float>, channel: Int, _ affine: ChannelAffine?, _ output: UnsafeMutablePointer<Float>,
      _ chosen: UnsafeMutablePointer<UInt8>?
    ) {
      var best = SIMD8<Float>(repeating: -.infinity)
      var which = SIMD8<Int32>(repeating: 0)
      var (scale, shift) = (SIMD8<Float>.zero, SIMD8<Float>.zero)
      if let affine { (scale, shift) = (load8(affine.scale + channel), load8(affine.shift + channel)) }
      for y in rows {
        for x in columns {
          var value = load8(map + (y * line + x * pixel + channel))
          if affine != nil {
            value = shift.addingProduct(value, scale)
            value = value.wherePositive(value)
          }
          let larger = value.isLarger(than: best)
          best = value.lanes(larger, else: best)
          let code = Int32(truncatingIfNeeded: (y - firstRow) * 3 + x - firstColumn)
          which = which.with(code, where: larger)
        }
      }
      store8(best, output)
      if let chosen {
        UnsafeMutableRawPointer(chosen).storeBytes(
          of: SIMD8<UInt8>(truncatingIfNeeded: which), as: SIMD8<UInt8>.self)
      }
    }

    @inline(__always)
    func largest(
      of map: UnsafePointer<Float>, channel: Int, _ affine: ChannelAffine?, _ output: UnsafeMutablePointer<Float>,
      _ chosen: UnsafeMutablePointer<UInt8>?
    ) {
      var best = -Float.infinity
      var which = 0
      for y in rows {
        for x in columns {
          var value = map[y * line + x * pixel + channel]
          if let affine {
            value = affine.shift[channel].addingProduct(value, affine.scale[channel])
            if value <= 0 { value = 0 }
          }
          if value > best { (best, which) = (value, (y - firstRow) * 3 + x - firstColumn) }
        }
      }
      output.pointee = best
      chosen?.pointee = UInt8(truncatingIfNeeded: which)
    }
  }

  /// inputGradient[n, y, x, c] = the sum of the output gradients whose window chose (y, x); overwritten.
  public static func maxBackward(
    outputGradient: UnsafePointer<Float>, chosen: UnsafePointer<UInt8>, images: Int, height: Int, width: Int,
    channels: Int, inputGradient: UnsafeMutablePointer<Float>, team: ThreadTeam
  ) {
    let outHeight = pooledSize(height)
    let outWidth = pooledSize(width)
    team.split(images * height) { range in
      for row in range {
        let (image, y) = row.quotientAndRemainder(dividingBy: height)
        for x in 0..<width {
          let into = inputGradient + (row * width + x) * channels
          gatherChosen(
            outputGradient, chosen, image * outHeight * outWidth, y, x, outHeight, outWidth, channels, into)
        }
      }
    }
  }

  @inline(__always)
  private static func gatherChosen(
    _ gradient: UnsafePointer<Float>, _ chosen: UnsafePointer<UInt8>, _ base: Int, _ y: Int, _ x: Int,
    _ outHeight: Int, _ outWidth: Int, _ channels: Int, _ into: UnsafeMutablePointer<Float>
  ) {
    into.update(repeating: 0, count: channels)
    for i in (y / 2)...min(outHeight - 1, (y + 1) / 2) {
      for j in (x / 2)...min(outWidth - 1, (x + 1) / 2) {
        let at = (base + i * outWidth + j) * channels
        let (values, codes) = (gradient + at, chosen + at)
        let which = UInt8(truncatingIfNeeded: (y - 2 * i + 1) * 3 + x - 2 * j + 1)
        for c in 0..<channels { into[c] += codes[c] == which ? values[c] : 0 }
      }
    }
  }

  /// output[n, c] = the mean over the image's `area` pixels.
  public static func averageForward(
    _ input: UnsafePointer<Float>, images: Int, area: Int, channels: Int, output: UnsafeMutablePointer<Float>
  ) {
    let share = 1 / Float(area)
    for n in 0..<images {
      let into = output + n * channels
      into.update(repeating: 0, count: channels)
      for pixel in 0..<area {
        let row = input + (n * area + pixel) * channels
        for c in 0..<channels { into[c] += row[c] }
      }
      for c in 0..<channels { into[c] *= share }
    }
  }

  /// inputGradient[n, pixel, c] = outputGradient[n, c] / area.
  public static func averageBackward(
    outputGradient: UnsafePointer<Float>, images: Int, area: Int, channels: Int,
    inputGradient: UnsafeMutablePointer<Float>
  ) {
    let share = 1 / Float(area)
    for n in 0..<images {
      let row = outputGradient + n * channels
      for pixel in 0..<area {
        let into = inputGradient + (n * area + pixel) * channels
        for c in 0..<channels { into[c] = row[c] * share }
      }
    }
  }
}
