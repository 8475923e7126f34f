import Foundation

/// What the environment says about how this process was started.
package struct Launch {
  /// Whether a launcher started this process, so that MPI has something to join.
  package let isJob: Bool
  /// This process's number among the launcher's, known before MPI starts.
  package let rank: Int
  /// Processes that the launcher started, as far as it says.
  package let processes: Int
  /// BYOL_DIST_COLLECTIVE_TIMEOUT in seconds, if it is a positive number.
  package let timeLimit: Double?
  /// Settings of Open MPI that this program wants unless the user said otherwise.
  package let openMPIDefaults: [(String, String)]

  package init(environment: [String: String], cores: Int = ProcessInfo.processInfo.activeProcessorCount) {
    func number(_ names: String...) -> Int? { names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first }
    let processRank = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
    // A shell in a Slurm job has SLURM_PROCID too, but there the step's task count is absent or 1.
    processes = number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS") ?? 1
    let byPMI = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK") != nil
    isJob = byPMI || processes > 1
    rank = processRank ?? 0
    timeLimit = environment["BYOL_DIST_COLLECTIVE_TIMEOUT"].flatMap { Double($0) }.flatMap { $0 > 0 ? $0 : nil }

    // han, sm and hcoll choose their tree by the hosts and sockets the ranks happen to get, and with it the order of
    // a sum; tuned chooses by rank count and length alone.
    var defaults = [("OMPI_MCA_coll", "^han,sm,hcoll,adapt")]
    let local = number("OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE") ?? 1
    let threads = number("OMP_NUM_THREADS") ?? 1
    // A rank that spins while it waits takes the core from the rank it waits for.
    if local * max(threads, 1) > cores { defaults.append(("OMPI_MCA_mpi_yield_when_idle", "1")) }
    openMPIDefaults = defaults
  }
}
