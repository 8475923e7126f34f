import Collectives
import Kernels
import Methods

/// A run whose numbers are no longer finite. It cannot go on, and would come to the same again.
public struct DivergedError: StatusError, CustomStringConvertible, Equatable {
  public enum Sign: Equatable, Sendable {
    case loss
    /// A parameter, statistic, velocity or key of the queue by its name in files.
    case tensor(String)
    /// Features of an image, counted from 0, of the test split.
    case features(image: Int)
  }

  /// Finished steps, the one that showed it included.
  public let step: Int
  public let sign: Sign

  package init(step: Int, sign: Sign) { (self.step, self.sign) = (step, sign) }

  public var exitStatus: Int32 { ExitStatus.failed.rawValue }
  public var isPermanent: Bool { true }

  public var description: String {
    let found =
      switch sign {
      case .loss: "the loss of step \(step) is not finite"
      case .tensor(let name): "\(name) holds a number that is not finite after step \(step)"
      case .features(let image): "the features of test image \(image) are not finite after step \(step)"
      }
    return found + ": the weights have diverged; try a lower --lr or more --warmup-steps"
  }
}

/// Looks for numbers that are not finite in all that a checkpoint would keep.
enum FiniteCheck {
  /// Collective: a rank's own statistics are seen by that rank alone.
  /// - Parameter step: finished steps.
  /// - Throws: `DivergedError` on every rank, naming the first tensor in the order of files; `CollectiveError`.
  static func run(_ method: Siamese, _ optimizer: Optimizer, step: Int, communicator: Communicator) throws {
    let tensors = ModelTensors.inMemory(method) + ModelTensors.inMemory(optimizer, of: method)
    let own = tensors.firstIndex { !isFinite($0.start, $0.count) } ?? tensors.count
    let first = Int(try communicator.allReduce(Int64(own), .min))
    guard first < tensors.count else { return }
    throw DivergedError(step: step, sign: .tensor(tensors[first].name))
  }

  /// Whether all numbers are finite: 0 times a number is 0, and NaN where it is not.
  static func isFinite(_ start: UnsafePointer<Float>, _ count: Int) -> Bool {
    var lanes = SIMD16<Float>()
    var index = 0
    while index + 16 <= count {
      lanes += UnsafeRawPointer(start + index).loadUnaligned(as: SIMD16<Float>.self) * 0
      index += 16
    }
    var rest = lanes.sum()
    while index < count {
      rest += start[index] * 0
      index += 1
    }
    return rest == 0
  }
}
