internal import CMPI

extension Communicator {
  /// Replaces each element by its sum, minimum or maximum over all ranks, in place; the same bits on every rank.
  /// - Parameter buffer: as many elements on every rank.
  /// - Throws: `CollectiveError`.
  public func allReduce<T: MPIElement>(_ buffer: UnsafeMutableBufferPointer<T>, _ op: Reduction) throws {
    guard size > 1 else { return }
    var start = 0
    while start < buffer.count {
      let part = min(buffer.count - start, Self.longest)
      let pointer = buffer.baseAddress! + start
      try run(.allReduce, count: part) {
        MPI_Allreduce(cmpi_in_place(), pointer, Int32(part), T.mpiKind.datatype, op.operation, $0)
      }
      start += part
    }
  }

  /// The sum, minimum or maximum of one number over all ranks.
  public func allReduce<T: MPIElement>(_ value: T, _ op: Reduction) throws -> T {
    guard size > 1 else { return value }
    var result = value
    try withUnsafeMutablePointer(to: &result) { try allReduce(UnsafeMutableBufferPointer(start: $0, count: 1), op) }
    return result
  }

  /// Elementwise over the ranks' arrays, in place; as many elements on every rank.
  public func allReduce<T: MPIElement>(_ values: inout [T], _ op: Reduction) throws {
    guard size > 1 else { return }
    try values.withUnsafeMutableBufferPointer { try allReduce($0, op) }
  }
}
