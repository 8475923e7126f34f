import Kernels
import XCTest

/// Sums and normalisations over channels against their definitions in double, with channels that fill no vector, one,
/// and one and a part, for each number of threads.
final class ChannelTests: XCTestCase {
  private static let sizes = [
    (1, 1), (5, 3), (17, 7), (33, 8), (40, 10), (29, 12), (1000, 16), (600, 19), (50, 32), (70, 64), (9, 600),
  ]

  private func forEachSize(_ body: (Int, Int, ThreadTeam) -> Void) {
    for threads in 1...3 {
      let team = ThreadTeam(threads: threads, spins: 100)
      for (rows, channels) in Self.sizes { body(rows, channels, team) }
    }
  }

  private func partials(_ channels: Int, _ team: ThreadTeam) -> [Double] {
    [Double](repeating: .nan, count: team.threads * 2 * channels)
  }

  private func check(_ got: [Double], _ wanted: [Double], _ tolerance: Double, _ what: String) {
    let largest = wanted.map(abs).max() ?? 0
    for (a, b) in zip(got, wanted) where !(abs(a - b) <= tolerance * max(largest, 1)) {
      return XCTFail("\(what): \(a), not \(b)")
    }
    XCTAssertEqual(got.count, wanted.count)
  }

  func testMoments() {
    forEachSize { rows, channels, team in
      let x = Noise.floats(rows * channels, seed: 1).map { $0 + 3 }
      var sums = [Double](repeating: .nan, count: channels)
      var squares = sums
      var room = partials(channels, team)
      ChannelSums.moments(
        x, rows: rows, channels: channels, sums: &sums, squares: &squares, partials: &room, team: team)
      var wanted = [Double](repeating: 0, count: channels)
      var wantedSquares = wanted
      for (i, value) in x.enumerated() {
        wanted[i % channels] += Double(value)
        wantedSquares[i % channels] += Double(value) * Double(value)
      }
      check(sums, wanted, 1e-12, "sums of \(rows) x \(channels)")
      check(squares, wantedSquares, 1e-12, "squares of \(rows) x \(channels)")
      var plain = [Float](repeating: .nan, count: channels)
      ChannelSums.sums(x, rows: rows, channels: channels, into: &plain)
      check(plain.map(Double.init), wanted, 1e-7, "plain sums")
    }
  }

  private struct Affine {
    var scale, shift: [Float]

    init(_ channels: Int) {
      scale = Noise.floats(channels, seed: 4)
      shift = Noise.floats(channels, seed: 5)
    }

    mutating func with(_ body: (ChannelAffine) -> Void) {
      scale.withUnsafeMutableBufferPointer { scale in
        shift.withUnsafeMutableBufferPointer { shift in
          body(ChannelAffine(scale: scale.baseAddress!, shift: shift.baseAddress!))
        }
      }
    }

    func value(_ x: Float, _ c: Int) -> Double { Double(x) * Double(scale[c]) + Double(shift[c]) }
  }

  func testForward() {
    forEachSize { rows, channels, team in
      var affine = Affine(channels)
      let x = Noise.floats(rows * channels, seed: 6)
      let residual = Noise.floats(rows * channels, seed: 7)
      for (adds, relu) in [(false, false), (false, true), (true, false), (true, true)] {
        var output = [Float](repeating: .nan, count: x.count)
        affine.with { affine in
          residual.withUnsafeBufferPointer { residual in
            ChannelNormalize.forward(
              x, affine: affine, residual: adds ? Residual(residual.baseAddress!) : nil, relu: relu, output: &output,
              rows: rows, channels: channels, team: team)
          }
        }
        let wanted = x.indices.map { i in
          let value = affine.value(x[i], i % channels) + (adds ? Double(residual[i]) : 0)
          return relu ? max(value, 0) : value
        }
        check(output.map(Double.init), wanted, 1e-6, "forward of \(rows) x \(channels), \(adds) \(relu)")
        var through = [Float](repeating: .nan, count: x.count)
        residual.withUnsafeBufferPointer { residual in
          PassThrough.forward(
            x, residual: adds ? residual.baseAddress : nil, relu: relu, output: &through, count: x.count, team: team)
        }
        let plain = x.indices.map { i in
          let value = Double(x[i]) + (adds ? Double(residual[i]) : 0)
          return relu ? max(value, 0) : value
        }
        check(through.map(Double.init), plain, 1e-7, "pass through \(rows) x \(channels), \(adds) \(relu)")
      }
    }
  }

