import Foundation

/// Takes a file's bytes in order and keeps their stamp.
public struct FileSink {
  fileprivate let file: OpenFile
  public private(set) var stamp = FileStamp()

  /// - Throws: `FileError`, for one when the disk is full.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    try file.write(bytes)
    stamp.append(bytes)
  }

  public mutating func write(_ text: String) throws {
    var text = text
    try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
  }
}

/// Files that are there whole or not at all: written under a temporary name in the same directory, flushed to the
/// disk, renamed, the directory flushed as well.
public enum AtomicFile {
  /// - Parameter body: writes the contents; when it throws, `path` stays as it was and nothing else is left.
  /// - Returns: length and checksum of what was written.
  @discardableResult
  public static func write(to path: String, _ body: (inout FileSink) throws -> Void) throws -> FileStamp {
    let temporary = temporaryName(for: path)
    do {
      let stamp = try writeSynced(temporary, action: "create", body)
      guard rename(temporary, path) == 0 else { throw FileError(path, cannot: "put in place", code: errno) }
      try syncDirectory(parent(of: path))
      return stamp
    } catch {
      unlink(temporary)
      throw renamed(error, from: temporary, to: path)
    }
  }

  @discardableResult
  public static func write(_ text: String, to path: String) throws -> FileStamp {
    try write(to: path) { try $0.write(text) }
  }

  /// Writes a file of a directory that is itself made atomically: flushed, but under its own name at once.
  public static func writeSynced(
    _ path: String, action: String = "create", _ body: (inout FileSink) throws -> Void
  ) throws -> FileStamp {
    var sink = FileSink(file: try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, action: action))
    try body(&sink)
    try sink.file.sync()
    return sink.stamp
  }

  /// The directory of `path`; "." for a bare name.
  static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  static func lastPart(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }

  static let temporaryMark = ".partial-"

  static func temporaryName(for path: String) -> String {
    "\(parent(of: path))/.\(lastPart(of: path))\(temporaryMark)\(getpid())"
  }

  /// Whether a directory's entry is what a killed writer left.
  public static func isTemporary(_ name: String) -> Bool { name.hasPrefix(".") && name.contains(temporaryMark) }

  /// Makes names in a directory durable. Some network file systems refuse to flush directories; they need not.
  static func syncDirectory(_ path: String) throws {
    let directory = try OpenFile(path, O_RDONLY | O_DIRECTORY, action: "open")
    guard fsync(directory.descriptor) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS else {
      throw FileError(path, cannot: "write to the disk", code: errno)
    }
  }

  /// The same error with the name that the user knows instead of the temporary one.
  static func renamed(_ error: any Error, from temporary: String, to path: String) -> any Error {
    guard let error = error as? FileError, error.path.hasPrefix(temporary) else { return error }
    let name = path + error.path.dropFirst(temporary.count)
    return FileError(name, reason: error.reason, code: error.code)
  }
}

/// Directories that are there complete or not at all.
public enum AtomicDirectory {
  /// - Parameter body: fills the directory whose path it is given, flushing what it writes
  ///   (`AtomicFile.writeSynced`); when it throws, `path` stays as it was and nothing else is left.
  ///
  /// A directory that is already there is replaced; a crash at the worst moment leaves it under a temporary name,
  /// which `recover` puts back.
  public static func write(to path: String, _ body: (String) throws -> Void) throws {
    let temporary = AtomicFile.temporaryName(for: path)
    let aside = asideName(for: path)
    do {
      try? remove(temporary)
      try create(temporary)
      try body(temporary)
      try AtomicFile.syncDirectory(temporary)
      if exists(path) {
        try? remove(aside)
        guard rename(path, aside) == 0 else { throw FileError(path, cannot: "replace", code: errno) }
      }
      guard rename(temporary, path) == 0 else {
        let code = errno
        rename(aside, path)
        throw FileError(path, cannot: "put in place", code: code)
      }
      try AtomicFile.syncDirectory(AtomicFile.parent(of: path))
    } catch {
      try? remove(temporary)
      throw AtomicFile.renamed(error, from: temporary, to: path)
    }
    try? remove(aside)
  }

  /// Cleans a directory of what killed writers left; only for its one writer.
  /// - Postcondition: no temporary names; an entry that was being replaced is there, as it was or new.
  public static func recover(in directory: String) throws {
    for name in try entries(of: directory) {
      let path = directory + "/" + name
      if name.hasPrefix("."), name.hasSuffix(asideMark) {
        let original = directory + "/" + name.dropFirst().dropLast(asideMark.count)
        if exists(original) {
          try remove(path)
        } else if rename(path, original) != 0 {
          throw FileError(original, cannot: "put back", code: errno)
        }
      } else if AtomicFile.isTemporary(name) {
        try remove(path)
      }
    }
  }

  private static let asideMark = ".replaced"

  private static func asideName(for path: String) -> String {
    "\(AtomicFile.parent(of: path))/.\(AtomicFile.lastPart(of: path))\(asideMark)"
  }

  // MARK: - What the file system can do, with errors that name the path

  public static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  public static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes a directory and those above it; one that is there is fine.
  public static func create(_ path: String) throws {
    if isDirectory(path) { return }
    let parent = AtomicFile.parent(of: path)
    if parent != path, !isDirectory(parent) { try create(parent) }
    if mkdir(path, 0o755) != 0, errno != EEXIST || !isDirectory(path) {
      throw FileError(path, cannot: "make this directory", code: errno)
    }
  }

  /// The names in a directory but "." and "..", sorted.
  public static func entries(of path: String) throws -> [String] {
    guard let directory = opendir(path) else { throw FileError(path, cannot: "list", code: errno) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Removes a file or a directory with all that is in it.
  public static func remove(_ path: String) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw FileError(path, cannot: "remove", code: errno) }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in try entries(of: path) { try remove(path + "/" + name) }
      guard rmdir(path) == 0 else { throw FileError(path, cannot: "remove", code: errno) }
    } else {
      guard unlink(path) == 0 else { throw FileError(path, cannot: "remove", code: errno) }
    }
  }
}
