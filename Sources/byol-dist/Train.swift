import Training

/// Runs a training on the ranks that mpirun started, or alone.
func train(_ request: RunRequest, on place: LaunchPlace) throws -> ExitStatus {
  try request.configuration.validate(ranks: place.ranks)
  if place.rank == 0 { print(request.text(ranks: place.ranks)) }
  throw UsageError("train: not available in this version")
}
