import COpenBLAS
import Foundation

/// Times of one convolution by one algorithm: what `byol-dist bench kernels` shows.
public struct ConvolutionTiming: Sendable {
  public let shape: ConvolutionShape
  public let pass: ConvolutionPass
  public let algorithm: ConvolutionAlgorithm
  /// Whether a plan without a forced algorithm uses it.
  public let isChosen: Bool
  /// The shortest of several calls, in seconds.
  public let seconds: Double

  /// Direct-convolution work done per second, in GFLOP/s, whatever the algorithm really computes.
  public var gigaflops: Double { shape.operations(images: shape.images) / seconds * 1e-9 }

  /// Times every pass by every algorithm that applies to a shape, `shape.images` images a call.
  public static func measure(
    _ shape: ConvolutionShape, algorithms: [ConvolutionAlgorithm] = ConvolutionAlgorithm.allCases, calls: Int = 9,
    team: ThreadTeam
  ) -> [ConvolutionTiming] {
    let (input, filter) = (noise(shape.images * shape.inputSize), noise(shape.filterSize))
    let (output, gradient) = (noise(shape.images * shape.outputSize), noise(shape.images * shape.outputSize))
    let (inputGradient, filterGradient) = (AlignedBuffer(count: input.count), AlignedBuffer(count: filter.count))
    let candidates = algorithms.filter { $0.applies(to: shape) }
    let convolutions = candidates.map { Convolution(shape, team: team, scratch: Scratch(), algorithm: $0) }
    func run(_ convolution: Convolution, _ pass: ConvolutionPass) {
      switch pass {
      case .forward:
        convolution.forward(
          images: shape.images, input: input.pointer, filter: filter.pointer, output: output.pointer)
      case .inputGradient:
        convolution.inputGradient(
          images: shape.images, outputGradient: gradient.pointer, filter: filter.pointer,
          inputGradient: inputGradient.pointer, accumulate: false)
      case .filterGradient:
        convolution.filterGradient(
          images: shape.images, input: input.pointer, outputGradient: gradient.pointer,
          filterGradient: filterGradient.pointer)
      }
    }
    // In turn, so that a slow moment is no algorithm's alone; the first round of each warms up.
    let clock = ContinuousClock()
    return ConvolutionPass.allCases.flatMap { pass in
      var seconds = [Double](repeating: .infinity, count: candidates.count)
      for call in 0...max(calls, 1) {
        for (index, convolution) in convolutions.enumerated() {
          let time = clock.measure { run(convolution, pass) } / .seconds(1)
          if call > 0 { seconds[index] = min(seconds[index], time) }
        }
      }
      return zip(candidates, seconds).map {
        ConvolutionTiming(
          shape: shape, pass: pass, algorithm: $0, isChosen: ConvolutionCost.best(shape, pass) == $0, seconds: $1)
      }
    }
  }

  /// OpenBLAS's speed on a product of two square matrices of 1,024 rows, in GFLOP/s: the peak to compare with. With the
  /// threads that OpenBLAS was given.
  public static func blasPeak(calls: Int = 5) -> Double {
    let n = 1024
    let (a, b, c) = (noise(n * n), noise(n * n), AlignedBuffer(count: n * n))
    let seconds = shortest(calls) {
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(n), Int32(n), Int32(n), 1, a.pointer, Int32(n), b.pointer,
        Int32(n), 0, c.pointer, Int32(n))
    }
    return 2 * Double(n * n * n) / seconds * 1e-9
  }

  /// The processor whose kernels OpenBLAS has chosen: an older one than there is where it does not know the newest yet, which
  /// the environment variable OPENBLAS_CORETYPE mends.
  public static var blasCore: String { String(cString: openblas_get_corename()) }

  private static func noise(_ count: Int) -> AlignedBuffer {
    var random = CounterRandom(UInt64(count))
    let buffer = AlignedBuffer(count: count)
    for index in 0..<count { buffer.pointer[index] = Float(random.uniform(-1, 1)) }
    return buffer
  }

  private static func shortest(_ calls: Int, _ body: () -> Void) -> Double {
    body()
    let clock = ContinuousClock()
    return (0..<max(calls, 1)).map { _ in clock.measure(body) / .seconds(1) }.min()!
  }
}
