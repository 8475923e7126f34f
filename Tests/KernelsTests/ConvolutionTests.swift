import Kernels
import XCTest

/// Every algorithm against the definition in double precision, over shapes with all the edges: channel tails, maps
/// that tiles do not divide, one image, strides, and fewer images than planned.
final class ConvolutionTests: XCTestCase {
  /// What the speed issue allows: error over the map's largest magnitude.
  private let tolerance = 5e-5

  private static let shapes: [ConvolutionShape] = [
    shape(2, 12, 12, 16, 16, 3, 1, 1), shape(3, 6, 6, 32, 24, 3, 1, 1), shape(5, 3, 3, 40, 48, 3, 1, 1),
    shape(2, 7, 5, 10, 19, 3, 1, 1), shape(1, 1, 1, 8, 8, 3, 1, 1), shape(2, 4, 4, 17, 33, 3, 1, 1),
    shape(2, 8, 8, 3, 16, 3, 1, 1), shape(2, 9, 9, 8, 8, 3, 1, 0), shape(13, 8, 8, 64, 64, 3, 1, 1),
    shape(2, 12, 12, 16, 32, 3, 2, 1), shape(3, 7, 9, 10, 12, 3, 2, 1), shape(2, 6, 6, 65, 70, 3, 2, 1),
    shape(2, 12, 12, 16, 32, 1, 2, 0), shape(2, 5, 7, 6, 18, 1, 2, 0), shape(3, 6, 6, 64, 48, 1, 1, 0),
    shape(2, 5, 5, 10, 3, 1, 1, 0), shape(2, 32, 32, 3, 64, 7, 2, 3), shape(1, 15, 13, 3, 10, 7, 2, 3),
    shape(2, 10, 10, 5, 7, 5, 1, 2), shape(2, 11, 11, 4, 6, 3, 3, 1), shape(1, 8, 8, 1, 1, 3, 2, 1),
    shape(70, 3, 3, 96, 80, 3, 1, 1), shape(9, 12, 12, 24, 40, 3, 1, 1), shape(40, 1, 1, 520, 17, 1, 1, 0),
  ]

  private static func shape(
    _ images: Int, _ height: Int, _ width: Int, _ input: Int, _ output: Int, _ kernel: Int, _ stride: Int,
    _ padding: Int
  ) -> ConvolutionShape {
    ConvolutionShape(
      images: images, height: height, width: width, inputChannels: input, outputChannels: output, kernel: kernel,
      stride: stride, padding: padding)
  }

  func testEveryAlgorithmComputesTheConvolutionAndItsGradients() {
    for threads in [1, 3] {
      let team = ThreadTeam(threads: threads, spins: 100)
      for shape in Self.shapes {
        for algorithm in [nil] + ConvolutionAlgorithm.allCases.map(Optional.some) {
          check(shape, images: shape.images, algorithm: algorithm, team: team)
        }
        if shape.images > 1 { check(shape, images: shape.images - 1, algorithm: nil, team: team) }
      }
    }
  }

  private func check(_ shape: ConvolutionShape, images: Int, algorithm: ConvolutionAlgorithm?, team: ThreadTeam) {
    let name = "\(shape), \(images) images, \(algorithm?.rawValue ?? "chosen"), \(team.threads) threads"
    let convolution = Convolution(shape, team: team, scratch: Scratch(), algorithm: algorithm)
    let input = Noise.floats(images * shape.inputSize, seed: 1)
    let filter = Noise.floats(shape.filterSize, seed: 2)
    let gradient = Noise.floats(images * shape.outputSize, seed: 3)

    let output = AlignedBuffer(count: images * shape.outputSize)
    output.pointer.update(repeating: .nan, count: output.count)
    convolution.forward(images: images, input: input, filter: filter, output: output.pointer)
    expect(output, ConvolutionReference.forward(shape, images: images, input: input, filter: filter), "forward " + name)

    let inputGradient = AlignedBuffer(count: images * shape.inputSize)
    inputGradient.pointer.update(repeating: .nan, count: inputGradient.count)
    convolution.inputGradient(
      images: images, outputGradient: gradient, filter: filter, inputGradient: inputGradient.pointer, accumulate: false)
    var wanted = ConvolutionReference.inputGradient(shape, images: images, outputGradient: gradient, filter: filter)
    expect(inputGradient, wanted, "input gradient " + name)
    for index in wanted.indices {
      inputGradient.pointer[index] = input[index]
      wanted[index] += Double(input[index])
    }
    convolution.inputGradient(
      images: images, outputGradient: gradient, filter: filter, inputGradient: inputGradient.pointer, accumulate: true)
    expect(inputGradient, wanted, "accumulated input gradient " + name)

    let filterGradient = AlignedBuffer(count: shape.filterSize)
    filterGradient.pointer.update(repeating: .nan, count: filterGradient.count)
    convolution.filterGradient(
      images: images, input: input, outputGradient: gradient, filterGradient: filterGradient.pointer)
    expect(
      filterGradient,
      ConvolutionReference.filterGradient(shape, images: images, input: input, outputGradient: gradient),
      "filter gradient " + name)
  }

  private func expect(_ got: AlignedBuffer, _ wanted: [Double], _ name: String) {
    let error = Noise.relativeError(got, wanted)
    XCTAssert(error <= tolerance, "\(name): error \(error)")
  }
}
