import Files

/// Files of records of one length, one after the other as if they were one file. Records are read when they are asked for:
/// a data set may be larger than memory, and every rank would hold it. Nothing is mapped: a file that somebody cuts short
/// meanwhile is an error of the record that it lacks, where a mapping would end the process.
struct RecordFiles: Sendable {
  let recordBytes: Int
  /// Records of all files.
  let count: Int
  private let files: [OpenFile]
  /// The index of each file's first record.
  private let firsts: [Int]

  /// - Parameter check: called for each file with its size, before the next is opened.
  /// - Throws: `FileError` for a file that cannot be opened; what `check` throws.
  init(_ paths: [String], recordBytes: Int, check: (OpenFile, Int) throws -> Void) throws {
    precondition(!paths.isEmpty, "a data set of no file")
    var files: [OpenFile] = []
    var firsts: [Int] = []
    var total = 0
    for path in paths {
      let file = try OpenFile(reading: path)
      let bytes = try file.size()
      try check(file, bytes)
      files.append(file)
      firsts.append(total)
      total += bytes / recordBytes
    }
    (self.recordBytes, self.files, self.firsts) = (recordBytes, files, firsts)
    count = total
  }

  /// Records of the first file.
  var countOfFirst: Int { firsts.count > 1 ? firsts[1] : count }

  /// Reads a record, for as long as `body` runs.
  /// - Throws: `FileError`.
  func withRecord(_ index: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws {
    precondition(index >= 0 && index < count, "record \(index) of \(count)")
    var place = firsts.count - 1
    while firsts[place] > index { place -= 1 }
    let offset = (index - firsts[place]) * recordBytes
    try withUnsafeTemporaryAllocation(byteCount: recordBytes, alignment: 64) { record in
      try files[place].read(at: offset, into: record)
      body(UnsafeRawBufferPointer(record))
    }
  }
}
