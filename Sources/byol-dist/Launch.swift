import Collectives
import Files
import Foundation
import Images
import Training

/// The process's place among those that a launcher started, known from its environment before MPI is.
package struct LaunchPlace: Equatable, Sendable {
  package let rank: Int
  package let ranks: Int
  /// Among the ranks of this host.
  package let localRank: Int

  /// One process alone where no launcher says otherwise. A Slurm allocation sets its variables for plain processes in
  /// the batch script too, so that they count only beside those that srun gives the processes it starts with PMIx.
  package init(environment: [String: String]) {
    func number(_ names: String...) -> Int? { names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first }
    let isStep = environment["PMIX_RANK"] != nil || environment["PMI_RANK"] != nil
    rank = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK") ?? 0
    ranks =
      number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") ?? (isStep ? number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS") : nil) ?? 1
    localRank = number("OMPI_COMM_WORLD_LOCAL_RANK") ?? (isStep ? number("SLURM_LOCALID") : nil) ?? rank
  }

  /// Ends this process with a message that one process prints. Every rank must come here for the same reason.
  func stop(_ message: String?, status: ExitStatus) -> Never {
    if rank == 0, let message { printError(message) }
    if let world = Communicator.joined {
      // Rank 0 has spoken before any rank ends.
      try? world.barrier()
    } else if rank > 0, getenv("BYOL_DIST_STATUS_FILE") == nil {
      // mpirun kills all ranks at the first failed one; rank 0 must have spoken by then.
      Thread.sleep(forTimeInterval: 2)
    }
    Communicator.finish(status: status.rawValue)
  }

  /// The same for a reason that hosts may not share: the first rank of each prints.
  func stopHost(_ message: String, status: ExitStatus) -> Never {
    if localRank == 0 { printError(message) } else { Thread.sleep(forTimeInterval: 2) }
    exit(status.rawValue)
  }
}

/// A small file's bytes.
/// - Throws: `FileError`.
func readFile(_ path: String) throws -> [UInt8] { try OpenFile.bytes(of: path, atMost: 1 << 20) }

/// One line on the standard error.
func printError(_ message: String) { StandardStreams.printError("byol-dist: \(message)") }
