import Files

extension DatasetSplits {
  /// Interim.
  public func digest() throws -> String {
    var texts: [String] = []
    var stamp = FileStamp()
    for (name, split) in [("train", train), ("test", test)] {
      texts.append("\(name) \(split.count)")
      var pixels = [UInt8](repeating: 0, count: split.height * split.width * 3)
      for index in Set([0, split.count - 1]).sorted() {
        try pixels.withUnsafeMutableBufferPointer { try split.copyImage(index, into: $0.baseAddress!) }
        pixels.withUnsafeBytes { stamp.append($0) }
      }
      (0..<split.count).map { Int32(split.label($0)) }.withUnsafeBytes { stamp.append($0) }
    }
    return texts.joined(separator: " ") + " " + stamp.checksum
  }
}
