internal import CMPI

/// The entry that a rank shows to the watchdogs of its host's ranks: numbers of 64 bits in memory that they share,
/// written by that rank alone, but for the word that ends it.
struct RankEntry {
  /// Its place in an array of numbers; what every step writes is in a cache line of its own.
  private enum Word {
    static let process = 0
    static let startTime = 1
    static let rank = 2
    static let life = 3
    static let beat = 4
    static let progress = 5
    /// 0, or the status to exit with and a bit above it: another rank has ended the job.
    static let ended = 6
    static let generation = 8
    /// The operation in the upper 8 bits, its count of elements below.
    static let operation = 9
    static let notes = 10
    /// Two notes of a step and the phase's text; the last one made is at `notes` modulo 2.
    static let firstNote = 16
    static let note = 8
    static let end = firstNote + 2 * note
  }
  static let bytes = Word.end * MemoryLayout<UInt64>.stride

  private let base: UnsafeMutableRawPointer

  /// - Parameter base: `bytes` zeros, on a cache line.
  init(at base: UnsafeMutableRawPointer) { self.base = base }

  init?(bitPattern: UInt) {
    guard let base = UnsafeMutableRawPointer(bitPattern: bitPattern) else { return nil }
    self.base = base
  }

  var bitPattern: UInt { UInt(bitPattern: base) }

  @inline(__always)
  private func load(_ word: Int) -> UInt64 { cmpi_load_acquire(base + word * 8) }
  @inline(__always)
  private func store(_ value: UInt64, _ word: Int) { cmpi_store_release(base + word * 8, value) }

  // MARK: By the rank itself

  /// Makes the entry one of a running rank.
  func open(rank: Int, process: ProcessIdentity) {
    store(UInt64(process.number), Word.process)
    store(process.startTime, Word.startTime)
    store(UInt64(rank), Word.rank)
    store(RankSigns.Life.running.rawValue, Word.life)
  }

  /// Takes over what another entry of the same rank says of its work.
  func copyWork(of other: RankEntry) {
    for word in Word.generation..<Word.end { store(other.load(word), word) }
  }

  func leave() { store(RankSigns.Life.leaving.rawValue, Word.life) }

  func beat(progress: UInt64) {
    store(progress, Word.progress)
    store(load(Word.beat) &+ 1, Word.beat)
  }

  @inline(__always)
  func begin(_ operation: CollectiveOperation, count: Int) {
    store(UInt64(operation.rawValue) << 56 | UInt64(truncatingIfNeeded: count) & (1 << 56 - 1), Word.operation)
    store(load(Word.generation) &+ 1, Word.generation)
  }

  @inline(__always)
  func end() { store(load(Word.generation) &+ 1, Word.generation) }

  /// The text is copied: another process has its literals elsewhere. Longer ones are cut at 56 bytes.
  func note(_ phase: StaticString, step: Int?) {
    let made = load(Word.notes)
    let (last, next) = (Self.place(of: made), Self.place(of: made &+ 1))
    store(step.map { UInt64($0) &+ 1 } ?? load(last), next)
    let length = min(phase.utf8CodeUnitCount, (Word.note - 1) * 8)
    for word in 0..<Word.note - 1 {
      var bytes: UInt64 = 0
      for place in word * 8..<max(word * 8, min(word * 8 + 8, length)) {
        bytes |= UInt64(phase.utf8Start[place]) << UInt64(place % 8 * 8)
      }
      store(bytes, next + 1 + word)
    }
    store(made &+ 1, Word.notes)
  }

  private static func place(of note: UInt64) -> Int { Word.firstNote + Int(note % 2) * Word.note }

  // MARK: By all

  /// Tells the rank that the job has ended.
  func end(status: Int32) { store(Self.encoded(status), Word.ended) }

  /// The status of the job, once it has ended.
  @inline(__always)
  var endStatus: Int32? {
    let word = load(Word.ended)
    return word == 0 ? nil : Self.decoded(word)
  }

  static func encoded(_ status: Int32) -> UInt64 { UInt64(UInt32(bitPattern: status)) | 1 << 32 }
  static func decoded(_ word: UInt64) -> Int32? {
    word == 0 ? nil : Int32(bitPattern: UInt32(truncatingIfNeeded: word))
  }

  var signs: RankSigns {
    let generation = load(Word.generation)
    return RankSigns(
      life: RankSigns.Life(rawValue: load(Word.life)) ?? .absent, beat: load(Word.beat),
      work: generation &+ load(Word.notes) &+ load(Word.progress), generation: generation)
  }

  var rank: Int { Int(load(Word.rank)) }

  var process: ProcessIdentity {
    ProcessIdentity(number: Int32(truncatingIfNeeded: load(Word.process)), startTime: load(Word.startTime))
  }

  var operation: (kind: CollectiveOperation, count: Int)? {
    let word = load(Word.operation)
    return CollectiveOperation(rawValue: UInt8(word >> 56)).map { ($0, Int(word & (1 << 56 - 1))) }
  }

  /// Where the rank is, as it was last noted: "step 12, backward".
  var place: String {
    // Again where the rank made two more notes meanwhile.
    for _ in 0..<8 {
      let made = load(Word.notes)
      let at = Self.place(of: made)
      let step = load(at)
      let words = (0..<Word.note - 1).map { load(at + 1 + $0) }
      guard load(Word.notes) == made else { continue }
      var parts = step > 0 ? ["step \(step - 1)"] : []
      let text = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } }
      if text[0] != 0 { parts.append(String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)) }
      return parts.isEmpty ? "before the first step" : parts.joined(separator: ", ")
    }
    return "an unknown step"
  }
}
