internal import CMPI

extension Communicator {
  /// Puts the ranks' parts one behind the other, in the order of the ranks, on every rank.
  /// - Parameters:
  ///   - part: as many elements on every rank.
  ///   - whole: `size` times as many; its own share may be `part` itself.
  /// - Throws: `CollectiveError`, also when `whole` has another length.
  public func allGather<T: MPIElement>(_ part: UnsafeBufferPointer<T>, into whole: UnsafeMutableBufferPointer<T>) throws
  {
    guard whole.count == part.count * size else {
      throw failure(
        .allGather, count: part.count, "\(size) ranks' parts make \(part.count * size) elements, not \(whole.count)")
    }
    guard part.count > 0 else { return }
    let own = whole.baseAddress! + rank * part.count
    let inPlace = UnsafePointer(own) == part.baseAddress
    guard size > 1 else {
      if !inPlace { own.update(from: part.baseAddress!, count: part.count) }
      return
    }
    guard part.count <= Self.longest else {
      throw failure(.allGather, count: part.count, "more than \(Self.longest) elements a rank")
    }
    let type = T.mpiKind.datatype
    let source = inPlace ? UnsafeRawPointer(cmpi_in_place()) : UnsafeRawPointer(part.baseAddress)
    try run(.allGather, count: part.count) {
      MPI_Allgather(source, Int32(part.count), type, whole.baseAddress, Int32(part.count), type, $0)
    }
  }

  /// Every rank's array, in the order of the ranks, on every rank; the lengths may differ.
  /// - Throws: `CollectiveError`, on every rank, when all of it is more than 2^30 elements.
  public func allGather<T: MPIElement>(_ part: [T]) throws -> [[T]] {
    guard size > 1 else { return [part] }
    let counts = try allGatherCounts(part.count, .allGather)
    let layout = try Layout(counts, self, .allGather)
    let whole = try [T](unsafeUninitializedCapacity: layout.total) { buffer, filled in
      try run(.allGather, count: part.count) {
        MPI_Allgatherv(
          part, Int32(part.count), T.mpiKind.datatype, buffer.baseAddress, layout.counts, layout.starts,
          T.mpiKind.datatype, $0)
      }
      filled = layout.total
    }
    return layout.cut(whole)
  }

  /// How many elements each rank has.
  func allGatherCounts(_ count: Int, _ operation: CollectiveOperation) throws -> [Int] {
    var counts = [Int64](repeating: 0, count: size)
    counts[rank] = Int64(count)
    try counts.withUnsafeMutableBufferPointer { whole in
      try allGather(UnsafeBufferPointer(rebasing: whole[rank...rank]), into: whole)
    }
    return counts.map { Int($0) }
  }
}

/// Where the parts of ranks with different counts lie, one behind the other.
struct Layout {
  let counts: [Int32]
  let starts: [Int32]
  let total: Int

  init(_ counts: [Int], _ communicator: Communicator, _ operation: CollectiveOperation) throws {
    total = counts.reduce(0, +)
    guard total <= Communicator.longest else {
      throw communicator.failure(operation, count: total, "more than \(Communicator.longest) elements together")
    }
    self.counts = counts.map { Int32($0) }
    var next: Int32 = 0
    starts = self.counts.map { count in
      defer { next += count }
      return next
    }
  }

  func cut<T>(_ whole: [T]) -> [[T]] {
    zip(starts, counts).map { start, count in Array(whole[Int(start)..<Int(start + count)]) }
  }
}
