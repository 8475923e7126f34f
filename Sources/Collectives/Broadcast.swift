internal import CMPI

extension Communicator {
  /// Gives every rank the root's elements.
  /// - Parameter buffer: as many elements on every rank; the root's are read, the others' are written.
  /// - Throws: `CollectiveError`.
  public func broadcast<T: MPIElement>(_ buffer: UnsafeMutableBufferPointer<T>, from root: Int) throws {
    check(root: root)
    guard size > 1 else { return }
    var start = 0
    while start < buffer.count {
      let part = min(buffer.count - start, Self.longest)
      let pointer = buffer.baseAddress! + start
      try run(.broadcast, count: part) { MPI_Bcast(pointer, Int32(part), T.mpiKind.datatype, Int32(root), $0) }
      start += part
    }
  }

  /// The root's array on every rank, whatever its length; what the other ranks pass is ignored.
  public func broadcast<T: MPIElement>(_ values: [T], from root: Int) throws -> [T] {
    check(root: root)
    guard size > 1 else { return values }
    var count = [Int64(values.count)]
    try count.withUnsafeMutableBufferPointer { try broadcast($0, from: root) }
    var result = rank == root ? values : [T](unsafeUninitializedCapacity: Int(count[0])) { $1 = Int(count[0]) }
    try result.withUnsafeMutableBufferPointer { try broadcast($0, from: root) }
    return result
  }
}
