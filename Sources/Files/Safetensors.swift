import Foundation

/// What a tensor's elements are, by safetensors' names.
public enum TensorType: String, Sendable, CaseIterable {
  case bool = "BOOL"
  case uint8 = "U8"
  case int8 = "I8"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float = "F32"
  case double = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  /// Bytes of one element.
  public var width: Int {
    switch self {
    case .bool, .uint8, .int8: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float: 4
    case .double, .int64, .uint64: 8
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .float16, .bfloat16, .float, .double: true
    default: false
    }
  }
}

/// A safetensors file open for reading: the header is checked whole at once, the tensors are read when asked for.
///
/// Tensors are read by `pread` rather than through a mapping, so that a file that shrinks meanwhile throws instead of
/// killing the process. Format: https://github.com/huggingface/safetensors (8 bytes little-endian header length, a
/// JSON header, the tensors without gaps).
public final class SafetensorsFile: Sendable {
  public struct Entry: Sendable, Equatable {
    /// Nil for a type whose elements cannot be read here, such as 8-bit floats; its bytes are there all the same.
    public let type: TensorType?
    /// The type by its name in the file.
    public let typeName: String
    /// Row-major; empty for a scalar.
    public let shape: [Int]
    /// Bytes from the beginning of the file.
    public let bytes: Range<Int>
    /// Elements.
    public var count: Int { shape.reduce(1, *) }
  }

  public let path: String
  public let tensors: [String: Entry]
  /// The free text members of `__metadata__`.
  public let metadata: [String: String]
  private let file: OpenFile

  /// Sorted.
  public var names: [String] { tensors.keys.sorted() }

  /// - Throws: `FileError` that names the file and, where one is at fault, the tensor.
  public init(path: String) throws {
    let file = try OpenFile(reading: path)
    let size = try file.size()
    guard size >= 8 else { throw FileError(path, "is no safetensors file: only \(size) bytes") }
    var length: UInt64 = 0
    try withUnsafeMutableBytes(of: &length) { try file.read(at: 0, into: $0) }
    length = UInt64(littleEndian: length)
    guard length >= 2, length <= 100_000_000 else {
      throw FileError(path, "is no safetensors file: a header of \(length) bytes")
    }
    guard length <= size - 8 else {
      throw FileError(path, "is cut short: a header of \(length) bytes in a file of \(size) bytes")
    }
    var text = [UInt8](repeating: 0, count: Int(length))
    try text.withUnsafeMutableBytes { try file.read(at: 8, into: $0) }
    guard text[0] == UInt8(ascii: "{") else { throw FileError(path, "is no safetensors file: no JSON header") }
    let header: JSON
    do { header = try JSON.parse(text) } catch { throw FileError(path, "bad safetensors header: \(error)") }
    (tensors, metadata) = try SafetensorsHeader.read(header, path: path, data: 8 + Int(length)..<size)
    self.path = path
    self.file = file
  }

  /// - Throws: `FileError` if there is no such tensor.
  public func entry(_ name: String) throws -> Entry {
    guard let entry = tensors[name] else { throw FileError(path, "has no tensor \(JSON.quoted(name))") }
    return entry
  }

  /// - Throws: `FileError` if there is no such tensor.
  public func shape(_ name: String) throws -> [Int] { try entry(name).shape }

  /// The elements as floats, whatever number type they have; F64 and wide integers are rounded.
  public func floats(_ name: String) throws -> [Float] {
    let count = try readable(name).entry.count
    var result = [Float](repeating: 0, count: count)
    try result.withUnsafeMutableBufferPointer { try read(name, into: $0) }
    return result
  }

  /// As `floats`, into memory of the caller's; F32 without a copy between.
  /// - Throws: `FileError` if there is no such tensor or its element count is not `target.count`.
  public func read(_ name: String, into target: UnsafeMutableBufferPointer<Float>) throws {
    let (entry, type) = try readable(name)
    guard entry.count == target.count else {
      throw FileError(
        path, "tensor \(JSON.quoted(name)) of shape \(entry.shape) has \(entry.count) elements, not \(target.count)")
    }
    if type == .float {
      try file.read(at: entry.bytes.lowerBound, into: UnsafeMutableRawBufferPointer(target))
    } else {
      let bytes = try self.bytes(entry)
      for i in 0..<target.count { target[i] = bytes.float(i, type) }
    }
  }

  /// The elements as doubles, whatever number type they have.
  public func doubles(_ name: String) throws -> [Double] {
    let (entry, type) = try readable(name)
    let bytes = try self.bytes(entry)
    return (0..<entry.count).map { bytes.double($0, type) }
  }

