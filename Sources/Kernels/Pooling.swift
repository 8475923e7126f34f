internal import CVector

/// Max-pooling 3x3 stride 2 padding 1 and the global average, over NHWC maps.
public enum Pooling {
  /// The output size of the max-pooling for an input of `size`.
  public static func pooledSize(_ size: Int) -> Int { (size - 1) / 2 + 1 }

  /// output[n, i, j, c] = that of the up to nine inputs around (2i, 2j) whose product with the channel's sign is largest;
  /// `chosen` notes which (0...8), the first of equals as PyTorch takes.
  /// - Parameter signs: by channel 1, or -1 for the smallest, or 0 for the first; nil for the largest of all channels.
  public static func maxForward(
    _ input: UnsafePointer<Float>, signs: UnsafePointer<Float>? = nil, images: Int, height: Int, width: Int,
    channels: Int, output: UnsafeMutablePointer<Float>, chosen: UnsafeMutablePointer<UInt8>?, team: ThreadTeam
  ) {
    let outHeight = pooledSize(height)
    let outWidth = pooledSize(width)
    team.split(images * outHeight) { range in
      for row in range {
        let (image, i) = row.quotientAndRemainder(dividingBy: outHeight)
        for j in 0..<outWidth {
          let window = PoolingWindow(
            map: input + image * height * width * channels, i: i, j: j, height: height, width: width,
            channels: channels)
          let at = (row * outWidth + j) * channels
          // Each case is compiled for itself, without a question inside.
          let codes = chosen.map { $0 + at }
          switch (signs == nil, chosen == nil) {
          case (false, false): window.largest(signs, output + at, codes, signed: true, coded: true)
          case (false, true): window.largest(signs, output + at, codes, signed: true, coded: false)
          case (true, false): window.largest(signs, output + at, codes, signed: false, coded: true)
          case (true, true): window.largest(signs, output + at, codes, signed: false, coded: false)
          }
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

/// The nine pixels of one window. Those beyond the map's edge are the last ones inside once more, which change no maximum.
private struct PoolingWindow {
  /// By row and column, from the first pixel of the map on.
  private let rows, columns: (Int, Int, Int)
  private let map: UnsafePointer<Float>
  private let channels: Int
  /// Whether the first row and the first column are the second once more, of which they have the code.
  private let top, left: Int32

  @inline(__always)
  init(map: UnsafePointer<Float>, i: Int, j: Int, height: Int, width: Int, channels: Int) {
    self.map = map
    self.channels = channels
    let line = width * channels
    rows = (max(0, 2 * i - 1) * line, 2 * i * line, min(height - 1, 2 * i + 1) * line)
    columns = (max(0, 2 * j - 1) * channels, 2 * j * channels, min(width - 1, 2 * j + 1) * channels)
    (top, left) = (i == 0 ? 1 : 0, j == 0 ? 1 : 0)
  }

  /// Writes the largest of each channel, and its code where asked.
  @inline(__always)
  func largest(
    _ signs: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>, _ chosen: UnsafeMutablePointer<UInt8>?,
    signed: Bool, coded: Bool
  ) {
    if top == 0 && left == 0 {
      eachVector(signs, output, chosen, signed, coded, top: 0, left: 0)
    } else {
      eachVector(signs, output, chosen, signed, coded, top: top, left: left)
    }
  }

  @inline(__always)
  private func eachVector(
    _ signs: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>, _ chosen: UnsafeMutablePointer<UInt8>?,
    _ signed: Bool, _ coded: Bool, top: Int32, left: Int32
  ) {
    @inline(__always)
    func vector<V: ComparableVector>(_: V.Type, _ c: Int) {
      let sign = signed ? V.load(signs! + c) : V(repeating: 1)
      var best = Best(V.load(map + (place(0) + c)), sign, code(0, top, left))
      for k in 1..<9 {
        best.take(V.load(map + (place(k) + c)), sign, code(k, top, left), signed: signed, coded: coded)
      }
      best.value.store(output + c)
      if coded { V.store(codes: best.which, chosen! + c) }
    }
    var c = forVectors(
      of: channels, by16: { vector(SIMD16<Float>.self, $0) }, by8: { vector(SIMD8<Float>.self, $0) })
    while c < channels {
      let sign = signed ? signs![c] : 1
      let values = (0..<9).lazy.map { map[place($0) + c] }
      let k = (1..<9).reduce(0) { values[$1] * sign > values[$0] * sign ? $1 : $0 }
      output[c] = values[k]
      if coded { chosen![c] = UInt8(truncatingIfNeeded: code(k, top, left)) }
      c += 1
    }
  }

  @inline(__always)
  private func place(_ k: Int) -> Int {
    (k < 3 ? rows.0 : k < 6 ? rows.1 : rows.2) + (k % 3 == 0 ? columns.0 : k % 3 == 1 ? columns.1 : columns.2)
  }

  @inline(__always)
  private func code(_ k: Int, _ top: Int32, _ left: Int32) -> Int32 {
    Int32(truncatingIfNeeded: k) + (k < 3 ? 3 * top : 0) + (k % 3 == 0 ? left : 0)
  }
}

/// What is largest so far, by lane; where signs count, what is multiplied by them.
private struct Best<V: ComparableVector> {
  private var key: V
  private(set) var value: V
  private(set) var which: V.Codes

  @inline(__always)
  init(_ value: V, _ sign: V, _ code: Int32) { (key, self.value, which) = (value * sign, value, V.codes(code)) }

  @inline(__always)
  mutating func take(_ other: V, _ sign: V, _ code: Int32, signed: Bool, coded: Bool) {
    let otherKey = signed ? other * sign : other
    let larger = otherKey.isLarger(than: key)
    key = otherKey.lanes(larger, else: key)
    value = signed ? other.lanes(larger, else: value) : key
    if coded { which = V.codes(which, code, where: larger) }
  }
}

/// A vector that knows which of its lanes are larger than another's.
private protocol ComparableVector: FloatVector {
  associatedtype Codes
  func isLarger(than other: Self) -> Codes
  func lanes(_ mask: Codes, else other: Self) -> Self
  static func codes(_ code: Int32) -> Codes
  /// The codes, but another where all bits of the mask are set.
  static func codes(_ codes: Codes, _ code: Int32, where mask: Codes) -> Codes
  static func store(codes: Codes, _ p: UnsafeMutablePointer<UInt8>)
}

extension SIMD8<Float>: ComparableVector {
  @inline(__always)
  static func codes(_ code: Int32) -> SIMD8<Int32> { SIMD8<Int32>(repeating: code) }

  @inline(__always)
  static func codes(_ codes: SIMD8<Int32>, _ code: Int32, where mask: SIMD8<Int32>) -> SIMD8<Int32> {
    codes.with(code, where: mask)
  }

  @inline(__always)
  static func store(codes: SIMD8<Int32>, _ p: UnsafeMutablePointer<UInt8>) {
    cvector_store_bytes8(codes, p)
  }
}

extension SIMD16<Float>: ComparableVector {
  @inline(__always)
  func isLarger(than other: SIMD16<Float>) -> SIMD16<Int32> { cvector_larger16(self, other) }

  @inline(__always)
  func lanes(_ mask: SIMD16<Int32>, else other: SIMD16<Float>) -> SIMD16<Float> { cvector_select16(mask, self, other) }

  @inline(__always)
  static func codes(_ code: Int32) -> SIMD16<Int32> { SIMD16<Int32>(repeating: code) }

  @inline(__always)
  static func codes(_ codes: SIMD16<Int32>, _ code: Int32, where mask: SIMD16<Int32>) -> SIMD16<Int32> {
    cvector_select16_number(mask, code, codes)
  }

  @inline(__always)
  static func store(codes: SIMD16<Int32>, _ p: UnsafeMutablePointer<UInt8>) {
    cvector_store_bytes16(codes, p)
  }
}
