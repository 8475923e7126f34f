import Files

/// What a folder holds before anything in it is touched: only what is known to be this program's, or nothing, may be.
package enum RunFolder: Equatable {
  case absent
  /// There, with nothing but what killed writers left.
  case empty
  /// A run or a study: its record, `config.json` or `study.json`.
  case ours(record: JSON)

  /// The kind of thing that a folder is asked to be.
  package struct Kind: Sendable {
    /// What messages call it.
    package let name: String
    package let record: String
    /// The files that are written atomically, and so may be left half-written.
    package let files: [String]
    /// What else a writer puts there, which alone does not make the folder anyone's else.
    package let parts: [String]
    /// Whether a record is one that this program wrote.
    package let isOwn: @Sendable (JSON) -> Bool

    package init(
      name: String, record: String, files: [String], parts: [String], isOwn: @escaping @Sendable (JSON) -> Bool
    ) {
      self.name = name
      self.record = record
      self.files = files
      self.parts = parts
      self.isOwn = isOwn
    }
  }

  /// Looks at a folder and changes nothing.
  /// - Throws: `RunDirectoryError` for a folder of something else; `FileError` for one that cannot be read.
  package init(_ path: String, as kind: Kind) throws {
    guard !path.utf8.contains(0) else {
      throw RunDirectoryError("\(JSON.quoted(path)): is no path: it holds a zero byte")
    }
    guard let found = FileKind.of(path) else {
      // A link that leads nowhere is not absent: nothing can be made in its place.
      guard !AtomicDirectory.exists(path) else {
        throw RunDirectoryError("\(path): is a symbolic link that leads nowhere; should be a directory or absent")
      }
      self = .absent
      return
    }
    guard found == .directory else {
      throw RunDirectoryError("\(path): is \(found.rawValue); should be a directory or absent")
    }
    let entries = try AtomicDirectory.entries(of: path)
    if entries.contains(kind.record) {
      self = .ours(record: try Self.readRecord(path + "/" + kind.record, kind))
      return
    }
    let others = entries.filter { !Self.isLeftover($0, in: path, kind) }
    if let part = kind.parts.first(where: others.contains) {
      throw RunDirectoryError("\(path): has \(part) but no \(kind.record); choose another --out")
    }
    guard others.isEmpty else {
      let names = others.prefix(2).map { shown($0) }.joined(separator: " and ")
      let rest = others.count > 2 ? " and \(others.count - 2) more" : ""
      throw RunDirectoryError(
        "\(path): is no \(kind.name)'s directory: it holds \(names)\(rest); should be a \(kind.name)'s, empty or "
          + "absent; choose another --out")
    }
    self = .empty
  }

  private static func readRecord(_ path: String, _ kind: Kind) throws -> JSON {
    let advice = "it is left as it is; choose another --out"
    let record: JSON
    do { record = try JSON.read(path) } catch let error as FileError {
      throw FileError(path, reason: "\(error.reason); \(advice)", code: error.code)
    }
    guard record.members != nil, kind.isOwn(record) else {
      throw RunDirectoryError("\(path): is not of a \(kind.name) of this program; \(advice)")
    }
    return record
  }

  /// Whether a killed writer left the entry: by its exact name, and of the right kind.
  private static func isLeftover(_ entry: String, in path: String, _ kind: Kind) -> Bool {
    if entry == RunLock.name { return RunLock.isOwn(path + "/" + entry) }
    guard let leftover = Leftover(entry), leftover.kind == .partial else { return false }
    return kind.files.contains(leftover.name) && FileKind.of(path + "/" + entry, followingLinks: false) == .regular
  }
}