  func testBackwardSumsUnderEachMask() {
    forEachSize { rows, channels, team in
      var affine = Affine(channels)
      let x = Noise.floats(rows * channels, seed: 8)
      let gradient = Noise.floats(rows * channels, seed: 9)
      // A mask that has nothing to do with x, with zeros of both signs in it.
      let output = Noise.floats(rows * channels, seed: 10).enumerated().map { $0 % 3 == 0 ? 0 : max($1, -0.0) }
      for mask in 0..<3 {
        var masked = gradient
        var sums = [Double](repeating: .nan, count: channels)
        var products = sums
        var room = partials(channels, team)
        affine.with { affine in
          output.withUnsafeBufferPointer { output in
            let mask = [ReLUMask.none, .output(output.baseAddress!), .recomputed][mask]
            ChannelSums.backward(
              gradient: &masked, x: x, mask: mask, affine: affine, rows: rows, channels: channels, sums: &sums,
              products: &products, partials: &room, team: team)
          }
        }
        var wanted = gradient
        var wantedSums = [Double](repeating: 0, count: channels)
        var wantedProducts = wantedSums
        for i in x.indices {
          let lets = mask == 0 || (mask == 1 ? output[i] > 0 : affine.value(x[i], i % channels) > 0)
          if !lets { wanted[i] = 0 }
          wantedSums[i % channels] += Double(wanted[i])
          wantedProducts[i % channels] += Double(wanted[i]) * Double(x[i])
        }
        let what = "\(rows) x \(channels), mask \(mask)"
        // A mask that can be had again is not written down.
        XCTAssertEqual(masked, mask == 2 ? gradient : wanted, what)
        check(sums, wantedSums, 1e-9, "sums of \(what)")
        check(products, wantedProducts, 1e-9, "products of \(what)")
      }
    }
  }

  func testBackward() {
    for masked in [false, true] {
      forEachSize { rows, channels, team in
        var affine = Affine(channels)
        let x = Noise.floats(rows * channels, seed: 11)
        let gradient = Noise.floats(rows * channels, seed: 12)
        let line = Line(channels)
        let wanted = x.indices.map { i in
          let c = i % channels
          let g = masked && affine.value(x[i], c) <= 0 ? 0 : Double(gradient[i])
          return g * Double(affine.scale[c])
            + Double(x[i] - line.mean[c]) * Double(line.slope[c]) + Double(line.offset[c])
        }
        let output = AlignedBuffer(count: x.count)
        // In place, as blocks call it.
        for i in x.indices { output.pointer[i] = gradient[i] }
        affine.with { affine in
          ChannelNormalize.backward(
            gradient: output.pointer, x: x, affine: affine, line: line.pointers, masked: masked,
            output: output.pointer, rows: rows, channels: channels, team: team)
        }
        XCTAssertLessThan(Noise.relativeError(output, wanted), 1e-6, "\(rows) x \(channels)")
      }
    }
  }

  /// A residual that is itself normalised, with and without a ReLU, has the bits of one that was written before; also where the output
  /// lies over it, as in a network that keeps nothing.
  func testResidualsMadeAsTheyAreAdded() {
    forEachSize { rows, channels, team in
      var (affine, other) = (Affine(channels), Affine(channels))
      other.scale = Noise.floats(channels, seed: 21)
      other.shift = Noise.floats(channels, seed: 22)
      let x = Noise.floats(rows * channels, seed: 23)
      let source = Noise.floats(rows * channels, seed: 24)
      for (outer, inner) in [(false, false), (false, true), (true, false), (true, true)] {
        var (wanted, made, written) = (x, source, source)
        affine.with { affine in
          other.with { other in
            ChannelNormalize.forward(
              source, affine: other, residual: nil, relu: inner, output: &written, rows: rows, channels: channels,
              team: team)
            written.withUnsafeBufferPointer {
              ChannelNormalize.forward(
                x, affine: affine, residual: Residual($0.baseAddress!), relu: outer, output: &wanted, rows: rows,
                channels: channels, team: team)
            }
            made.withUnsafeMutableBufferPointer {
              let place = $0.baseAddress!
              ChannelNormalize.forward(
                x, affine: affine, residual: Residual(place, affine: other, relu: inner), relu: outer, output: place,
                rows: rows, channels: channels, team: team)
            }
          }
        }
        XCTAssertEqual(made, wanted, "\(rows) x \(channels), ReLU \(outer), of the residual \(inner)")
      }
    }
  }

