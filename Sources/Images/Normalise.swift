/// ImageNet's statistics and the table that applies them: bytes become (value / 255 - mean) / deviation, in the order and
/// precision of torchvision's ToTensor and Normalize.
public enum Normalisation {
  public static let mean: [Float] = [0.485, 0.456, 0.406]
  public static let deviation: [Float] = [0.229, 0.224, 0.225]

  /// The normalised value of a byte at 256 x channel + byte.
  package static let table: [Float] = (0..<3).flatMap { channel in
    (0..<256).map { (Float($0) / 255 - mean[channel]) / deviation[channel] }
  }
}

extension Pixels {
  /// Writes a window's height x width x 3 normalised floats, optionally mirrored left and right.
  package func normalise(
    _ window: ViewParameters.Crop, flipped: Bool, table: UnsafePointer<Float>, into floats: UnsafeMutablePointer<Float>
  ) {
    for y in 0..<window.height {
      let row = start + ((window.top + y) * width + window.left)
      let into = floats + y * window.width * 3
      let (first, step) = flipped ? (window.width - 1, -1) : (0, 1)
      for x in 0..<window.width {
        let pixel = row[first &+ x &* step]
        into[3 &* x] = table[Int(pixel & 255)]
        into[3 &* x &+ 1] = table[256 &+ Int((pixel &>> 8) & 255)]
        into[3 &* x &+ 2] = table[512 &+ Int((pixel &>> 16) & 255)]
      }
    }
  }
}
