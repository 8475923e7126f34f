import Files
import Foundation

/// Finds out what is at the path that `--data` names, and what it is where it is no data set that can be read.
enum DatasetRecognition {
  private static let right = "a folder of CIFAR-10's or STL-10's binary files, or shapes"

  static func open(_ data: String, limit: Int?) throws -> DatasetSplits {
    let names = try entries(of: data)
    let formats = [
      (name: "CIFAR-10", isThere: CIFAR10.recognises(names), open: CIFAR10.open),
      (name: "STL-10", isThere: STL10.recognises(names), open: STL10.open),
    ].filter(\.isThere)
    if formats.count > 1 {
      throw ImageError.mistaken(
        path: data, found: "holds files of both \(formats[0].name) and \(formats[1].name)",
        right: "a folder for each of the two")
    }
    guard let format = formats.first else { throw mistake(at: data, names) }
    if let other = beside(names) {
      throw ImageError.mistaken(
        path: data, found: "holds files of both \(format.name) and \(other)", right: "a folder for each of the two")
    }
    var splits = try format.open(data, names, limit)
    splits.notes += unused(names, of: format.name).map { "\(data): \($0)" }
    return splits
  }

  /// A data set that is known, not read by this version, and in a folder with one that is.
  private static func beside(_ names: [String]) -> String? {
    if names.contains("train.bin"), names.contains("test.bin") { return "CIFAR-100" }
    return names.contains { $0.hasSuffix("-ubyte") } ? "MNIST's kind" : nil
  }

  // MARK: - Names that only look like a format's

  /// Lines about binary files that are not the format's own.
  private static func unused(_ names: [String], of format: String) -> [String] {
    let own = CIFAR10.trainFiles + [CIFAR10.testFile] + STL10.required + [STL10.unlabelled]
    let others = names.filter { $0.lowercased().hasSuffix(".bin") && !own.contains($0) && $0 != "fold_indices.txt" }
    guard !others.isEmpty else { return [] }
    return ["not used, since they are none of \(format)'s files: \(list(others))"]
  }

