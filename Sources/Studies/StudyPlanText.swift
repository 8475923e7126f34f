import Training

extension Study {
  /// What `--dry-run` prints: the base, then every run with what differs from it.
  /// - Throws: `UsageError` where a run cannot be run on so many ranks.
  public func plan(ranks: Int, path: String) throws -> String {
    let runs = try runs(ranks: ranks)
    let width = runs.map(\.name.count).max() ?? 0
    let lines = runs.map { run in
      let gap = String(repeating: " ", count: width - run.name.count)
      return run.name + (run.differences.isEmpty ? "" : gap + StudyRunner.list(run.differences))
    }
    return
      ([RunRequest(configuration: base, recipe: recipe).text(ranks: ranks), "\(runs.count) runs in \(path):"] + lines
      + StudyDirectory.notes(runs)).joined(separator: "\n")
  }
}
