extension DatasetSplits {
  /// A digest of the images: two data sets of one digest are taken for the same, wherever their files are and however
  /// they are cut into files.
  ///
  /// It is made of both splits' counts, sizes, class names and labels, and of the pixels of some images, the first and the
  /// last among them; reading all would take minutes.
  /// - Returns: such as `train 50000 test 10000 1f2e3d4c5b6a7988`.
  /// - Throws: `FileError` for an image that cannot be read.
  public func digest() throws -> String {
    var hash = ContentHash()
    for split in [train, test] {
      for number in [split.count, split.height, split.width, split.classes.count] { hash.add(number) }
      for name in split.classes { hash.add(name.utf8) }
      for index in 0..<split.count { hash.add(split.label(index)) }
      var pixels = [UInt8](repeating: 0, count: split.height * split.width * 3)
      for index in Self.sample(of: split.count) {
        try pixels.withUnsafeMutableBufferPointer { try split.copyImage(index, into: $0.baseAddress!) }
        hash.add(pixels)
      }
    }
    return "train \(train.count) test \(test.count) \(hash.text)"
  }

  private static let mostImages = 32

  /// Places of images, evenly spaced from the first to the last.
  static func sample(of count: Int) -> [Int] {
    guard count > mostImages else { return Array(0..<count) }
    return (0..<mostImages).map { $0 * (count - 1) / (mostImages - 1) }
  }
}

/// FNV-1a with 64 bits.
private struct ContentHash {
  private var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    // Later bytes do not run into it.
    value = (value ^ 0x100) &* 0x100_0000_01B3
  }

  mutating func add(_ number: Int) {
    value = (value ^ UInt64(bitPattern: Int64(number))) &* 0x100_0000_01B3
    value ^= value >> 29
  }

  /// Sixteen hexadecimal digits.
  var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