  static func list(_ names: [String]) -> String {
    names.prefix(4).map(shownName).joined(separator: ", ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
  }

  /// A file's name as it may stand in a line.
  private static func shownName(_ name: String) -> String {
    name.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) } ? name : JSON.quoted(name)
  }

  // MARK: - What is at a path

  /// The names in a folder.
  /// - Throws: `ImageError` for a path at which there is none, `FileError` for one that cannot be listed.
  private static func entries(of data: String) throws -> [String] {
    if let found = notAPath(data) { throw ImageError.mistaken(path: data, found: found, right: "a folder's path") }
    var status = stat()
    guard stat(data, &status) == 0 else {
      guard errno == ENOENT || errno == ENOTDIR else { throw FileError(data, cannot: "open", code: errno) }
      if lstat(data, &status) == 0 {
        throw ImageError.mistaken(path: data, found: "is a link to nothing", right: right)
      }
      throw ImageError.missing(path: data)
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw file(data, status) }
    return try AtomicDirectory.entries(of: data)
  }

  private static func notAPath(_ data: String) -> String? {
    if data.hasPrefix("~") { return "begins with ~, which no shell has replaced by a home folder" }
    if data.contains("://") { return "is an address" }
    return nil
  }

  private static let archives = [".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip", ".gz"]

  /// A single file where a folder is needed.
  private static func file(_ path: String, _ status: stat) -> ImageError {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    func mistaken(_ found: String, _ right: String = right) -> ImageError {
      .mistaken(path: path, found: found, right: right)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { return mistaken("is no file and no folder") }
    if archives.contains(where: name.lowercased().hasSuffix) {
      return mistaken("is an archive", "the folder that it unpacks to")
    }
    if name.lowercased().hasSuffix(".tar") {
      return mistaken("is a tar file, which this version does not read", "the folder that it unpacks to")
    }
    if CIFAR10.recognises([name]) { return mistaken("is one file of CIFAR-10", "its folder, \(folder)") }
    if STL10.recognises([name]) { return mistaken("is one file of STL-10", "its folder, \(folder)") }
    return mistaken("is a file")
  }

  // MARK: - Folders of something else

  private static func mistake(at data: String, _ names: [String]) -> ImageError {
    func mistaken(_ found: String, _ right: String = right) -> ImageError {
      .mistaken(path: data, found: found, right: right)
    }
    if let known = otherFlavour(names) { return mistaken(known.found, known.right) }
    if let below = folderBelow(data, names, depth: 2) {
      return mistaken("is the folder above \(below.format)'s files", "--data \(below.path)")
    }
    if let misspelt = names.first(where: { CIFAR10.recognises([$0.lowercased()]) }) {
      return mistaken("has \(misspelt)", "that name in small letters, \(misspelt.lowercased())")
    }
    if let image = firstImage(data, names, depth: 2) {
      return mistaken("holds image files such as \(shownName(image)), which this version does not read")
    }
    return .unknownFormat(path: data, found: names.map(shownName))
  }

  /// A data set that is known, in a form that is not read.
  private static func otherFlavour(_ names: [String]) -> (found: String, right: String)? {
    let there = Set(names)
    func has(_ wanted: String...) -> Bool { there.isSuperset(of: wanted) }
    func any(_ isWanted: (String) -> Bool) -> Bool { names.contains(where: isWanted) }
    if any({ $0.hasPrefix("data_batch_") && $0.hasSuffix(".mat") }) {
      return ("is CIFAR-10's Matlab version", "the binary version, cifar-10-binary.tar.gz, unpacked")
    }
    if has("batches.meta") || any({ $0.hasPrefix("data_batch_") && !$0.contains(".") }) {
      return ("is CIFAR-10's Python version", "the binary version, cifar-10-binary.tar.gz, unpacked")
    }
    if has("fine_label_names.txt") || has("train.bin", "test.bin") {
      return ("is CIFAR-100's binary version, which this version does not read", right)
    }
    if has("train", "test", "meta"), !any({ $0.contains(".") && $0 != "file.txt~" }) {
      return ("is CIFAR-100's Python version, which this version does not read", right)
    }
    if has("train.mat", "test.mat", "meta.mat") {
      return ("is CIFAR-100's Matlab version, which this version does not read", right)
    }
    if has("train.mat", "test.mat") {
      return ("is STL-10's Matlab version", "the binary version, stl10_binary.tar.gz, unpacked")
    }
    if any({ $0.contains("-ubyte") || $0.contains(".idx") }) {
      return ("holds IDX files as MNIST's, which this version does not read", right)
    }
    if any({ $0.hasSuffix(".tar") }) { return ("holds tar files, which this version does not read", right) }
    if let archive = names.first(where: { name in archives.contains(where: name.lowercased().hasSuffix) }) {
      return ("holds the archive \(shownName(archive))", "the folder that it unpacks to")
    }
    return nil
  }

  /// A folder some levels below that has a data set in it.
  private static func folderBelow(_ path: String, _ names: [String], depth: Int) -> (path: String, format: String)? {
    for (folder, entries) in folders(path, names) {
      if CIFAR10.recognises(entries) { return (folder, "CIFAR-10") }
      if STL10.recognises(entries) { return (folder, "STL-10") }
      if depth > 1, let found = folderBelow(folder, entries, depth: depth - 1) { return found }
    }
    return nil
  }

  private static func firstImage(_ path: String, _ names: [String], depth: Int) -> String? {
    func isImage(_ name: String) -> Bool { [".jpg", ".jpeg", ".png"].contains(where: name.lowercased().hasSuffix) }
    if let image = names.first(where: isImage) { return image }
    guard depth > 0 else { return nil }
    for (folder, entries) in folders(path, names) {
      if let image = firstImage(folder, entries, depth: depth - 1) {
        return (folder.split(separator: "/").last.map(String.init) ?? folder) + "/" + image
      }
    }
    return nil
  }

  /// The first folders below a path that can be listed: enough to say what a mistake is, also in a folder of thousands.
  private static func folders(_ path: String, _ names: [String]) -> [(path: String, names: [String])] {
    let base = path.hasSuffix("/") ? String(path.dropLast()) : path
    return names.prefix(64).compactMap { name in
      let folder = base + "/" + name
      guard AtomicDirectory.isDirectory(folder), let names = try? AtomicDirectory.entries(of: folder) else {
        return nil
      }
      return (folder, names)
    }
  }
}

/// The text of a small file beside a data set's; what is not UTF-8 in it is replaced.
/// - Throws: `FileError`.
func smallText(_ path: String) throws -> String {
  String(decoding: try OpenFile.bytes(of: path, atMost: 1 << 16), as: UTF8.self)
}

extension String {
  /// Without spaces and tabs at both ends.
  var trimmedOfSpaces: String { trimmingCharacters(in: .whitespaces) }
}
