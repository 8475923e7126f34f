import Kernels
import XCTest

/// A convolution that activates what it reads gives the bits of one that reads the activation.
final class InputActivationTests: XCTestCase {
  func testReadsThroughAnActivationToTheBit() {
    var took: Set<ConvolutionAlgorithm> = []
    for (images, side, input, output) in [
      (6, 32, 16, 16), (10, 16, 32, 40), (6, 8, 8, 24), (64, 4, 128, 144), (3, 12, 24, 16), (4, 9, 16, 17),
      (2, 6, 40, 8),
    ] {
      let shape = ConvolutionShape(
        images: images, height: side, width: side, inputChannels: input, outputChannels: output, kernel: 3, stride: 1,
        padding: 1)
      for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) {
        for threads in [1, 3] {
          let convolution = Convolution(
            shape, team: ThreadTeam(threads: threads, spins: 100), scratch: Scratch(), algorithm: algorithm)
          if convolution.activatesForward {
            took.insert(algorithm)
            compareForward(convolution)
          }
          if convolution.activatesFilterGradient { compareFilterGradient(convolution) }
        }
      }
    }
    XCTAssertEqual(took, [.winograd2, .winograd3, .winograd4, .winograd6, .winograd8x4])
  }

  /// Larger maps are activated before, by a pass in the order of memory.
  func testLeavesLargeMapsAlone() {
    let shape = ConvolutionShape(
      images: 65, height: 32, width: 32, inputChannels: 16, outputChannels: 16, kernel: 3, stride: 1, padding: 1)
    let convolution = Convolution(shape, team: .alone, scratch: Scratch())
    XCTAssertFalse(convolution.activatesForward || convolution.activatesFilterGradient)
  }

  private func compareForward(_ convolution: Convolution) {
    let (shape, data) = (convolution.shape, ActivatedMap(convolution.shape))
    let filter = Noise.floats(shape.filterSize, seed: 2)
    let results = [false, true].map { activates in
      let output = AlignedBuffer(count: shape.images * shape.outputSize)
      convolution.forward(
        images: shape.images, input: activates ? data.map.pointer : data.activated.pointer,
        activation: activates ? data.activation(from: 0) : nil, filter: filter, output: output.pointer)
      return output.floats.map(\.bitPattern)
    }
    XCTAssertEqual(results[0], results[1], name(convolution))
    guard convolution.dealsForward, shape.images > 3 else { return }
    // From an image in the middle of a segment on.
    let (first, output) = (3, AlignedBuffer(count: (shape.images - 3) * shape.outputSize))
    convolution.packForward(filter)
    convolution.forward(
      images: shape.images - first, input: data.map.pointer + first * shape.inputSize,
      activation: data.activation(from: first), output: output.pointer, thread: 0)
    XCTAssertEqual(
      output.floats.map(\.bitPattern), Array(results[0][(first * shape.outputSize)...]), "later \(name(convolution))")
  }

  private func compareFilterGradient(_ convolution: Convolution) {
    let (shape, data) = (convolution.shape, ActivatedMap(convolution.shape))
    let gradient = Noise.floats(shape.images * shape.outputSize, seed: 3)
    let results = [false, true].map { activates in
      let result = AlignedBuffer(count: shape.filterSize)
      convolution.filterGradient(
        images: shape.images, input: activates ? data.map.pointer : data.activated.pointer,
        activation: activates ? data.activation(from: 0) : nil, outputGradient: gradient,
        filterGradient: result.pointer)
      return result.floats.map(\.bitPattern)
    }
    XCTAssertEqual(results[0], results[1], "filter gradient \(name(convolution))")
  }

  private func name(_ convolution: Convolution) -> String {
    "\(convolution.shape) \(convolution.algorithm(.forward)), of \(convolution.forwardPiece) images"
  }
}

/// A map, and what is behind the batch norm and ReLU of segments of two images with different statistics.
private final class ActivatedMap {
  let map, activated: AlignedBuffer
  private let numbers: AlignedBuffer
  private let affines: UnsafeMutableBufferPointer<ChannelAffine>

  init(_ shape: ConvolutionShape) {
    let (channels, segments) = (shape.inputChannels, (shape.images + 1) / 2)
    map = AlignedBuffer(count: shape.images * shape.inputSize)
    map.pointer.update(from: Noise.floats(map.count, seed: 1), count: map.count)
    activated = AlignedBuffer(count: map.count)
    numbers = AlignedBuffer(count: segments * 2 * channels)
    numbers.pointer.update(from: Noise.floats(numbers.count, seed: 4), count: numbers.count)
    affines = .allocate(capacity: segments)
    for segment in 0..<segments {
      let first = numbers.pointer + segment * 2 * channels
      let affine = ChannelAffine(scale: first, shift: first + channels)
      affines.initializeElement(at: segment, to: affine)
      let at = 2 * segment * shape.inputSize
      ChannelNormalize.forward(
        map.pointer + at, affine: affine, residual: nil, relu: true, output: activated.pointer + at,
        rows: min(2, shape.images - 2 * segment) * shape.height * shape.width, channels: channels, team: .alone)
    }
  }

  deinit { affines.deallocate() }

  func activation(from image: Int) -> InputActivation {
    InputActivation(affines: UnsafePointer(affines.baseAddress!), imagesPerAffine: 2, firstImage: image)
  }
}
