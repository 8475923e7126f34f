import Kernels
import XCTest

/// Every algorithm against the definition in double precision, over shapes with all the edges: channel tails, maps
/// that tiles do not divide, one image, strides, and fewer images than planned.
final class ConvolutionTests: XCTestCase {
  /// What the speed issue allows: error over the map's largest magnitude.
  private let tolerance = 5e-5

  private static let shapes: [ConvolutionShape] =
    [
      shape(2, 12, 12, 16, 16, 3, 1, 1), shape(2, 14, 11, 16, 24, 3, 1, 1), shape(3, 6, 6, 32, 24, 3, 1, 1),
      shape(5, 3, 3, 40, 48, 3, 1, 1),
      shape(2, 7, 5, 10, 19, 3, 1, 1), shape(1, 1, 1, 8, 8, 3, 1, 1), shape(2, 4, 4, 17, 33, 3, 1, 1),
      shape(2, 8, 8, 3, 16, 3, 1, 1), shape(2, 9, 9, 8, 8, 3, 1, 0), shape(13, 8, 8, 64, 64, 3, 1, 1),
      shape(2, 12, 12, 16, 32, 3, 2, 1), shape(3, 7, 9, 10, 12, 3, 2, 1), shape(2, 6, 6, 65, 70, 3, 2, 1),
      shape(3, 7, 9, 16, 24, 3, 2, 1), shape(20, 6, 6, 40, 48, 3, 2, 1),
      shape(2, 12, 12, 16, 32, 1, 2, 0), shape(2, 5, 7, 6, 18, 1, 2, 0), shape(3, 6, 6, 64, 48, 1, 1, 0),
      shape(2, 5, 5, 10, 3, 1, 1, 0), shape(2, 32, 32, 3, 64, 7, 2, 3), shape(1, 15, 13, 3, 10, 7, 2, 3),
      shape(2, 13, 17, 4, 18, 7, 2, 3), shape(3, 12, 11, 2, 16, 7, 2, 3), shape(1, 9, 14, 1, 16, 7, 2, 3),
      shape(2, 10, 10, 5, 7, 5, 1, 2), shape(2, 11, 11, 4, 6, 3, 3, 1), shape(1, 8, 8, 1, 1, 3, 2, 1),
      shape(70, 3, 3, 96, 80, 3, 1, 1), shape(9, 12, 12, 24, 40, 3, 1, 1), shape(40, 1, 1, 520, 17, 1, 1, 0),
      shape(3, 6, 6, 64, 96, 1, 1, 0), shape(19, 3, 3, 160, 128, 1, 1, 0), shape(1, 3, 3, 32, 64, 1, 1, 0),
      shape(2, 11, 13, 96, 32, 1, 1, 0), shape(1, 1, 1, 64, 64, 1, 1, 0),
      shape(2, 17, 32, 3, 16, 3, 1, 1), shape(3, 33, 35, 2, 20, 3, 2, 1), shape(1, 3, 140, 5, 16, 3, 1, 1),
    ]
    // One to seven tiles of 4x4 outputs for blocks of channels, and what is left of fours of tiles for blocks of tiles.
    + (1...7).map { shape($0, 4, 4, 24, 40, 3, 1, 1) } + (17...19).map { shape($0, 4, 4, 16, 8, 3, 1, 1) }

  fileprivate static func shape(
    _ images: Int, _ height: Int, _ width: Int, _ input: Int, _ output: Int, _ kernel: Int, _ stride: Int,
    _ padding: Int
  ) -> ConvolutionShape {
    ConvolutionShape(
      images: images, height: height, width: width, inputChannels: input, outputChannels: output, kernel: kernel,
      stride: stride, padding: padding)
  }

  func testEveryAlgorithmComputesTheConvolutionAndItsGradients() {
    for shape in Self.shapes {
      let wanted = Wanted(shape, images: shape.images)
      for threads in [1, 3] {
        let team = ThreadTeam(threads: threads, spins: 100)
        for algorithm in [nil] + ConvolutionAlgorithm.allCases.map(Optional.some) {
          if let algorithm, !algorithm.applies(to: shape) { continue }
          check(wanted, algorithm, team)
        }
      }
    }
  }

