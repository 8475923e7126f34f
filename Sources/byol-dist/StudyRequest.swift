import Collectives
import Files
import Foundation
import Studies
import Training

/// What `study` is asked for.
package enum StudyRequest: Equatable, Sendable {
  /// The shipped studies, a line each.
  case list
  /// A study's JSON as it is.
  case print(String)
  /// The runs and what differs in them.
  case plan(Study, out: String)
  case run(Study, out: String)
}

extension StudyRequest {
  /// The flags that are not settings of a run; those without a placeholder take no value.
  static let flags: [(name: String, placeholder: String, help: String)] = [
    ("quick", "", "the study's small size: minutes on two cores"),
    ("seeds", "N|a,b,c", "so many seeds from 0, or these [the study's]"),
    ("out", "DIR", "the study's directory [runs/ and a name made of study and data]"),
    ("dry-run", "", "show the runs and what differs in them, and run nothing"),
    ("list", "", "the shipped studies"),
    ("print", "", "the study's JSON: a start for a study of your own"),
  ]

  /// Settings of the base that flags may override: all but those that a study sets itself.
  static var settings: [Setting<Configuration>] {
    Configuration.settings.filter { Study.ownSettings[$0.name] == nil }
  }

  /// - Parameter read: a file's bytes.
  /// - Throws: `UsageError`.
  package init(_ arguments: [String], read: (String) throws -> [UInt8]) throws {
    let switches = Self.flags.filter { $0.placeholder.isEmpty }.map { "--" + $0.name }
    let given = Set(arguments.filter(switches.contains))
    var rest = arguments.filter { !switches.contains($0) }
    if given.contains("--list") {
      guard rest.isEmpty else { throw UsageError("study --list: takes nothing else; should be study --list") }
      self = .list
      return
    }
    guard let name = rest.first, !name.hasPrefix("-") else {
      throw UsageError(
        "study: lacks what to run; should be study NAME|FILE, one of \(ShippedStudy.names) or a JSON file")
    }
    rest.removeFirst()
    if given.contains("--print") {
      let bytes = try Self.bytes(name, read: read)
      _ = try StudyFile(name: name, source: name, bytes: bytes)
      self = .print(String(decoding: bytes, as: UTF8.self))
      return
    }
    for own in ["seed", "resume"] where rest.contains(where: { $0 == "--" + own || $0.hasPrefix("--\(own)=") }) {
      throw UsageError("--\(own): is no flag of study; \(Study.ownSettings[own] ?? "")")
    }
    let own = Self.flags.filter { !$0.placeholder.isEmpty }.map { $0.name }
    let flags = try Flags(rest, known: Self.settings.map(\.name) + own, of: "study")
    let file = try StudyFile(name: Self.plainName(name), source: name, bytes: try Self.bytes(name, read: read))
    let study = try file.study(
      isQuick: given.contains("--quick"), seeds: try flags["seeds"].map { try Seeds.parse($0) },
      override: { try flags.set(Self.settings, in: &$0) })
    if flags["out"] == "" { throw UsageError("--out \"\": should be a directory's path") }
    let out = flags["out"] ?? study.standardOut
    self = given.contains("--dry-run") ? .plan(study, out: out) : .run(study, out: out)
  }

  private static func bytes(_ name: String, read: (String) throws -> [UInt8]) throws -> [UInt8] {
    if let shipped = ShippedStudy(rawValue: name) { return Array(shipped.text.utf8) }
    do { return try read(name) } catch {
      // By the text: on several ranks the error is rank 0's, as told.
      guard "\(error)".hasSuffix(String(cString: strerror(ENOENT))) else {
        throw UsageError("study \(error); a study is one of \(ShippedStudy.names), or a JSON file")
      }
      let right = suggestion(
        for: name, among: ShippedStudy.allCases.map(\.rawValue), otherwise: "should be one of \(ShippedStudy.names)")
      throw UsageError("study \(shown(name)): no such study or file\(right)")
    }
  }

  /// A file's name without its folder and ending.
  private static func plainName(_ path: String) -> String {
    let last = path.split(separator: "/").last.map(String.init) ?? path
    return last.hasSuffix(".json") && last.count > 5 ? String(last.dropLast(5)) : last
  }

  /// Does what is asked for on this process's ranks.
  func run(on place: LaunchPlace) throws {
    switch self {
    case .list:
      guard place.rank == 0 else { return }
      for study in ShippedStudy.allCases { try StandardStreams.print(try study.file.line) }
    case .print(let text):
      if place.rank == 0 { try StandardStreams.print(text, terminator: text.hasSuffix("\n") ? "" : "\n") }
    case .plan(let study, let out):
      let text = try study.plan(ranks: place.ranks, path: out)
      if place.rank == 0 { try StandardStreams.print(text) }
    case .run(let study, let out): try Self.run(study, out: out, on: place)
    }
  }

  /// Runs a study on the ranks that mpirun started, or alone, and ends the process.
  private static func run(_ study: Study, out: String, on place: LaunchPlace) throws -> Never {
    _ = try study.runs(ranks: place.ranks)
    try onAllRanks { world in
      let outcome = try StudyRunner(study, path: out, world: world).run()
      if case .failed(let runs) = outcome {
        if world.rank == 0 {
          printError("\(runs.count) runs failed: \(runs.joined(separator: ", ")); the table says why")
        }
        return .failed
      }
      guard case .stopped(let run, let step) = outcome else { return .done }
      if world.rank == 0 {
        let place = run.map { "after a complete checkpoint of \($0) at step \(step ?? 0)" } ?? "between two runs"
        printError("stopped \(place); the same command with --out \(shown(out)) goes on")
      }
      return .requeue
    }
  }
}
