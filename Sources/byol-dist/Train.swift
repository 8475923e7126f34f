import Collectives
import Training

/// Runs a training on the ranks that mpirun started, or alone, and ends the process.
func train(_ request: RunRequest, on place: LaunchPlace) throws -> Never {
  try request.configuration.validate(ranks: place.ranks)
  let world = try Communicator.start()
  // After MPI, which brings handlers of its own.
  StopSignals.install()
  do {
    let trainer = try Trainer(request, world: world)
    let outcome = try trainer.run()
    if case .stopped(let step) = outcome, world.rank == 0 {
      printError(
        "stopped after a complete checkpoint of step \(step); the same command with --out \(trainer.path) goes on")
    }
    // Nobody leaves before rank 0 has written everything.
    try world.barrier()
    Communicator.finish(status: (outcome == .finished ? ExitStatus.done : .requeue).rawValue)
  } catch let error as CollectiveError {
    world.abort(reason: "\(error)", status: ExitStatus.failed.rawValue)
  } catch {
    // Every rank is here for the same reason.
    if world.rank == 0 { printError("\(error)") }
    try? world.barrier()
    Communicator.finish(status: ExitStatus(for: error).rawValue)
  }
}
