import Kernels

/// Rows divided by their lengths, and back: what every loss on cosines starts and ends with.
enum UnitRows {
  /// Writes rows / |rows| and 1 / |rows|; a row shorter than `BYOLLoss.shortest` is divided by that.
  static func forward(
    _ rows: UnsafePointer<Float>, count: Int, dimensions: Int, into units: UnsafeMutablePointer<Float>,
    inverses: UnsafeMutablePointer<Float>, team: ThreadTeam
  ) {
    team.split(count) { range in
      for row in range {
        let x = rows + row * dimensions
        var square = 0.0
        for d in 0..<dimensions { square += Double(x[d]) * Double(x[d]) }
        let inverse = 1 / max(square.squareRoot(), BYOLLoss.shortest)
        inverses[row] = Float(inverse)
        let unit = units + row * dimensions
        for d in 0..<dimensions { unit[d] = Float(Double(x[d]) * inverse) }
      }
    }
  }

  /// From the gradient of unit rows to that of the rows: (g - (g·û) û) / |x|.
  static func backward(
    _ gradient: UnsafePointer<Float>, units: UnsafePointer<Float>, inverses: UnsafePointer<Float>, count: Int,
    dimensions: Int, into result: UnsafeMutablePointer<Float>, team: ThreadTeam
  ) {
    team.split(count) { range in
      for row in range {
        let g = gradient + row * dimensions
        let unit = units + row * dimensions
        var along = 0.0
        for d in 0..<dimensions { along += Double(g[d]) * Double(unit[d]) }
        let inverse = Double(inverses[row])
        let into = result + row * dimensions
        for d in 0..<dimensions { into[d] = Float((Double(g[d]) - along * Double(unit[d])) * inverse) }
      }
    }
  }
}
