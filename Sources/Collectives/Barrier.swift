internal import CMPI

extension Communicator {
  /// Returns when every rank has called it.
  public func barrier() throws {
    guard size > 1 else { return }
    try run(.barrier, count: 0) { MPI_Barrier($0) }
  }
}