  func testFewerImagesThanPlanned() {
    for shape in Self.shapes where shape.images > 1 {
      check(Wanted(shape, images: shape.images - 1), nil, ThreadTeam(threads: 2, spins: 100))
    }
  }

  /// Sums over many channels, where rounding is worst.
  func testDeepLayersStayWithinTheTolerance() {
    for shape in [
      Self.shape(1, 6, 6, 256, 256, 3, 1, 1), Self.shape(1, 3, 3, 512, 512, 3, 1, 1),
      Self.shape(1, 8, 8, 256, 256, 3, 1, 1), Self.shape(1, 32, 32, 64, 64, 3, 1, 1),
      Self.shape(3, 3, 3, 1344, 576, 1, 1, 0), Self.shape(5, 12, 12, 128, 512, 1, 1, 0),
    ] {
      let wanted = Wanted(shape, images: shape.images)
      for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) {
        check(wanted, algorithm, ThreadTeam(threads: 1))
      }
    }
  }

  /// The chosen algorithms give the same bits in every call with as many threads.
  func testRepeatsBitForBit() {
    for shape in [Self.shape(5, 12, 12, 32, 40, 3, 1, 1), Self.shape(5, 12, 12, 24, 40, 3, 2, 1)] {
      for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) {
        let convolution = Convolution(
          shape, team: ThreadTeam(threads: 3, spins: 100), scratch: Scratch(), algorithm: algorithm)
        let results = (0..<2).map { _ in Results(convolution, Wanted.inputs(shape, images: shape.images)).bits }
        XCTAssertEqual(results[0], results[1], "\(shape) \(algorithm)")
      }
    }
  }

  /// Rows of points that are transformed before they are stored, which processors differ in, change no bit, nor do the blocks they
  /// come in.
  func testFinishedRowsOfPointsGiveTheSameBits() {
    var differ = 0
    for shape in [
      Self.shape(17, 8, 8, 16, 48, 3, 1, 1), Self.shape(5, 24, 24, 32, 16, 3, 1, 1),
      Self.shape(7, 13, 10, 64, 64, 3, 1, 1),
      Self.shape(23, 4, 4, 128, 64, 3, 1, 1), Self.shape(3, 9, 9, 24, 40, 3, 1, 1),
    ] {
      let inputs = Wanted.inputs(shape, images: shape.images)
      for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) {
        for threads in [1, 3] {
          let team = ThreadTeam(threads: threads, spins: 100)
          let both = [true, false].map {
            Convolution(shape, team: team, scratch: Scratch(), algorithm: algorithm, finishingRows: $0)
          }
          XCTAssertEqual(Results(both[0], inputs).bits, Results(both[1], inputs).bits, "\(shape) \(algorithm)")
          if both[0].scratchFloats != both[1].scratchFloats { differ += 1 }
        }
      }
    }
    // With AVX-512 there is something to compare: finished rows take less working memory.
    #if AVX512
      XCTAssertGreaterThan(differ, 5)
    #endif
  }

  /// Working memory holds what another layer left there: no pass reads what it did not write.
  func testWhatMemoryHeldMakesNoDifference() {
    for shape in [Self.shape(5, 24, 24, 16, 24, 3, 2, 1), Self.shape(17, 8, 8, 16, 16, 3, 1, 1)] {
      let inputs = Wanted.inputs(shape, images: shape.images)
      for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) {
        let (scratch, floats) = (Scratch(), 1 << 22)
        scratch.reserve(floats)
        let convolution = Convolution(shape, team: ThreadTeam(threads: 1), scratch: scratch, algorithm: algorithm)
        let spoilt = Results(convolution, inputs) { scratch.pointer.update(repeating: .nan, count: floats) }
        XCTAssertEqual(spoilt.bits, Results(convolution, inputs).bits, "\(shape) \(algorithm)")
      }
    }
  }

  /// A pass taken a piece after the other gives the bits of the pass as a whole: packed filters are kept, and sums go on.
  func testPiecesGiveTheBitsOfTheWhole() {
    var cut: [ConvolutionPass: Set<ConvolutionAlgorithm>] = [:]
    for shape in [
      Self.shape(37, 24, 24, 32, 32, 3, 1, 1), Self.shape(31, 48, 48, 16, 24, 3, 2, 1),
      Self.shape(13, 24, 24, 64, 32, 1, 1, 0), Self.shape(11, 32, 32, 48, 64, 1, 2, 0),
      Self.shape(301, 3, 3, 64, 128, 1, 1, 0),
      Self.shape(7, 96, 96, 3, 64, 7, 2, 3),
    ] {
      let inputs = Wanted.inputs(shape, images: shape.images)
      for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) && algorithm != .im2col {
        let convolution = Convolution(
          shape, team: ThreadTeam(threads: 1), scratch: Scratch(), algorithm: algorithm)
        for (pass, piece) in [
          (ConvolutionPass.forward, convolution.forwardPiece), (.inputGradient, convolution.inputGradientPiece),
          (.filterGradient, convolution.filterGradientPiece),
        ] where piece < shape.images { cut[pass, default: []].insert(algorithm) }
        let whole = Results(convolution, inputs)
        XCTAssertEqual(Results(convolution, inputs, inPieces: true).bits, whole.bits, "\(shape) \(algorithm)")
        // Each thread has its own memory for pieces, and which one computes a piece makes no difference.
        let three = Convolution(
          shape, team: ThreadTeam(threads: 3, spins: 100), scratch: Scratch(), algorithm: algorithm)
        XCTAssertEqual(
          Results(three, inputs, inPieces: true, threads: 3).mapBits, whole.mapBits, "\(shape) \(algorithm), 3 threads")
      }
    }
    for pass in ConvolutionPass.allCases {
      XCTAssertEqual(cut[pass]?.subtracting([.matrix]).count, 8, "\(pass): cut were \(cut[pass] ?? [])")
    }
  }

  private func check(_ wanted: Wanted, _ algorithm: ConvolutionAlgorithm?, _ team: ThreadTeam) {
    let convolution = Convolution(wanted.shape, team: team, scratch: Scratch(), algorithm: algorithm)
    let results = Results(convolution, wanted.inputs)
    let name =
      "\(wanted.shape), \(wanted.inputs.images) images, \(algorithm?.rawValue ?? "chosen"), \(team.threads) threads"
    expect(results.output, wanted.output, "forward " + name)
    expect(results.inputGradient, wanted.inputGradient, "input gradient " + name)
    expect(results.accumulated, wanted.accumulated, "accumulated input gradient " + name)
    expect(results.filterGradient, wanted.filterGradient, "filter gradient " + name)
  }

  private func expect(_ got: AlignedBuffer, _ wanted: [Double], _ name: String) {
    let error = Noise.relativeError(got, wanted)
    XCTAssert(error <= tolerance, "\(name): error \(error)")
  }
}

