/// Max-pooling 3x3 stride 2 padding 1 and the global average, over NHWC maps.
public enum Pooling {
  /// The output size of the max-pooling for an input of `size`.
  public static func pooledSize(_ size: Int) -> Int { (size - 1) / 2 + 1 }

  /// output[n, i, j, c] = the largest of the up to nine inputs around (2i, 2j); `chosen` notes which (0...8), the first
  /// of equals as PyTorch takes.
  public static func maxForward(
    _ input: UnsafePointer<Float>, images: Int, height: Int, width: Int, channels: Int,
    output: UnsafeMutablePointer<Float>, chosen: UnsafeMutablePointer<UInt8>?, team: ThreadTeam
  ) {
    let outHeight = pooledSize(height)
    let outWidth = pooledSize(width)
    team.split(images * outHeight) { range in
      for row in range {
        let (image, i) = row.quotientAndRemainder(dividingBy: outHeight)
        for j in 0..<outWidth {
          let at = (row * outWidth + j) * channels
          maxOfWindow(
            input + image * height * width * channels, i, j, height, width, channels, output + at,
            chosen.map { $0 + at })
        }
      }
    }
  }

  /// Visits the window's places one by one, all channels of each: plain loops over channels become vector code.
  @inline(__always)
  private static func maxOfWindow(
    _ map: UnsafePointer<Float>, _ i: Int, _ j: Int, _ height: Int, _ width: Int, _ channels: Int,
    _ output: UnsafeMutablePointer<Float>, _ chosen: UnsafeMutablePointer<UInt8>?
  ) {
    output.update(repeating: -.infinity, count: channels)
    for y in max(0, 2 * i - 1)...min(height - 1, 2 * i + 1) {
      for x in max(0, 2 * j - 1)...min(width - 1, 2 * j + 1) {
        let place = map + (y * width + x) * channels
        guard let chosen else {
          for c in 0..<channels { output[c] = place[c] > output[c] ? place[c] : output[c] }
          continue
        }
        let which = UInt8(truncatingIfNeeded: (y - 2 * i + 1) * 3 + x - 2 * j + 1)
        for c in 0..<channels {
          let larger = place[c] > output[c]
          output[c] = larger ? place[c] : output[c]
          chosen[c] = larger ? which : chosen[c]
        }
      }
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
