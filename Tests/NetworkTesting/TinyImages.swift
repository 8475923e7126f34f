import Foundation

/// A data set in CIFAR-10's binary format that takes no time: blobs whose colour and place follow the class, different
/// for every image.
public enum TinyImages {
  /// Writes `data_batch_1.bin` and `test_batch.bin` into a directory, which is made where it is missing.
  public static func write(to directory: String, train: Int = 96, test: Int = 40) throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    for (name, count, seed) in [("data_batch_1.bin", train, UInt64(1)), ("test_batch.bin", test, 2)] {
      var state = seed
      let bytes = (0..<count).flatMap { record(label: UInt8($0 % 10), &state) }
      try Data(bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
    }
  }

  private static func record(label: UInt8, _ state: inout UInt64) -> [UInt8] {
    func random() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 40) / Double(1 << 24)
    }
    var bytes = [label]
    let (x, y) = (6 + 2 * Double(label) + 4 * random(), 6 + 20 * random())
    for channel in 0..<3 {
      let (back, front) = (200 * random(), Int(label) % 3 == channel ? 255 : 255 * random())
      for pixel in 0..<1024 {
        let (dx, dy) = (Double(pixel % 32) - x, Double(pixel / 32) - y)
        let inside = exp(-(dx * dx + dy * dy) / 40)
        bytes.append(UInt8(back * (1 - inside) + front * inside * (0.8 + 0.2 * random())))
      }
    }
    return bytes
  }
}
