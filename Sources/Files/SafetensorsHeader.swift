/// The checks that make a header trustworthy: after them every tensor lies inside the file, on its own, and is as
/// long as its shape says.
enum SafetensorsHeader {
  typealias Entry = SafetensorsFile.Entry

  /// - Parameters:
  ///   - header: the parsed JSON.
  ///   - data: the file's bytes that follow the header.
  static func read(_ header: JSON, path: String, data: Range<Int>) throws -> ([String: Entry], [String: String]) {
    guard let members = header.members else { throw FileError(path, "bad safetensors header: not a JSON object") }
    var tensors: [String: Entry] = [:]
    var metadata: [String: String] = [:]
    for member in members {
      if member.key == "__metadata__" {
        guard let texts = member.value.members else { throw FileError(path, "__metadata__ is not an object") }
        for text in texts {
          guard let value = text.value.string else {
            throw FileError(path, "__metadata__'s \(JSON.quoted(text.key)) is not a string")
          }
          metadata[text.key] = value
        }
      } else {
        do { tensors[member.key] = try entry(member.value, data: data) } catch let fault as Fault {
          throw FileError(path, "tensor \(JSON.quoted(member.key)) \(fault.reason)")
        }
      }
    }
    try checkCover(tensors, path: path, data: data)
    return (tensors, metadata)
  }

  private struct Fault: Error { let reason: String }

  private static func entry(_ json: JSON, data: Range<Int>) throws -> Entry {
    guard let members = json.members else { throw Fault(reason: "is not described by an object") }
    for member in members where !["dtype", "shape", "data_offsets"].contains(member.key) {
      throw Fault(reason: "has an unknown member \(JSON.quoted(member.key))")
    }
    guard let name = json["dtype"]?.string else { throw Fault(reason: "has no dtype") }
    let type = TensorType(rawValue: name)
    guard let shape = naturals(json["shape"]) else { throw Fault(reason: "has no shape of whole numbers") }
    guard let offsets = naturals(json["data_offsets"]), offsets.count == 2, offsets[0] <= offsets[1] else {
      throw Fault(reason: "has no data_offsets of a beginning and an end")
    }
    guard offsets[1] <= data.count else {
      throw Fault(reason: "ends at byte \(offsets[1]) of the data, where the file has \(data.count): cut short?")
    }
    // Of an unknown type only the elements can be counted.
    var bytes = type?.width ?? 1
    for extent in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw Fault(reason: "has a shape \(shape) beyond all memory") }
      bytes = product
    }
    guard type == nil || bytes == offsets[1] - offsets[0] else {
      throw Fault(reason: "of type \(name) and shape \(shape) needs \(bytes) bytes, not \(offsets[1] - offsets[0])")
    }
    return Entry(
      type: type, typeName: name, shape: shape, bytes: data.lowerBound + offsets[0]..<data.lowerBound + offsets[1])
  }

  private static func naturals(_ json: JSON?) -> [Int]? {
    guard let elements = json?.array else { return nil }
    let numbers = elements.compactMap { $0.int }.filter { $0 >= 0 }
    return numbers.count == elements.count ? numbers : nil
  }

  /// Every byte of the data belongs to exactly one tensor.
  private static func checkCover(_ tensors: [String: Entry], path: String, data: Range<Int>) throws {
    var end = data.lowerBound
    let inOrder = tensors.sorted {
      ($0.value.bytes.lowerBound, $0.value.bytes.upperBound, $0.key)
        < ($1.value.bytes.lowerBound, $1.value.bytes.upperBound, $1.key)
    }
    for (name, entry) in inOrder {
      guard entry.bytes.lowerBound >= end else {
        throw FileError(path, "tensor \(JSON.quoted(name)) overlaps the one before it")
      }
      guard entry.bytes.lowerBound == end else {
        throw FileError(
          path, "\(entry.bytes.lowerBound - end) bytes before tensor \(JSON.quoted(name)) belong to no tensor")
      }
      end = entry.bytes.upperBound
    }
    guard end == data.upperBound else {
      throw FileError(path, "the last \(data.upperBound - end) bytes belong to no tensor")
    }
  }
}
