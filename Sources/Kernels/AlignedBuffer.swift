import Foundation

/// A fixed block of floats, 64-byte aligned, zeroed, allocated once and freed with its owner.
///
/// Large blocks ask for huge pages: a training step streams through hundreds of megabytes, and 4 KiB pages would cost
/// a TLB miss every 1,024 floats. A message between ranks of a host, which MPI has the kernel copy page by page, takes half the
/// time with them.
public final class AlignedBuffer: @unchecked Sendable {
  public let pointer: UnsafeMutablePointer<Float>
  public let count: Int

  /// - Parameter count: floats; 0 gives a valid pointer to nothing.
  public init(count: Int) {
    precondition(count >= 0, "a buffer cannot have \(count) floats")
    let page = 2 << 20
    let needed = max(count, 16) * MemoryLayout<Float>.stride
    let whole = (needed + page - 1) / page * page
    // The last page is a huge one too where little of it is wasted.
    let bytes = whole - needed <= needed / 16 ? whole : needed
    let huge = bytes >= page
    var raw: UnsafeMutableRawPointer?
    let status = posix_memalign(&raw, huge ? page : 64, bytes)
    guard status == 0, let raw else { fatalError("out of memory: \(bytes) bytes") }
    let hugePages: Int32 = 14  // MADV_HUGEPAGE, which Glibc does not export
    if huge { madvise(raw, bytes, hugePages) }
    memset(raw, 0, bytes)
    pointer = raw.bindMemory(to: Float.self, capacity: max(count, 16))
    self.count = count
  }

  deinit { free(pointer) }

  /// The floats as an unsafe buffer; valid as long as this object lives.
  public var floats: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: pointer, count: count) }
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
    let grown = AlignedBuffer(count: needed)
    buffer = grown
    return grown.pointer
  }
}
