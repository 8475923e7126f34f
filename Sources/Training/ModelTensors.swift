import Collectives
import Files
import Kernels
import Layers
import Methods

/// A safetensors file that does not fit the model; one line that names file and tensor.
public struct ModelFileError: Error, CustomStringConvertible {
  public let description: String
}

/// The model's tensors by the names and in the layouts of its files: `online.encoder.<torchvision key>` and so on, in
/// PyTorch's layouts.
public enum ModelTensors {
  /// Adds the networks' parameters and running statistics.
  public static func add(_ method: Siamese, to writer: inout SafetensorsWriter) {
    for (prefix, store) in method.networks {
      addParameters(store.parameters, store.values.pointer, prefix, to: &writer)
      for buffer in store.buffers {
        writer.add(prefix + buffer.name, shape: [buffer.count], floats: store.running.pointer + buffer.offset)
      }
      for name in store.batchNorms {
        writer.add(prefix + name + ".num_batches_tracked", shape: [], values: [store.batchesTracked])
      }
    }
  }

  /// Adds one flat buffer that is laid out as the parameters.
  public static func addParameters(
    _ parameters: [Parameter], _ flat: UnsafePointer<Float>, _ prefix: String, to writer: inout SafetensorsWriter
  ) {
    for parameter in parameters {
      writer.add(prefix + parameter.name, shape: parameter.shape) { floats in
        for index in 0..<parameter.count {
          floats[index] = flat[parameter.offset + parameter.memoryIndex(ofFileIndex: index)]
        }
      }
    }
  }

  /// Reads a checkpoint's model: every tensor must be there, and nothing else.
  /// - Throws: `FileError` or `ModelFileError` naming the tensor.
  public static func read(_ method: Siamese, from file: SafetensorsFile) throws {
    var known: Set<String> = []
    for (prefix, store) in method.networks {
      try readParameters(store.parameters, into: store.values.pointer, prefix, from: file)
      known.formUnion(store.parameters.map { prefix + $0.name })
      for buffer in store.buffers {
        try readBuffer(buffer, prefix, store, file)
        known.insert(prefix + buffer.name)
      }
      for name in store.batchNorms {
        let key = prefix + name + ".num_batches_tracked"
        store.batchesTracked = try file.integers(key).first ?? 0
        known.insert(key)
      }
    }
    if let foreign = file.names.first(where: { !known.contains($0) }) {
      throw ModelFileError(description: "\(file.path): tensor \(foreign) is not of this model")
    }
  }

  public static func readParameters(
    _ parameters: [Parameter], into flat: UnsafeMutablePointer<Float>, _ prefix: String, from file: SafetensorsFile
  ) throws {
    for parameter in parameters {
      parameter.store(fileOrder: try floats(prefix + parameter.name, parameter.shape, file), into: flat)
    }
  }

  /// A tensor's numbers.
  /// - Throws: `ModelFileError` for another shape, or a number that is not finite; `FileError`.
  private static func floats(_ name: String, _ shape: [Int], _ file: SafetensorsFile) throws -> [Float] {
    try checkShape(name, shape, file)
    let floats = try file.floats(name)
    try floats.withUnsafeBufferPointer { try checkFinite($0, name, file) }
    return floats
  }

  private static func checkFinite(
    _ floats: UnsafeBufferPointer<Float>, _ name: String, _ file: SafetensorsFile
  ) throws {
    guard let start = floats.baseAddress, !FiniteCheck.isFinite(start, floats.count) else { return }
    throw ModelFileError(description: "\(file.path): tensor \(name) holds a number that is not finite")
  }

