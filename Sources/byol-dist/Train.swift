import Collectives
import Kernels
import Training

/// Runs a training on the ranks that mpirun started, or alone, and ends the process.
func train(_ request: RunRequest, on place: LaunchPlace) throws -> Never {
  try request.validate(ranks: place.ranks)
  try onAllRanks { world in
    let trainer = try Trainer(request, world: world)
    guard case .stopped(let step) = try trainer.run() else { return .done }
    if world.rank == 0 {
      printError(
        "stopped after a complete checkpoint of step \(step); the same command with --out \(trainer.path) goes on")
    }
    return .requeue
  }
}

/// Joins the world, does `body` on every rank, and ends the process with the status it gives or its error's.
/// - Throws: `CollectiveError` where the world cannot be joined.
func onAllRanks(_ body: (Communicator) throws -> ExitStatus) throws -> Never {
  let world = try Communicator.start()
  OutOfMemory.handle { world.abort(reason: $0, status: ExitStatus.failed.rawValue, isPermanent: true) }
  // After MPI, which brings handlers of its own.
  StopSignals.install()
  do {
    let status = try body(world)
    // Nobody leaves before rank 0 has written everything.
    try world.barrier()
    Communicator.finish(status: status.rawValue)
  } catch let error as CollectiveError {
    world.abort(reason: "\(error)", status: ExitStatus.failed.rawValue)
  } catch {
    // Every rank is here for the same reason.
    if world.rank == 0 { printError("\(error)") }
    try? world.barrier()
    Communicator.finish(
      status: ExitStatus(for: error).rawValue, isPermanent: (error as? any StatusError)?.isPermanent ?? false)
  }
}
