internal import CMPI

extension Communicator {
  /// A communicator of this process alone, without MPI.
  /// - Throws: nothing that could happen to it; `CollectiveError` by its type.
  public static func alone() throws -> Communicator { try Communicator(handle: nil) }

  /// The communicator of the ranks that give the same `color`, ordered by `key` and then by rank here. MPI keeps it
  /// until the program ends, so a program makes the few that it needs at its start.
  /// - Throws: `CollectiveError`.
  public func split(color: Int, key: Int) throws -> Communicator {
    precondition(color >= 0 && color <= Int32.max, "a color is not negative, unlike \(color)")
    guard size > 1 else { return try Communicator(handle: nil) }
    return try derived { MPI_Comm_split($0, Int32(color), Int32(clamping: key), $1) }
  }

  /// The communicator of the ranks that run on this rank's host: the same one each time, which the first call makes.
  /// - Throws: `CollectiveError`.
  public func splitByHost() throws -> Communicator {
    guard size > 1 else { return try Communicator(handle: nil) }
    if let ranksOfHost { return ranksOfHost }
    let made = try derived {
      MPI_Comm_split_type($0, cmpi_comm_type_shared(), Int32(clamping: rank), cmpi_info_null(), $1)
    }
    ranksOfHost = made
    return made
  }

  private func derived(_ make: (MPI_Comm, UnsafeMutablePointer<MPI_Comm?>) -> Int32) throws -> Communicator {
    var result: MPI_Comm?
    try run(.split, count: 0) { make($0, &result) }
    return try Communicator(handle: result)
  }
}
