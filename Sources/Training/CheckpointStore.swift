import Files
import Foundation

/// A checkpoint that was found whole: every file has the length and the checksum that its `state.json` says, and every
/// float is finite.
public struct Checkpoint: Equatable, Sendable {
  /// Finished optimizer steps.
  public let step: Int
  /// Its directory.
  public let path: String
  /// What the run's owner stored beside the tensors.
  public let state: JSON

  /// The path of one of its files, `model.safetensors` for one.
  public func file(_ name: String) -> String { path + "/" + name }
}

/// A run's checkpoints, `step-00000800` and the like; each is complete or absent.
///
/// `state.json` carries no time and no host, so that an interrupted run and an uninterrupted one end with the same
/// bytes. One process at a time may use a store (`RunDirectory` holds the lock).
public final class CheckpointStore {
  /// A checkpoint that cannot be used and why, as one line.
  public struct Damaged: Equatable, Sendable {
    public let step: Int
    public let reason: String
  }

  /// A file of a checkpoint: its name and what puts the tensors into it.
  public typealias Contents = (name: String, tensors: (inout SafetensorsWriter) throws -> Void)

  public let path: String
  /// Stands for the settings: a checkpoint of others is not for this run.
  public let fingerprint: String
  private static let format = 1
  private static let stateName = "state.json"
  private var good: Set<Int> = []
  private var damaged: Set<Int> = []

  /// Changes nothing: the directory may be absent.
  public init(path: String, fingerprint: String) {
    self.path = path
    self.fingerprint = fingerprint
  }

  /// Removes what killed writers left of checkpoints, and puts back what was being replaced; once the run is known to
  /// go on.
  /// - Throws: `FileError`.
  public func recover() throws {
    guard AtomicDirectory.isDirectory(path) else { return }
    try AtomicDirectory.recover(in: path) { Self.step(name: $0) != nil }
  }

  /// `step-` and eight digits at least, so that names sort as numbers do.
  public static func name(step: Int) -> String { "step-" + String(format: "%08d", step) }