/// Operands of one convolution.
private struct Inputs {
  let images: Int
  let input, filter, gradient: [Float]
}

/// What the definition gives.
private struct Wanted {
  let shape: ConvolutionShape
  let inputs: Inputs
  let output, inputGradient, accumulated, filterGradient: [Double]

  static func inputs(_ shape: ConvolutionShape, images: Int) -> Inputs {
    Inputs(
      images: images, input: Noise.floats(images * shape.inputSize, seed: 1),
      filter: Noise.floats(shape.filterSize, seed: 2), gradient: Noise.floats(images * shape.outputSize, seed: 3))
  }

  init(_ shape: ConvolutionShape, images: Int) {
    let inputs = Self.inputs(shape, images: images)
    self.shape = shape
    self.inputs = inputs
    output = ConvolutionReference.forward(shape, images: images, input: inputs.input, filter: inputs.filter)
    inputGradient = ConvolutionReference.inputGradient(
      shape, images: images, outputGradient: inputs.gradient, filter: inputs.filter)
    accumulated = zip(inputGradient, inputs.input).map { $0 + Double($1) }
    filterGradient = ConvolutionReference.filterGradient(
      shape, images: images, input: inputs.input, outputGradient: inputs.gradient)
  }
}

/// What a convolution gives, in buffers that held no numbers before.
private struct Results {
  let output, inputGradient, accumulated, filterGradient: AlignedBuffer

