/// Reads a file of lines in order, in chunks: memory stays bounded however long the file is and its lines are.
public struct LineReader {
  public struct Line {
    /// From 1.
    public let number: Int
    /// Its bytes in the file, the newline included.
    public let range: Range<Int>
    /// Without the newline; nil for a line of more than `longest` bytes, which is not kept.
    public let text: [UInt8]?
    /// False for a last line that a newline does not end.
    public let isEnded: Bool
  }

  /// Bytes of the longest line that is kept: a thousand times what a line of metrics has.
  public static let longest = 1 << 20

  private let file: OpenFile
  /// Bytes of the file when it was opened: what is written meanwhile is not read.
  private let size: Int
  private var chunk = [UInt8](repeating: 0, count: 1 << 16)
  private var place = 0
  private var filled = 0
  /// Bytes of the file before the chunk's end.
  private var offset = 0
  private var number = 0

  /// - Parameter file: open for reading.
  /// - Throws: `FileError`.
  public init(_ file: OpenFile) throws {
    self.file = file
    size = try file.size()
  }

  /// - Returns: nil at the end.
  /// - Throws: `FileError`.
  public mutating func next() throws -> Line? {
    let start = offset - (filled - place)
    var text: [UInt8]? = []
    while true {
      if place == filled {
        guard try fill() else { break }
      }
      let newline = chunk[place..<filled].firstIndex(of: UInt8(ascii: "\n"))
      let part = place..<(newline ?? filled)
      if let kept = text?.count {
        if kept + part.count <= Self.longest { text?.append(contentsOf: chunk[part]) } else { text = nil }
      }
      place = newline.map { $0 + 1 } ?? filled
      if newline != nil { return line(from: start, text, isEnded: true) }
    }
    return offset > start ? line(from: start, text, isEnded: false) : nil
  }

  private mutating func line(from start: Int, _ text: [UInt8]?, isEnded: Bool) -> Line {
    number += 1
    return Line(number: number, range: start..<offset - (filled - place), text: text, isEnded: isEnded)
  }

  private mutating func fill() throws -> Bool {
    let count = min(chunk.count, size - offset)
    guard count > 0 else { return false }
    try chunk.withUnsafeMutableBytes { bytes in
      try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]))
    }
    (place, filled, offset) = (0, count, offset + count)
    return true
  }
}