  /// What `--init` does: replaces by name whatever the file has. Where it has nothing of the target, the target starts
  /// as a copy of the online network.
  /// - Throws: `FileError`, or `ModelFileError` for a name or shape that the model lacks.
  public static func override(_ method: Siamese, with file: SafetensorsFile) throws {
    var left = Set(file.names)
    var replacesTarget = false
    for (prefix, store) in method.networks {
      if prefix == "target." && !replacesTarget && !left.contains(where: { $0.hasPrefix(prefix) }) {
        method.copyOnlineToTarget()
      }
      for parameter in store.parameters where left.remove(prefix + parameter.name) != nil {
        replacesTarget = replacesTarget || prefix == "target."
        parameter.store(
          fileOrder: try floats(prefix + parameter.name, parameter.shape, file), into: store.values.pointer)
      }
      for buffer in store.buffers where left.remove(prefix + buffer.name) != nil {
        try readBuffer(buffer, prefix, store, file)
      }
      for name in store.batchNorms { left.remove(prefix + name + ".num_batches_tracked") }
    }
    if let foreign = left.min() {
      throw ModelFileError(
        description:
          "\(file.path): the model has no tensor \(foreign) (names start like online.encoder.conv1.weight)"
      )
    }
  }

  private static func readBuffer(
    _ buffer: RunningBuffer, _ prefix: String, _ store: ParameterStore, _ file: SafetensorsFile
  ) throws {
    let floats = try floats(prefix + buffer.name, [buffer.count], file)
    (store.running.pointer + buffer.offset).update(from: floats, count: buffer.count)
  }

  private static func checkShape(_ name: String, _ shape: [Int], _ file: SafetensorsFile) throws {
    let found = try file.shape(name)
    guard found == shape else {
      throw ModelFileError(description: "\(file.path): tensor \(name) has shape \(found), the model's has \(shape)")
    }
  }

  // MARK: - In memory

  /// A tensor where training keeps it, under its name in files.
  struct InMemory {
    let name: String
    let start: UnsafePointer<Float>
    let count: Int
    /// Whether each rank has its own.
    var isPerRank = false
  }

  /// Parameters and running statistics of the networks, then the queue.
  static func inMemory(_ method: Siamese) -> [InMemory] {
    var tensors: [InMemory] = []
    for (prefix, store) in method.networks {
      tensors += inMemory(store.parameters, store.values.pointer, prefix)
      tensors += store.buffers.map {
        InMemory(
          name: prefix + $0.name, start: store.running.pointer + $0.offset, count: $0.count, isPerRank: $0.isPerRank)
      }
    }
    if let queue = method.queue {
      tensors.append(InMemory(name: queueName, start: queue.keys.pointer, count: queue.keys.count))
    }
    return tensors
  }

  /// The optimizer's velocity.
  static func inMemory(_ optimizer: Optimizer, of method: Siamese) -> [InMemory] {
    inMemory(method.online.parameters, optimizer.velocity.pointer, velocityPrefix)
  }

  private static func inMemory(
    _ parameters: [Parameter], _ flat: UnsafePointer<Float>, _ prefix: String
  ) -> [InMemory] {
    parameters.map { InMemory(name: prefix + $0.name, start: flat + $0.offset, count: $0.count) }
  }

  static let velocityPrefix = "velocity.online."

  // MARK: - The queue

  /// The queue's keys, [keys x dimensions], the way messages and files name them.
  static let queueName = "queue.keys"
  private static let queueNextName = "queue.next"

  /// Adds the queue, where the method has one, and where in it the next keys go.
  static func addQueue(_ method: Siamese, to writer: inout SafetensorsWriter) {
    guard let queue = method.queue else { return }
    writer.add(queueName, shape: [queue.count, queue.dimensions], floats: queue.keys.pointer)
    writer.add(queueNextName, shape: [], values: [Int64(queue.next)])
  }

  /// - Throws: `FileError` or `ModelFileError` naming the tensor.
  static func readQueue(_ method: Siamese, from file: SafetensorsFile) throws {
    guard let queue = method.queue else { return }
    try checkShape(queueName, [queue.count, queue.dimensions], file)
    try file.read(queueName, into: queue.keys.floats)
    try checkFinite(UnsafeBufferPointer(queue.keys.floats), queueName, file)
    let next = Int(try file.integers(queueNextName).first ?? 0)
    guard (0..<queue.count).contains(next) else {
      throw ModelFileError(
        description: "\(file.path): tensor \(queueNextName) is \(next), the queue has \(queue.count) keys")
    }
    queue.restore(next: next)
  }
}
