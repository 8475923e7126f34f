/// Collects the names, shapes and sources of tensors and then writes them one by one, so that a model is never
/// copied whole.
///
/// The bytes depend on the tensors alone, not on the order of `add`: wide types first (which keeps every tensor
/// aligned), then by name; the header padded with spaces to a multiple of 8 bytes.
public struct SafetensorsWriter {
  /// Hands a tensor's bytes to the function it is given, in order, in as many parts as it likes.
  public typealias Source = (_ put: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  private struct Tensor {
    let name: String
    let type: TensorType
    let shape: [Int]
    let source: Source
    var bytes: Int { shape.reduce(type.width, *) }
  }

  private var tensors: [Tensor] = []
  private var metadata: [String: String]

  public init(metadata: [String: String] = [:]) { self.metadata = metadata }

  /// Any tensor: `source` is called once, when the file is written, and gives `shape`'s count of elements.
  public mutating func add(_ name: String, type: TensorType, shape: [Int], source: @escaping Source) {
    precondition(shape.allSatisfy { $0 >= 0 }, "tensor \(name) has a shape \(shape)")
    precondition(name != "__metadata__", "a tensor cannot be called __metadata__")
    tensors.append(Tensor(name: name, type: type, shape: shape, source: source))
  }

  /// Floats in memory that stays valid and unchanged until the file is written.
  public mutating func add(_ name: String, shape: [Int], floats: UnsafePointer<Float>) {
    let bytes = UnsafeRawBufferPointer(start: floats, count: shape.reduce(4, *))
    add(name, type: .float, shape: shape) { put in try put(bytes) }
  }

  /// Floats that are made when their turn comes, for example weights in another layout: `fill` gets `shape`'s count
  /// of zeros to write to.
  public mutating func add(
    _ name: String, shape: [Int], fill: @escaping (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) {
    add(name, type: .float, shape: shape) { put in
      var floats = [Float](repeating: 0, count: shape.reduce(1, *))
      try floats.withUnsafeMutableBufferPointer { try fill($0) }
      try floats.withUnsafeBytes { try put($0) }
    }
  }

  /// - Parameter shape: one dimension of all the values unless said.
  public mutating func add(_ name: String, shape: [Int]? = nil, values: [Float]) {
    add(name, .float, shape, values)
  }
  public mutating func add(_ name: String, shape: [Int]? = nil, values: [Double]) {
    add(name, .double, shape, values)
  }
  public mutating func add(_ name: String, shape: [Int]? = nil, values: [Int64]) {
    add(name, .int64, shape, values)
  }
  public mutating func add(_ name: String, shape: [Int]? = nil, values: [UInt64]) {
    add(name, .uint64, shape, values)
  }

  private mutating func add<Element>(_ name: String, _ type: TensorType, _ shape: [Int]?, _ values: [Element]) {
    let shape = shape ?? [values.count]
    precondition(shape.reduce(1, *) == values.count, "tensor \(name): \(values.count) values for shape \(shape)")
    add(name, type: type, shape: shape) { put in try values.withUnsafeBytes { try put($0) } }
  }

  /// Writes the file completely or not at all.
  /// - Throws: `FileError`, also when a name is there twice or a source gives another count of bytes than its shape.
  @discardableResult
  public func write(to path: String) throws -> FileStamp {
    try AtomicFile.write(to: path) { try write(to: &$0, path: path) }
  }

  /// Writes the file's bytes to a sink.
  /// - Parameter path: for the errors' text.
  public func write(to sink: inout FileSink, path: String) throws {
    let ordered = tensors.sorted { ($1.type.width, $0.name) < ($0.type.width, $1.name) }
    let header = try header(ordered, path: path)
    try withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { try sink.write($0) }
    try sink.write(header)
    for tensor in ordered {
      let start = sink.stamp.bytes
      try tensor.source { try sink.write($0) }
      let written = sink.stamp.bytes - start
      guard written == tensor.bytes else {
        throw FileError(
          path, "tensor \(JSON.quoted(tensor.name)) of shape \(tensor.shape) got \(written) bytes, not \(tensor.bytes)")
      }
    }
  }

  private func header(_ ordered: [Tensor], path: String) throws -> String {
    var names: Set<String> = []
    var members: [JSON.Member] = []
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }
      members.append(JSON.Member("__metadata__", .object(texts)))
    }
    var offset = 0
    for tensor in ordered {
      guard names.insert(tensor.name).inserted else {
        throw FileError(path, "two tensors are called \(JSON.quoted(tensor.name))")
      }
      let entry: JSON = [
        "dtype": .string(tensor.type.rawValue), "shape": .array(tensor.shape.map { JSON($0) }),
        "data_offsets": [JSON(offset), JSON(offset + tensor.bytes)],
      ]
      members.append(JSON.Member(tensor.name, entry))
      offset += tensor.bytes
    }
    let text = JSON.object(members).description
    return text + String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
  }
}