  /// - Parameter beforePass: called before each computation of a pass.
  init(
    _ convolution: Convolution, _ inputs: Inputs, inPieces: Bool = false, threads: Int = 1,
    beforePass: () -> Void = {}
  ) {
    let (shape, images) = (convolution.shape, inputs.images)
    output = Self.blank(images * shape.outputSize)
    inputGradient = Self.blank(images * shape.inputSize)
    accumulated = Self.blank(images * shape.inputSize)
    filterGradient = Self.blank(shape.filterSize)
    func pieces(_ length: Int) -> [Range<Int>] {
      guard inPieces else { return [0..<images] }
      return stride(from: 0, to: images, by: length).map { $0..<min($0 + length, images) }
    }
    let (input, gradient) = (Self.buffer(inputs.input), Self.buffer(inputs.gradient))
    beforePass()
    if inPieces && convolution.dealsForward {
      convolution.packForward(inputs.filter)
      for piece in pieces(convolution.forwardPiece) {
        convolution.forward(
          images: piece.count, input: input.pointer + piece.lowerBound * shape.inputSize,
          output: output.pointer + piece.lowerBound * shape.outputSize, thread: piece.lowerBound / piece.count % threads
        )
      }
    } else {
      convolution.forward(images: images, input: input.pointer, filter: inputs.filter, output: output.pointer)
    }
    for index in inputs.input.indices { accumulated.pointer[index] = inputs.input[index] }
    for (result, accumulate) in [(inputGradient, false), (accumulated, true)] {
      beforePass()
      if inPieces && convolution.dealsInputGradient {
        convolution.packInputGradient(inputs.filter)
        for piece in pieces(convolution.inputGradientPiece) {
          convolution.inputGradient(
            images: piece.count, outputGradient: gradient.pointer + piece.lowerBound * shape.outputSize,
            inputGradient: result.pointer + piece.lowerBound * shape.inputSize, accumulate: accumulate,
            thread: piece.lowerBound / piece.count % threads)
        }
      } else {
        convolution.inputGradient(
          images: images, outputGradient: gradient.pointer, filter: inputs.filter, inputGradient: result.pointer,
          accumulate: accumulate)
      }
    }
    beforePass()
    for piece in pieces(convolution.filterGradientPiece) {
      convolution.filterGradient(
        images: piece.count, input: input.pointer + piece.lowerBound * shape.inputSize,
        outputGradient: gradient.pointer + piece.lowerBound * shape.outputSize, filterGradient: filterGradient.pointer,
        isFirst: piece.lowerBound == 0, isLast: piece.upperBound == images)
    }
    withExtendedLifetime((input, gradient)) {}
  }

  private static func buffer(_ numbers: [Float]) -> AlignedBuffer {
    let buffer = AlignedBuffer(count: numbers.count)
    buffer.pointer.update(from: numbers, count: numbers.count)
    return buffer
  }

  private static func blank(_ count: Int) -> AlignedBuffer {
    let buffer = AlignedBuffer(count: count)
    buffer.pointer.update(repeating: .nan, count: count)
    return buffer
  }

  var bits: [UInt32] { mapBits + filterGradient.floats.map(\.bitPattern) }

  var mapBits: [UInt32] { [output, inputGradient, accumulated].flatMap { $0.floats.map(\.bitPattern) } }
}
