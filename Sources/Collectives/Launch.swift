import Foundation

/// What the environment says about how this process was started.
package struct Launch {
  /// Whether a launcher started this process, so that MPI has something to join.
  package let isJob: Bool
  /// This process's number among the launcher's, known before MPI starts.
  package let rank: Int
  /// Processes that the launcher started, as far as it says.
  package let processes: Int
  /// BYOL_DIST_COLLECTIVE_TIMEOUT as it is.
  private let timeLimitText: String?
  /// Where `launch/run` wants the exit status.
  package let statusFile: String?

  /// Settings of Open MPI that this program wants unless the user's environment says otherwise.
  package static let openMPIDefaults = [
    // han, sm and hcoll choose their tree by the hosts and sockets the ranks happen to get, and with it the order of
    // a sum; tuned chooses by rank count and length alone.
    ("OMPI_MCA_coll", "^han,sm,hcoll,adapt"),
    // An all-reduce under way goes on inside MPI calls only. By recursive doubling two ranks need nothing of each other
    // after its start; by a tree, MPI's choice for short ones, the leaves wait until the root calls MPI again. Mailbox
    // adds in the same order.
    ("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "4"),
    // A rank that spins while it waits takes the core from the thread or rank it waits for: with 8 ranks on 2 cores an
    // all-reduce of one number took 57 ms, and 0.09 ms with this. Where cores are free it costs 1 microsecond.
    ("OMPI_MCA_mpi_yield_when_idle", "1"),
  ]

  package init(environment: [String: String]) {
    func number(_ names: String...) -> Int? { names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first }
    let processRank = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
    // A shell in a Slurm job has SLURM_PROCID too, but there the step's task count is absent or 1.
    processes = number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS") ?? 1
    let byPMI = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK") != nil
    isJob = byPMI || processes > 1
    rank = processRank ?? 0
    timeLimitText = environment["BYOL_DIST_COLLECTIVE_TIMEOUT"]
    statusFile = isJob ? environment["BYOL_DIST_STATUS_FILE"].flatMap { $0.isEmpty ? nil : $0 } : nil
  }

  /// BYOL_DIST_COLLECTIVE_TIMEOUT in seconds; nil where it is not set.
  /// - Throws: `EnvironmentError` for what is no such number.
  package func timeLimit() throws -> Double? {
    guard let text = timeLimitText else { return nil }
    // Double alone also takes hexadecimal digits, "nan" and "inf".
    let isDecimal = text.allSatisfy { "0123456789.eE+-".contains($0) }
    guard isDecimal, let seconds = Double(text), (0.1...1e6).contains(seconds) else {
      throw EnvironmentError(
        name: "BYOL_DIST_COLLECTIVE_TIMEOUT", value: text, expects: "a number of seconds from 0.1 to 1000000")
    }
    return seconds
  }

  /// Leaves the exit status where `launch/run` looks for it: "75", "1 permanent" or "aborted 1".
  ///
  /// The file is not created: where it is absent, `launch/run` waits on another host and needs the processes' own status.
  /// - Parameters:
  ///   - mark: before the status.
  ///   - line: for the user, which `launch/run` prints: an mpirun that ends a job passes nothing on.
  /// - Returns: whether all is there.
  @discardableResult
  func leave(status: Int32, isPermanent: Bool, mark: String = "", line: String = "") -> Bool {
    guard let statusFile else { return false }
    let file = open(statusFile, O_WRONLY | O_TRUNC)
    guard file >= 0 else { return false }
    defer { close(file) }
    let text = Array("\(mark)\(status)\(isPermanent ? " permanent" : "")\n\(line)".utf8)
    return write(file, text, text.count) == text.count
  }
}

/// An environment variable with a value that it cannot have.
package struct EnvironmentError: StatusError, Equatable, CustomStringConvertible {
  package let name: String
  package let value: String
  package let expects: String

  package init(name: String, value: String, expects: String) {
    (self.name, self.value, self.expects) = (name, value, expects)
  }

  package var exitStatus: Int32 { 2 }
  package var isPermanent: Bool { true }
  package var description: String { "\(name)=\(value.debugDescription) should be \(expects)" }
}