  static func step(name: String) -> Int? {
    guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), step >= 0, self.name(step: step) == name else {
      return nil
    }
    return step
  }

  /// The steps of which there are checkpoints, good or not, in order.
  /// - Throws: `FileError`, also where the path is something else than a directory.
  public func steps() throws -> [Int] {
    guard AtomicDirectory.exists(path) else { return [] }
    try requireDirectory()
    let steps = try AtomicDirectory.entries(of: path).compactMap { entry in
      // One that was being replaced when its writer was killed.
      let leftover = Leftover(entry).flatMap { $0.kind == .replaced ? $0.name : nil }
      return Self.step(name: leftover ?? entry)
    }
    return Set(steps).sorted()
  }

  /// Where a checkpoint is: under its name or, until `recover`, under that of one being replaced.
  private func directory(step: Int) -> String {
    let (own, replaced) = (path + "/" + Self.name(step: step), path + "/.\(Self.name(step: step)).replaced")
    return !AtomicDirectory.exists(own) && AtomicDirectory.exists(replaced) ? replaced : own
  }

  private func requireDirectory() throws {
    let kind = FileKind.of(path)
    guard kind == .directory else {
      throw FileError(path, "is \(kind?.rawValue ?? "a link that leads nowhere"); should be a directory")
    }
  }

  // MARK: - Writing

  /// Writes a checkpoint completely or not at all; one of the same step is replaced.
  /// - Parameters:
  ///   - step: finished optimizer steps.
  ///   - files: name and tensors of each safetensors file.
  ///   - state: an object of whatever else resuming needs; nothing that differs between equal runs.
  /// - Throws: `FileError`, for one when the disk is full; the earlier checkpoints stay.
  @discardableResult
  public func write(step: Int, files: [Contents], state: JSON) throws -> Checkpoint {
    precondition(step >= 0 && state.members != nil, "a checkpoint has a step and an object of state")
    let target = path + "/" + Self.name(step: step)
    // Not with those above it: a run directory that was removed stays so.
    if try !AtomicDirectory.createExclusively(path) { try requireDirectory() }
    try AtomicDirectory.write(to: target) { temporary in
      var stamps: [JSON.Member] = []
      for file in files.sorted(by: { $0.name < $1.name }) {
        var writer = SafetensorsWriter()
        try file.tensors(&writer)
        let name = temporary + "/" + file.name
        let stamp = try AtomicFile.writeSynced(name) { try writer.write(to: &$0, path: name) }
        stamps.append(.init(file.name, ["bytes": JSON(stamp.bytes), "checksum": JSON(stamp.checksum)]))
      }
      var members: [JSON.Member] = [
        .init("format", JSON(Self.format)), .init("step", JSON(step)), .init("settings", JSON(fingerprint)),
        .init("files", .object(stamps)), .init("state", state),
      ]
      members.append(.init("checksum", JSON(FileStamp.of(JSON.object(members).description).checksum)))
      _ = try AtomicFile.writeSynced(temporary + "/" + Self.stateName) { try $0.write(JSON.object(members).pretty) }
    }
    good.insert(step)
    damaged.remove(step)
    return Checkpoint(step: step, path: target, state: state)
  }

  // MARK: - Reading

  /// The newest checkpoint that is whole, with the damaged newer ones that were passed over; nil where there are no
  /// checkpoints.
  /// - Throws: `RunDirectoryError` if there are some and none is good, or if the newest good one is of other settings.
  public func newestGood() throws -> (checkpoint: Checkpoint, passedOver: [Damaged])? {
    var passedOver: [Damaged] = []
    for step in try steps().reversed() {
      do {
        let checkpoint = try verify(step: step)
        good.insert(step)
        return (checkpoint, passedOver)
      } catch let error as FileError {
        passedOver.append(Damaged(step: step, reason: error.description))
        damaged.insert(step)
      }
    }
    guard let newest = passedOver.first else { return nil }
    throw RunDirectoryError(
      "\(path): none of \(passedOver.count) checkpoints is good (\(newest.reason)); to start from scratch, choose another"
        + " --out")
  }

  /// Checks one checkpoint whole.
  /// - Throws: `FileError` if it is damaged, `RunDirectoryError` if it is good but not of this run.
  public func verify(step: Int) throws -> Checkpoint {
    let directory = directory(step: step)
    let json = try stateFile(directory + "/" + Self.stateName)
    let (path, members) = (directory + "/" + Self.stateName, json.members ?? [])
    guard members.last?.key == "checksum",
      members.last?.value.string == FileStamp.of(JSON.object(members.dropLast()).description).checksum
    else { throw FileError(path, "is damaged: it does not have its own checksum") }
    guard json["format"]?.int == Self.format else {
      throw RunDirectoryError("\(path): is of format \(json["format"] ?? .null), this version reads \(Self.format)")
    }
    guard json["step"]?.int == step else {
      throw FileError(path, "is of step \(json["step"] ?? .null), not of \(step)")
    }
    guard let state = json["state"], let files = json["files"]?.members else {
      throw FileError(path, "lacks files or state")
    }
    for file in files { try Self.check(directory + "/" + file.key, against: file.value) }
    guard json["settings"]?.string == fingerprint else {
      throw RunDirectoryError("\(directory): is a checkpoint of a run with other settings")
    }
    return Checkpoint(step: step, path: self.path + "/" + Self.name(step: step), state: state)
  }

  private func stateFile(_ path: String) throws -> JSON {
    let bytes = try OpenFile.bytes(of: path, atMost: 64 << 20)
    do { return try JSON.parse(bytes) } catch { throw FileError(path, "is damaged: \(error)") }
  }

  private static func check(_ path: String, against entry: JSON) throws {
    guard let expected = FileStamp(bytes: entry["bytes"]?.int ?? -1, checksum: entry["checksum"]?.string ?? "") else {
      throw FileError(path, "has no checksum in state.json")
    }
    let size = try OpenFile(reading: path).size()
    guard size == expected.bytes else {
      throw FileError(path, "is damaged: \(size) bytes where \(expected.bytes) were written")
    }
    let found = try FileStamp.of(file: path)
    guard found == expected else {
      throw FileError(path, "is damaged: \(found.checksum) where \(expected.checksum) was written")
    }
    // Earlier versions saved what had diverged; going on from it would not end well.
    if let tensor = try SafetensorsFile(path: path).firstNotFinite() {
      throw FileError(path, "tensor \(JSON.quoted(tensor)) holds a number that is not finite")
    }
  }

  // MARK: - Removing

  /// Removes all but the newest `keep` checkpoints. Damaged ones do not count, and the newest that is known to be good
  /// stays in any case; without one nothing is removed.
  public func prune(keep: Int) throws {
    guard let newestGood = good.max() else { return }
    let all = try steps()
    let kept = Set(all.filter { !damaged.contains($0) }.suffix(max(keep, 1)) + [newestGood])
    for step in all where !kept.contains(step) && step < newestGood {
      try AtomicDirectory.remove(path + "/" + Self.name(step: step))
      good.remove(step)
      damaged.remove(step)
    }
  }
}
