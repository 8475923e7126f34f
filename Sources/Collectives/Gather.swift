internal import CMPI

extension Communicator {
  /// Every rank's array, in the order of the ranks, at the root, and an empty list elsewhere; the lengths may differ.
  /// - Throws: `CollectiveError`, on every rank, when all of it is more than 2^30 elements.
  public func gather<T: MPIElement>(_ part: [T], at root: Int) throws -> [[T]] {
    check(root: root)
    guard size > 1 else { return [part] }
    // All ranks learn the counts, so that a total too large is an error on all of them and not at the root alone.
    let layout = try Layout(allGatherCounts(part.count, .gather), self, .gather)
    let room = rank == root ? layout.total : 0
    let whole = try [T](unsafeUninitializedCapacity: room) { buffer, filled in
      try run(.gather, count: part.count) {
        MPI_Gatherv(
          part, Int32(part.count), T.mpiKind.datatype, buffer.baseAddress, layout.counts, layout.starts,
          T.mpiKind.datatype, Int32(root), $0)
      }
      filled = room
    }
    return rank == root ? layout.cut(whole) : []
  }
}
