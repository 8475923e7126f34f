import Kernels

/// How a parameter lies in memory beside how PyTorch's files have it.
public enum ParameterLayout: Sendable, Equatable {
  /// Biases, norm weights: the same in both.
  case vector
  /// Files: OIHW. Memory: HWIO, a [kernel * kernel * in x out] matrix.
  case convolution
  /// Files: [out x in]. Memory: [in x out].
  case linear
}

/// One trained tensor: its name, PyTorch's shape and its place in the flat buffers.
public struct Parameter: Sendable, Equatable {
  public let name: String
  /// As PyTorch has it: [O, I, H, W], [out, in] or [n].
  public let shape: [Int]
  public let layout: ParameterLayout
  /// Floats from the start of the flat buffer, a multiple of 16.
  public let offset: Int
  public let start: ParameterStart
  public var count: Int { shape.reduce(1, *) }

  /// Where element `index` of the file's order lies within this parameter's memory.
  public func memoryIndex(ofFileIndex index: Int) -> Int {
    switch layout {
    case .vector: return index
    case .linear:
      let (row, column) = index.quotientAndRemainder(dividingBy: shape[1])
      return column * shape[0] + row
    case .convolution:
      let area = shape[2] * shape[3]
      let (plane, place) = index.quotientAndRemainder(dividingBy: area)
      let (output, input) = plane.quotientAndRemainder(dividingBy: shape[1])
      return (place * shape[1] + input) * shape[0] + output
    }
  }

  /// This parameter's numbers out of a flat buffer, in the file's order.
  public func fileOrder(from flat: UnsafePointer<Float>) -> [Float] {
    (0..<count).map { flat[offset + memoryIndex(ofFileIndex: $0)] }
  }

  /// Puts numbers that are in the file's order into a flat buffer.
  public func store(fileOrder numbers: [Float], into flat: UnsafeMutablePointer<Float>) {
    precondition(numbers.count == count, "\(name) has \(count) numbers, not \(numbers.count)")
    for index in 0..<count { flat[offset + memoryIndex(ofFileIndex: index)] = numbers[index] }
  }
}

/// The distribution a parameter starts from, torchvision's and PyTorch's defaults.
public enum ParameterStart: Sendable, Equatable {
  /// Kaiming-normal over the fan-out (He et al. 2015): deviation sqrt(2 / (out * kernel * kernel)).
  case kaimingNormal
  /// Uniform within one over the square root of the inputs.
  case uniform(inputs: Int)
  case constant(Float)
}

/// Numbers that belong to a model and are not trained: running means and variances, in the order they were planned.
public struct RunningBuffer: Sendable, Equatable {
  public let name: String
  public let count: Int
  public let offset: Int
  public let start: Float
  /// Whether each rank has numbers of its own, as where the batch-norm scope is narrower than the world.
  public let isPerRank: Bool
}

/// Collects the parameters of a network while its layers are made; the flat order is the order of `add`.
public final class ParameterPlan {
  public private(set) var parameters: [Parameter] = []
  public private(set) var buffers: [RunningBuffer] = []
  public private(set) var floats = 0
  public private(set) var bufferFloats = 0
  /// Batch norms, by name: each has PyTorch's num_batches_tracked.
  public private(set) var batchNorms: [String] = []

  public init() {}

  public func add(
    _ name: String, shape: [Int], layout: ParameterLayout = .vector, start: ParameterStart
  ) -> Parameter {
    let parameter = Parameter(name: name, shape: shape, layout: layout, offset: floats, start: start)
    parameters.append(parameter)
    // A cache line a parameter: the padding stays zero through every update.
    floats += (parameter.count + 15) & ~15
    return parameter
  }

  public func addBuffer(_ name: String, count: Int, start: Float, isPerRank: Bool) -> RunningBuffer {
    let buffer = RunningBuffer(name: name, count: count, offset: bufferFloats, start: start, isPerRank: isPerRank)
    buffers.append(buffer)
    bufferFloats += (count + 15) & ~15
    return buffer
  }

  func addBatchNorm(_ name: String) { batchNorms.append(name) }
}

/// The numbers of one network: parameters and, where it is trained, their gradients, each in one flat buffer; running
/// statistics in a third.
public final class ParameterStore {
  public let parameters: [Parameter]
  public let buffers: [RunningBuffer]
  public let batchNorms: [String]
  /// Another buffer with the same numbers may take its place between passes, as one in memory that ranks share.
  public var values: AlignedBuffer
  /// Another buffer may take its place before the first pass.
  public var gradients: AlignedBuffer
  public let running: AlignedBuffer
  /// PyTorch's num_batches_tracked: batches seen in training mode, one a view or a pass of joint views; the same for every batch norm.
  public var batchesTracked: Int64 = 0

  /// - Parameter trained: whether gradients are kept.
  public init(_ plan: ParameterPlan, trained: Bool) {
    parameters = plan.parameters
    buffers = plan.buffers
    batchNorms = plan.batchNorms
    values = AlignedBuffer(count: plan.floats, for: "parameters")
    gradients = AlignedBuffer(count: trained ? plan.floats : 0, for: "gradients")
    running = AlignedBuffer(count: plan.bufferFloats)
    resetRunningStatistics()
  }

  /// Whether some running statistics are each rank's own.
  public var hasStatisticsPerRank: Bool { buffers.contains(where: \.isPerRank) }

  /// Means 0 and variances 1.
  public func resetRunningStatistics() {
    for buffer in buffers { (running.pointer + buffer.offset).update(repeating: buffer.start, count: buffer.count) }
  }

  /// Starts every parameter as torchvision does. Each number is a function of (seed, parameter's place, index) alone.
  public func initialize(seed: UInt64) {
    for (place, parameter) in parameters.enumerated() {
      var random = CounterRandom(seed, 0x696E_6974, UInt64(place))
      let numbers: [Float]
      switch parameter.start {
      case .kaimingNormal:
        let fanOut = parameter.shape[0] * parameter.shape[2] * parameter.shape[3]
        let deviation = (2 / Double(fanOut)).squareRoot()
        numbers = (0..<parameter.count).map { _ in Float(random.normal() * deviation) }
      case .uniform(let inputs):
        let bound = 1 / Double(inputs).squareRoot()
        numbers = (0..<parameter.count).map { _ in Float(random.uniform(-bound, bound)) }
      case .constant(let value):
        numbers = Array(repeating: value, count: parameter.count)
      }
      parameter.store(fileOrder: numbers, into: values.pointer)
    }
  }

  /// The pointers that layers compute with.
  public var weights: Weights {
    Weights(values: values.pointer, gradients: gradients.pointer, running: running.pointer)
  }
}

/// A network's numbers as layers see them during a pass.
public struct Weights {
  public let values: UnsafeMutablePointer<Float>
  public let gradients: UnsafeMutablePointer<Float>
  public let running: UnsafeMutablePointer<Float>

  func value(_ parameter: Parameter) -> UnsafeMutablePointer<Float> { values + parameter.offset }
  func gradient(_ parameter: Parameter) -> UnsafeMutablePointer<Float> { gradients + parameter.offset }
  func buffer(_ buffer: RunningBuffer) -> UnsafeMutablePointer<Float> { running + buffer.offset }
}
