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

  static func temporaryName(for path: String) -> String {
    "\(parent(of: path))/\(Leftover.partialName(of: lastPart(of: path), process: getpid()))"
  }

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
  /// - Parameter owns: whether the writer makes entries of this name.
  /// - Postcondition: no temporary names of such entries; one that was being replaced is there, as it was or new. Other
  ///   entries are as they were.
  public static func recover(in directory: String, owns: (String) -> Bool) throws {
    for name in try entries(of: directory) {
      guard let leftover = Leftover(name), owns(leftover.name) else { continue }
      let (path, original) = (directory + "/" + name, directory + "/" + leftover.name)
      if leftover.kind == .replaced, !exists(original) {
        guard rename(path, original) == 0 else { throw FileError(original, cannot: "put back", code: errno) }
      } else {
        try remove(path)
      }
    }
  }

  private static func asideName(for path: String) -> String {
    "\(AtomicFile.parent(of: path))/\(Leftover.replacedName(of: AtomicFile.lastPart(of: path)))"
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
  /// - Returns: those that were made, the outermost first. When it throws, none is left.
  @discardableResult
  public static func create(_ path: String) throws -> [String] {
    if isDirectory(path) { return [] }
    let parent = AtomicFile.parent(of: path)
    let made = parent != path && !isDirectory(parent) ? try create(parent) : []
    if mkdir(path, 0o755) == 0 { return made + [path] }
    let code = errno
    if code == EEXIST, isDirectory(path) { return made }
    removeEmpty(made)
    throw FileError(path, cannot: "make this directory", code: code)
  }

  /// Makes a directory in one that is there.
  /// - Returns: false where the name is taken.
  public static func createExclusively(_ path: String) throws -> Bool {
    if mkdir(path, 0o755) == 0 { return true }
    guard errno == EEXIST else { throw FileError(path, cannot: "make this directory", code: errno) }
    return false
  }

  /// Removes directories that were made in vain, the last first; those in which something is by now stay.
  public static func removeEmpty(_ made: [String]) { for path in made.reversed() { rmdir(path) } }

  /// The names in a directory but "." and "..", sorted. Names are bytes: what is not UTF-8 in one is U+FFFD here, which
  /// can be shown and does not lead back to its file.
  public static func entries(of path: String) throws -> [String] {
    try rawEntries(of: Array(path.utf8CString), shown: path).map { name in
      name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }.sorted()
  }

  /// Removes a file or a directory with all that is in it.
  public static func remove(_ path: String) throws {
    try removeRaw(Array(path.utf8CString), shown: path)
  }

  // MARK: - Names as bytes that end with a zero

  private static func rawEntries(of path: [CChar], shown: String) throws -> [[CChar]] {
    guard let directory = opendir(path) else { throw FileError(shown, cannot: "list", code: errno) }
    defer { closedir(directory) }
    var names: [[CChar]] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) {
          Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
        }
      }
      let dot = CChar(bitPattern: UInt8(ascii: "."))
      if name != [dot, 0], name != [dot, dot, 0] { names.append(name) }
    }
    return names
  }

  private static func removeRaw(_ path: [CChar], shown: String) throws {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw FileError(shown, cannot: "remove", code: errno) }
    guard FileKind(mode: status.st_mode) == .directory else {
      guard unlink(path) == 0 else { throw FileError(shown, cannot: "remove", code: errno) }
      return
    }
    for name in try rawEntries(of: path, shown: shown) {
      let child = path.dropLast() + [CChar(bitPattern: UInt8(ascii: "/"))] + name
      try removeRaw(
        Array(child), shown: shown + "/" + name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
    }
    guard rmdir(path) == 0 else { throw FileError(shown, cannot: "remove", code: errno) }
  }
}