  private struct Line {
    private let vectors: AlignedBuffer
    let pointers: ChannelGradient
    var mean: UnsafeMutablePointer<Float> { pointers.mean }
    var slope: UnsafeMutablePointer<Float> { pointers.slope }
    var offset: UnsafeMutablePointer<Float> { pointers.offset }

    init(_ channels: Int) {
      vectors = AlignedBuffer(count: 3 * channels)
      _ = vectors.floats.update(fromContentsOf: Noise.floats(3 * channels, seed: 13))
      let first = vectors.pointer
      pointers = ChannelGradient(mean: first, slope: first + channels, offset: first + 2 * channels)
    }
  }

  /// The numbers that a norm makes of a channel's statistics give what its definition and the derivative of that give, the
  /// gradient as closely where the mean is more than a hundred deviations from zero, as in a collapse.
  func testStatistics() {
    for spread in [0.3, 0.02] { checkStatistics(mean: 2, spread: spread) }
  }

  private func checkStatistics(mean centre: Double, spread: Double) {
    let x = Noise.floats(50, seed: 21).map { Double(Float(Double($0) * spread + centre)) }
    // Gradients along x, so that their mean product with it counts.
    let g = zip(Noise.floats(50, seed: 22), x).map { Double($0) + 2 * ($1 - centre) / spread }
    let (gamma, beta, epsilon) = (1.7, -0.4, 1e-5)
    func norm(_ x: [Double]) -> [Double] {
      let mean = x.reduce(0, +) / Double(x.count)
      let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
      return x.map { ($0 - mean) / (variance + epsilon).squareRoot() * gamma + beta }
    }
    let mean = x.reduce(0, +) / 50
    let variance = x.reduce(0) { $0 + $1 * $1 } / 50 - mean * mean
    let statistics = ChannelStatistics(mean: mean, inverse: 1 / (variance + epsilon).squareRoot())
    let vectors = AlignedBuffer(count: 5)
    let affine = ChannelAffine(scale: vectors.pointer, shift: vectors.pointer + 1)
    affine.set(0, statistics, gamma: gamma, beta: beta)
    let (scale, shift) = (Double(affine.scale[0]), Double(affine.shift[0]))
    check(x.map { $0 * scale + shift }, norm(x), 1e-7 * centre / spread, "normalised")
    let (sum, raw) = (g.reduce(0, +), zip(g, x).reduce(0) { $0 + $1.0 * $1.1 })
    let product = statistics.normalize(product: raw, sum: sum)
    check([product * gamma], [zip(g, norm(x)).reduce(0) { $0 + $1.0 * ($1.1 - beta) }], 1e-10, "product")
    let line = ChannelGradient(
      mean: vectors.pointer + 2, slope: vectors.pointer + 3, offset: vectors.pointer + 4)
    line.set(0, statistics, scale: scale, meanGradient: sum / 50, meanProduct: product / 50)
    let (middle, slope, offset) = (Double(line.mean[0]), Double(line.slope[0]), Double(line.offset[0]))
    let wanted = x.indices.map { i in
      let differences = [3e-5 * spread, -3e-5 * spread].map { step in
        var moved = x
        moved[i] += step
        return zip(norm(moved), g).reduce(0) { $0 + $1.0 * $1.1 }
      }
      return (differences[0] - differences[1]) / (6e-5 * spread)
    }
    check(x.indices.map { g[$0] * scale + (x[$0] - middle) * slope + offset }, wanted, 1e-6, "gradient")
  }
}
