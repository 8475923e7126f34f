import Kernels
import Layers
import NetworkTesting
import XCTest

/// Passes take a large batch a few images at a time. What four ghosts of four images give in one pass of sixteen, cut
/// into pieces that end in the middle of ghosts, is what four passes of four images give, which are not cut.
final class PiecesTests: XCTestCase {
  private let ghost = 4
  private let count = 4

  func testAPassInPiecesIsThePassesOfItsGhosts() throws {
    for (kind, stem, norm, threads) in [
      (EncoderKind.resnet10, Stem.imagenet, NormKind.bn, 1), (.resnet10, .cifar, .bn, 3), (.resnet50, .small, .bn, 1),
      (.resnet10, .imagenet, .gn, 2), (.resnet10, .small, .none, 1),
    ] {
      let shape = EncoderShape(kind: kind, width: 32, stem: stem, imageSize: 64, norm: norm)
      let name = "\(kind) \(stem) \(norm)"
      let cut = shape.convolutions(images: ghost * count).contains {
        Convolution($0, team: ThreadTeam(threads: 1), scratch: Scratch()).forwardPiece < ghost * count
      }
      XCTAssert(cut, "\(name): nothing is cut into pieces, so that nothing is tested")
      let (image, features) = (64 * 64 * 3, shape.features)
      let input = noise(ghost * count * image, 5)
      let dy = noise(ghost * count * features, 6)

      let whole = try rig(shape, images: ghost * count, threads: threads)
      let output = try whole.pass(input, outputGradient: dy)
      let gradients = whole.store.gradients.array
      var sum = [Double](repeating: 0, count: gradients.count)
      for index in 0..<count {
        let (first, last) = (index * ghost, (index + 1) * ghost)
        let part = try rig(shape, images: ghost, threads: 1)
        let wanted = try part.pass(
          Array(input[first * image..<last * image]), outputGradient: Array(dy[first * features..<last * features]))
        assertClose(Array(output[first * features..<last * features]), wanted, within: 1e-5, name)
        for (place, value) in part.store.gradients.array.enumerated() { sum[place] += Double(value) }
      }
      for parameter in whole.store.parameters {
        let range = parameter.offset..<parameter.offset + parameter.count
        assertClose(
          Array(gradients[range]), sum[range].map(Float.init), within: 2e-4, "\(name): \(parameter.name)")
      }
    }
  }

  /// The threads take pieces as they get free; who takes which, and how many they are, does not show in the features.
  func testFeaturesDoNotDependOnTheNumberOfThreads() throws {
    for (kind, stem, norm) in [
      (EncoderKind.resnet10, Stem.imagenet, NormKind.bn), (.resnet50, .small, .bn), (.resnet10, .cifar, .gn),
    ] {
      let shape = EncoderShape(kind: kind, width: 32, stem: stem, imageSize: 64, norm: norm)
      let input = noise(ghost * count * 64 * 64 * 3, 5)
      let bits = try [1, 2, 3].map { threads in
        try rig(shape, images: ghost * count, threads: threads).forward(input, images: ghost * count).map(\.bitPattern)
      }
      XCTAssertEqual(bits[0], bits[1], "\(kind) \(stem) \(norm), 2 threads")
      XCTAssertEqual(bits[0], bits[2], "\(kind) \(stem) \(norm), 3 threads")
    }
  }

  /// Between the stem and the first block there is a map only where it is too large to be made in reading. A batch that has none
  /// gives what the same images give in one that has, in a network that keeps nothing too and in evaluation; that the gradients
  /// are the same is in `testAPassInPiecesIsThePassesOfItsGhosts`.
  func testAStemsActivationThatIsNowhereWritten() throws {
    let shape = EncoderShape(kind: .resnet10, width: 32, stem: .cifar, imageSize: 64, norm: .bn)
    let (image, features) = (64 * 64 * 3, shape.features)
    let input = noise(ghost * count * image, 5)
    let (written, read) = (try rig(shape, images: ghost * count, threads: 1), try rig(shape, images: ghost, threads: 1))
    XCTAssertTrue(written.layer.writesStemOutput)
    XCTAssertFalse(read.layer.writesStemOutput)
    let lean = try rig(shape, images: ghost, threads: 1, keeps: false)
    XCTAssertFalse(lean.layer.writesStemOutput)
    let wanted = try written.forward(input, images: ghost * count)
    for index in 0..<count {
      let own = Array(input[index * ghost * image..<(index + 1) * ghost * image])
      let range = index * ghost * features..<(index + 1) * ghost * features
      let output = try read.forward(own, images: ghost)
      assertClose(output, Array(wanted[range]), within: 1e-5, "images from \(index * ghost) on")
      XCTAssertEqual(try lean.forward(own, images: ghost), output, "in a network that keeps nothing")
    }
    for net in [written, read, lean] { net.context.phase = .evaluation }
    let running = try written.forward(Array(input[..<(ghost * image)]), images: ghost)
    let alone = try rig(shape, images: ghost, threads: 1)
    alone.store.running.pointer.update(from: written.store.running.pointer, count: written.store.running.count)
    alone.context.phase = .evaluation
    XCTAssertFalse(alone.layer.writesStemOutput)
    assertClose(
      try alone.forward(Array(input[..<(ghost * image)]), images: ghost), running, within: 1e-5, "in evaluation")
  }

  private func rig(_ shape: EncoderShape, images: Int, threads: Int, keeps: Bool = true) throws -> LayerRig<ResNet> {
    let rig = LayerRig(
      imagesPerView: images, scope: try ghosts(ghost), threads: threads, keepsActivations: keeps
    ) { plan, context in
      ResNet("", shape: shape, plan: plan, context: context)
    }
    rig.store.initialize(seed: 3)
    rig.store.perturb(4)
    return rig
  }
}