  /// The elements of an integer or boolean tensor.
  /// - Throws: `FileError` also for floating-point types and for U64 elements beyond Int64.
  public func integers(_ name: String) throws -> [Int64] {
    let (entry, type) = try readable(name)
    guard !type.isFloatingPoint else {
      throw FileError(path, "tensor \(JSON.quoted(name)) is of type \(entry.typeName), not of an integer type")
    }
    let bytes = try self.bytes(entry)
    return try (0..<entry.count).map { index in
      guard let value = Int64(exactly: bytes.integer(index, type)) else {
        throw FileError(path, "tensor \(JSON.quoted(name)) has an element beyond 64-bit signed integers")
      }
      return value
    }
  }

  /// The elements of a U64 tensor.
  public func unsignedIntegers(_ name: String) throws -> [UInt64] {
    let entry = try entry(name)
    guard entry.type == .uint64 else {
      throw FileError(path, "tensor \(JSON.quoted(name)) is of type \(entry.typeName), not U64")
    }
    let bytes = try self.bytes(entry)
    return (0..<entry.count).map { bytes.load($0, as: UInt64.self) }
  }

  /// A tensor whose elements can be read.
  private func readable(_ name: String) throws -> (entry: Entry, type: TensorType) {
    let entry = try entry(name)
    guard let type = entry.type else {
      throw FileError(
        path,
        "tensor \(JSON.quoted(name)) is of type \(shownType(entry)), which cannot be read; should be one of "
          + TensorType.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return (entry, type)
  }

  private func shownType(_ entry: Entry) -> String {
    entry.typeName.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
      ? entry.typeName : JSON.quoted(entry.typeName)
  }

  /// The first tensor of 32-bit floats, by name, with an element that is NaN or infinite. Reads in chunks.
  /// - Throws: `FileError`.
  public func firstNotFinite() throws -> String? {
    var chunk = [UInt32](repeating: 0, count: 1 << 18)
    return try names.first { name in
      guard let entry = tensors[name], entry.type == .float else { return false }
      var place = entry.bytes.lowerBound
      while place < entry.bytes.upperBound {
        let count = min(chunk.count, (entry.bytes.upperBound - place) / 4)
        try chunk.withUnsafeMutableBytes {
          try file.read(at: place, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<(4 * count)]))
        }
        // All ones in the exponent.
        if chunk[..<count].contains(where: { UInt32(littleEndian: $0) & 0x7F80_0000 == 0x7F80_0000 }) { return true }
        place += 4 * count
      }
      return false
    }
  }

  private func bytes(_ entry: Entry) throws -> TensorBytes {
    var bytes = [UInt8](repeating: 0, count: entry.bytes.count)
    try bytes.withUnsafeMutableBytes { try file.read(at: entry.bytes.lowerBound, into: $0) }
    return TensorBytes(bytes: bytes)
  }
}

/// A tensor's bytes as the file has them; the conversions of single elements.
private struct TensorBytes {
  let bytes: [UInt8]

  func load<Word: FixedWidthInteger>(_ index: Int, as: Word.Type) -> Word {
    Word(
      littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index * Word.bitWidth / 8, as: Word.self) }
    )
  }

  func integer(_ index: Int, _ type: TensorType) -> Int128 {
    switch type {
    case .bool: bytes[index] == 0 ? 0 : 1
    case .uint8: Int128(bytes[index])
    case .int8: Int128(load(index, as: Int8.self))
    case .int16: Int128(load(index, as: Int16.self))
    case .uint16: Int128(load(index, as: UInt16.self))
    case .int32: Int128(load(index, as: Int32.self))
    case .uint32: Int128(load(index, as: UInt32.self))
    case .int64: Int128(load(index, as: Int64.self))
    case .uint64: Int128(load(index, as: UInt64.self))
    case .float16, .bfloat16, .float, .double: preconditionFailure("\(type) is no integer type")
    }
  }

  func double(_ index: Int, _ type: TensorType) -> Double {
    switch type {
    case .float16: Double(Float16(bitPattern: load(index, as: UInt16.self)))
    case .bfloat16: Double(Float(bitPattern: UInt32(load(index, as: UInt16.self)) << 16))
    case .float: Double(Float(bitPattern: load(index, as: UInt32.self)))
    case .double: Double(bitPattern: load(index, as: UInt64.self))
    default: Double(integer(index, type))
    }
  }

  func float(_ index: Int, _ type: TensorType) -> Float {
    type.isFloatingPoint ? Float(double(index, type)) : Float(integer(index, type))
  }
}
