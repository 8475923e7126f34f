import Foundation
import Kernels
import Synchronization

/// The embedded data set: 32x32 colour images of ten forms, image i a pure function of (seed, split, i).
///
/// The form is the class. Tints, place, size, rotation, lighting, clutter and background texture are drawn without regard
/// to it. Figures are always lighter than the background and forms differ in area, so brightness says a little about the
/// class; for the rest the contour has to be learnt.
public final class Shapes: ImageDataset, @unchecked Sendable {
  public enum Split: Sendable { case train, test }

  public static let trainCount = 20_000
  public static let testCount = 4_000
  public static let size = 32
  private static let imageBytes = 3 * size * size

  public let name: String
  public let count: Int
  public let classes = Form.allCases.map(\.rawValue)
  public let height = Shapes.size
  public let width = Shapes.size
  private let seed: UInt64
  private let purpose: RandomPurpose
  private let difficulty: ShapesDifficulty

  /// Images are drawn when first asked for, so that each of many ranks draws its own share alone, and kept.
  private let images: UnsafeMutablePointer<UInt8>
  private let states: UnsafeMutablePointer<Atomic<UInt8>>
  private enum State {
    static let absent: UInt8 = 0
    static let written: UInt8 = 1
    static let ready: UInt8 = 2
  }

  public convenience init(seed: UInt64, split: Split, count: Int) {
    self.init(seed: seed, split: split, count: count, difficulty: ShapesDifficulty())
  }

  package init(seed: UInt64, split: Split, count: Int, difficulty: ShapesDifficulty) {
    precondition(count >= 1, "a data set of \(count) images")
    self.seed = seed
    self.count = count
    self.difficulty = difficulty
    name = split == .train ? "shapes train" : "shapes test"
    purpose = split == .train ? .shapesTrain : .shapesTest
    images = .allocate(capacity: count * Self.imageBytes)
    states = .allocate(capacity: count)
    for index in 0..<count { (states + index).initialize(to: Atomic(State.absent)) }
  }

  deinit {
    states.deinitialize(count: count)
    states.deallocate()
    images.deallocate()
  }

  public func label(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    return index % Form.allCases.count
  }

  public func copyImage(_ index: Int, into rgb: UnsafeMutablePointer<UInt8>) {
    precondition(index >= 0 && index < count, "image \(index) of \(count)")
    let kept = images + index * Self.imageBytes
    if states[index].load(ordering: .acquiring) == State.ready {
      rgb.update(from: kept, count: Self.imageBytes)
      return
    }
    var random = CounterRandom(seed, purpose.rawValue, UInt64(index))
    let scene = ShapesScene(form: Form.allCases[label(index)], difficulty: difficulty, random: &random)
    scene.draw(size: Self.size, random: &random, into: rgb)
    // One thread alone keeps the image; another that drew it meanwhile has its own copy.
    let (mine, _) = states[index].compareExchange(
      expected: State.absent, desired: State.written, ordering: .relaxed)
    if mine {
      kept.update(from: rgb, count: Self.imageBytes)
      states[index].store(State.ready, ordering: .releasing)
    }
  }
}
