import Foundation
import Synchronization

/// A fixed block of floats, 64-byte aligned, zeroed, allocated once and freed with its owner.
///
/// Blocks lie on huge pages: a training step streams through hundreds of megabytes, and 4 KiB pages would cost a TLB miss every
/// 1,024 floats. A message between ranks of a host, which MPI has the kernel copy page by page, takes half the time with them.
/// Small blocks share pages, each of which is freed with the last of its blocks.
public final class AlignedBuffer: @unchecked Sendable {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int
  /// Whose memory it is.
  private let owner: AnyObject

  /// Where the system refuses the memory, `OutOfMemory` ends the process.
  /// - Parameters:
  ///   - count: floats; 0 gives a valid pointer to nothing.
  ///   - purpose: what they are for, as a message says it.
  public init(count: Int, for purpose: StaticString = "numbers") {
    precondition(count >= 0, "a buffer cannot have \(count) floats")
    // An address has 47 bits: more is refused here, where it would overflow.
    guard count < 1 << 45 else { OutOfMemory.end(bytes: Double(count) * 4, purpose) }
    let bytes = (max(count, 16) * MemoryLayout<Float>.stride + 63) / 64 * 64
    guard let (pages, raw) = HugePages.block(of: bytes) else { OutOfMemory.end(bytes: Double(bytes), purpose) }
    owner = pages
    memset(raw, 0, bytes)
    pointer = raw.bindMemory(to: Float.self, capacity: max(count, 16))
    self.count = count
  }

  /// Floats in another's memory, on a cache line, for as long as this object keeps the owner.
  public init(_ floats: UnsafeMutableBufferPointer<Float>, of owner: AnyObject) {
    (pointer, count, self.owner) = (floats.baseAddress!, floats.count, owner)
  }

  /// The floats as an unsafe buffer; valid as long as this object lives.
  public var floats: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: pointer, count: count) }
}

/// Memory that asks the system for huge pages, freed with the last of its blocks.
private final class HugePages: @unchecked Sendable {
  private static let page = 2 << 20
  /// The page that small blocks are taken from next.
  private static let current = Mutex<HugePages?>(nil)

  private let start: UnsafeMutableRawPointer
  private let bytes: Int
  private var used = 0

  /// nil where the system refuses, which it does beyond a process's limit; it grants what it has not got.
  private init?(bytes: Int) {
    var raw: UnsafeMutableRawPointer?
    let status = posix_memalign(&raw, Self.page, bytes)
    guard status == 0, let raw else { return nil }
    let hugePages: Int32 = 14  // MADV_HUGEPAGE, which Glibc does not export
    madvise(raw, bytes, hugePages)
    (start, self.bytes) = (raw, bytes)
  }

  deinit { free(start) }

  /// - Parameter bytes: whole cache lines.
  /// - Returns: nil where the system refuses.
  static func block(of bytes: Int) -> (HugePages, UnsafeMutableRawPointer)? {
    if bytes < page {
      return current.withLock { shared in
        if shared.map({ $0.bytes - $0.used < bytes }) ?? true { shared = HugePages(bytes: page) }
        guard let pages = shared else { return nil }
        defer { pages.used += bytes }
        return (pages, pages.start + pages.used)
      }
    }
    let whole = (bytes + page - 1) / page * page
    // The last page is a huge one too where little of it is wasted.
    return HugePages(bytes: whole - bytes <= bytes / 8 ? whole : bytes).map { ($0, $0.start) }
  }
}

/// Working memory that kernels share: each plan reserves what its calls need, the largest reservation is allocated at
/// first use, and one kernel at a time writes to it. Its contents do not survive a kernel call.
public final class Scratch {
  private var needed = 0
  private var buffer: AlignedBuffer?

  public init() {}

  /// Makes sure that at least `floats` are there when a kernel asks.
  public func reserve(_ floats: Int) { needed = max(needed, floats) }

  /// The shared block: at least as large as the largest reservation. Not to be kept across later reservations.
  public var pointer: UnsafeMutablePointer<Float> {
    if let buffer, buffer.count >= needed { return buffer.pointer }
    let grown = AlignedBuffer(count: needed, for: "activations and working memory")
    buffer = grown
    return grown.pointer
  }
}
