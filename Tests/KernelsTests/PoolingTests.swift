import Kernels
import XCTest

/// Pools against their definitions, with channels that fill no vector, one, and one and a part.
final class PoolingTests: XCTestCase {
  func testMaxAgainstTheDefinition() {
    for threads in 1...3 {
      let team = ThreadTeam(threads: threads, spins: 100)
      for channels in [1, 7, 8, 10, 12, 16, 19, 32] {
        for (height, width) in [(1, 1), (2, 3), (5, 4), (6, 8), (7, 7)] {
          // Few distinct values, so that many windows hold equals; some windows are all zero, some all negative.
          let x = Noise.floats(2 * height * width * channels, seed: 1).map { ($0 * 2).rounded() - 1 }
          check(x, height, width, channels, team)
        }
      }
    }
  }

  private func check(_ x: [Float], _ height: Int, _ width: Int, _ channels: Int, _ team: ThreadTeam) {
    let (outHeight, outWidth) = (Pooling.pooledSize(height), Pooling.pooledSize(width))
    XCTAssertEqual(outHeight, (height + 2 - 3) / 2 + 1)
    let count = 2 * outHeight * outWidth * channels
    var output = [Float](repeating: .nan, count: count)
    var unchosen = output
    var chosen = [UInt8](repeating: 255, count: count)
    Pooling.maxForward(
      x, images: 2, height: height, width: width, channels: channels, output: &output, chosen: &chosen, team: team)
    Pooling.maxForward(
      x, images: 2, height: height, width: width, channels: channels, output: &unchosen, chosen: nil, team: team)
    let dy = Noise.floats(count, seed: 2)
    var dx = [Float](repeating: .nan, count: x.count)
    Pooling.maxBackward(
      outputGradient: dy, chosen: chosen, images: 2, height: height, width: width, channels: channels,
      inputGradient: &dx, team: team)
    var wanted = [Float](repeating: 0, count: count)
    var wantedGradient = [Double](repeating: 0, count: x.count)
    for at in 0..<count {
      let (place, c) = at.quotientAndRemainder(dividingBy: channels)
      let (row, j) = place.quotientAndRemainder(dividingBy: outWidth)
      let (image, i) = row.quotientAndRemainder(dividingBy: outHeight)
      var best: Int?
      for y in max(0, 2 * i - 1)...min(height - 1, 2 * i + 1) {
        for column in max(0, 2 * j - 1)...min(width - 1, 2 * j + 1) {
          let source = ((image * height + y) * width + column) * channels + c
          // The first of equals.
          if best == nil || x[source] > x[best!] { best = source }
        }
      }
      wanted[at] = x[best!]
      wantedGradient[best!] += Double(dy[at])
    }
    let what = "\(height) x \(width) x \(channels) on \(team.threads) threads"
    XCTAssertEqual(output, wanted, what)
    XCTAssertEqual(unchosen, wanted, what)
    for (a, b) in zip(dx, wantedGradient) where !(abs(Double(a) - b) < 1e-5) {
      return XCTFail("gradient of \(what): \(a), not \(b)")
    }
  }

  /// What is pooled by the signs of a normalisation's scales and normalised afterwards is what is normalised before, to the
  /// bit, choices included where something is left of the gradient.
  func testMaxBeforeANormalisation() {
    let team = ThreadTeam(threads: 2, spins: 100)
    for channels in [3, 8, 19, 35] {
      let x = Noise.floats(2 * 5 * 4 * channels, seed: 3)
      // Negative scales turn the order of the inputs around; of those multiplied by zero the first counts.
      let vectors = AlignedBuffer(count: 2 * channels)
      _ = vectors.floats.update(fromContentsOf: Noise.floats(2 * channels, seed: 4))
      (vectors.pointer[0], vectors.pointer[1], vectors.pointer[2]) = (-0.7, 0, 0.8)
      (vectors.pointer[channels], vectors.pointer[channels + 1], vectors.pointer[channels + 2]) = (-0.1, 0.5, -0.65)
      let norm = ChannelAffine(scale: vectors.pointer, shift: vectors.pointer + channels)
      let signs = (0..<channels).map { Float(norm.scale[$0] > 0 ? 1 : norm.scale[$0] < 0 ? -1 : 0) }
      XCTAssert(signs.contains(1) && signs.contains(-1))
      var activation = [Float](repeating: .nan, count: x.count)
      ChannelNormalize.forward(
        x, affine: norm, residual: nil, relu: true, output: &activation, rows: 40, channels: channels, team: team)
      let count = 2 * 3 * 2 * channels
      var (wanted, got) = ([Float](repeating: .nan, count: count), [Float](repeating: .nan, count: count))
      var (wantedChoice, choice) = ([UInt8](repeating: 99, count: count), [UInt8](repeating: 98, count: count))
      Pooling.maxForward(
        activation, images: 2, height: 5, width: 4, channels: channels, output: &wanted, chosen: &wantedChoice,
        team: team)
      var unchosen = got
      Pooling.maxForward(
        x, signs: signs, images: 2, height: 5, width: 4, channels: channels, output: &got, chosen: &choice, team: team)
      Pooling.maxForward(
        x, signs: signs, images: 2, height: 5, width: 4, channels: channels, output: &unchosen, chosen: nil, team: team)
      XCTAssertEqual(unchosen, got)
      got.withUnsafeMutableBufferPointer {
        ChannelNormalize.forward(
          $0.baseAddress!, affine: norm, residual: nil, relu: true, output: $0.baseAddress!, rows: count / channels,
          channels: channels, team: team)
      }
      XCTAssertEqual(got, wanted, "\(channels) channels")
      XCTAssert(wanted.contains { $0 > 0 } && wanted.contains(0))
      for at in 0..<count where wanted[at] > 0 { XCTAssertEqual(choice[at], wantedChoice[at], "\(channels) channels") }
    }
  }

  func testAverageAgainstTheDefinition() {
    for channels in [1, 7, 8, 12, 19] {
      for area in [1, 4, 49] {
        let x = Noise.floats(3 * area * channels, seed: 3)
        let output = AlignedBuffer(count: 3 * channels)
        Pooling.averageForward(x, images: 3, area: area, channels: channels, output: output.pointer)
        var wanted = [Double](repeating: 0, count: output.count)
        for (i, value) in x.enumerated() {
          wanted[i / (area * channels) * channels + i % channels] += Double(value) / Double(area)
        }
        XCTAssertLessThan(Noise.relativeError(output, wanted), 1e-6)
        let dy = Noise.floats(3 * channels, seed: 4)
        let dx = AlignedBuffer(count: x.count)
        Pooling.averageBackward(
          outputGradient: dy, images: 3, area: area, channels: channels, inputGradient: dx.pointer)
        let wantedGradient = x.indices.map {
          Double(dy[$0 / (area * channels) * channels + $0 % channels]) / Double(area)
        }
        XCTAssertLessThan(Noise.relativeError(dx, wantedGradient), 1e-6)
      }
    }
  }
}
