import Collectives
import Files
import Foundation
import Images
import Kernels
import Layers
import Methods

/// A run whose data is open and whose settings are checked and resolved, the same on all ranks; nothing is computed and
/// no file written yet.
package struct PreparedRun {
  /// As asked for.
  let request: RunRequest
  /// As in force.
  let settings: Configuration
  let splits: DatasetSplits
  /// `DatasetSplits.digest` of the images, on all ranks.
  let dataDigest: String
  let ranks: Int
  let totalSteps: Int
  /// Of this rank.
  let threads: Int

  /// Opens the data and checks the settings: what a user can have got wrong is found here, but for the run directory.
  /// Collective.
  /// - Throws: `SharedError` with the reason on every rank; `CollectiveError`.
  package init(_ request: RunRequest, world: Communicator) throws {
    CollectiveWatchdog.note("start")
    self.request = request
    let asked = request.configuration
    ranks = world.size
    try world.together { try request.validate(ranks: world.size) }
    let (splits, digest) = try Self.openData(asked, world)
    (self.splits, dataDigest) = (splits, digest)
    let ranksOnHost = try world.splitByHost().size
    let fewestOnHost = Int(try world.allReduce(Int64(ranksOnHost), .min))
    try world.together {
      try asked.validate(ranks: world.size, fewestRanksOnHost: fewestOnHost, samples: splits.train.count)
    }
    totalSteps = asked.totalSteps(samples: splits.train.count)
    threads = try ThreadCount.resolve(asked.threads, world: world)
    settings = asked.resolved(
      samples: splits.train.count, side: max(splits.train.height, splits.train.width),
      threads: Int(try world.broadcast([Int64(threads)], from: 0)[0]))
    try MemoryCheck.run(settings, splits: splits, threads: threads, ranksOnHost: ranksOnHost, world: world)
  }

  /// Finds out whether the file of `--init` fits the networks, before anything is made of it. Not collective.
  /// - Throws: `FileError`, `ModelFileError`.
  package func checkInit() throws {
    guard let path = settings.initFile else { return }
    // Batches of a few images cost no memory to speak of.
    let method = Siamese(
      settings.modelShape, plan: settings.methodPlan, layout: BatchLayout(views: 2, imagesPerView: 2),
      scope: BatchNormScopes(local: settings.bnViews), world: try .alone(), team: ThreadTeam(threads: 1))
    defer { method.context.team.end() }
    do { try ModelTensors.override(method, with: try SafetensorsFile(path: path)) } catch let error as FileError {
      throw FileError("--init " + error.path, reason: error.reason, code: error.code)
    } catch let error as ModelFileError {
      throw ModelFileError(description: "--init \(error)")
    }
  }

  /// The data on every rank, which must be the same: a path may be another folder on each host.
  private static func openData(_ asked: Configuration, _ world: Communicator) throws -> (DatasetSplits, String) {
    let (splits, digest) = try world.together {
      let splits = try DatasetSource.open(asked.data, seed: asked.seed)
      guard splits.test.count >= 2 else {
        throw UsageError(
          "--data \(shown(asked.data)): has \(splits.test.count) test images; should be at least 2, for probes")
      }
      return (splits, try splits.digest())
    }
    let first = String(decoding: try world.broadcast(Array(digest.utf8), from: 0), as: UTF8.self)
    try world.together {
      guard digest == first else {
        throw UsageError(
          "--data \(shown(asked.data)): holds \(digest) here and \(first) on rank 0; should be the same images on all ranks"
        )
      }
    }
    return (splits, digest)
  }

  /// What config.json holds.
  package var json: JSON { request.json(ranks: ranks, dataDigest: dataDigest, resolved: settings) }

  /// A run's first lines: every setting in force.
  var text: String {
    RunRequest(configuration: settings, recipe: request.recipe, file: request.file).text(ranks: ranks)
  }

  static let digestKey = "data_digest"
  /// The keys that must be the same for a run to go on. The data's path is none: its images are compared.
  package static var binding: [String] {
    [digestKey] + Configuration.settings.filter { $0.shapesResults && $0.name != "data" }.map(\.key)
  }
}
