import Collectives
import Files
import Layers
import Methods

/// Saving and restoring: rank 0 writes and reads, the others are sent what it read.
extension Trainer {
  /// Writes a complete checkpoint of `step` finished steps. Collective.
  func checkpoint(step: Int) throws {
    CollectiveWatchdog.note("checkpoint", step: step)
    let ownStatistics = try RunningStatistics.gathered(method, communicator: world)
    try RunningStatistics.averaged(method, communicator: world) {
      try world.together {
        guard let record else { return }
        let (method, optimizer) = (self.method, self.optimizer)
        try record.checkpoint(
          step: step,
          files: [
            ("model.safetensors", { ModelTensors.add(method, to: &$0) }),
            (
              "optimizer.safetensors",
              { writer in
                ModelTensors.addParameters(
                  method.online.parameters, optimizer.velocity.pointer, ModelTensors.velocityPrefix, to: &writer)
                ModelTensors.addQueue(method, to: &writer)
                if !ownStatistics.isEmpty { writer.add(Self.ownStatisticsName, values: ownStatistics) }
              }
            ),
          ],
          state: .object(
            [
              .init("ranks", JSON(world.size)), .init("seed", JSON(settings.seed)),
              .init(PreparedRun.digestKey, JSON(prepared.dataDigest)),
            ] + progress.figures
              + [.init("collapse", progress.collapse.json)]))
      }
    }
  }

  private static let ownStatisticsName = "ranks.running_statistics"

  /// Goes on from a checkpoint that rank 0 has verified. Collective.
  func restore(_ start: RunStart) throws {
    var ownStatistics: [Float] = []
    try world.together {
      guard let record, case .resume(let checkpoint) = record.directory.start else { return }
      try ModelTensors.read(method, from: try SafetensorsFile(path: checkpoint.file("model.safetensors")))
      let file = try SafetensorsFile(path: checkpoint.file("optimizer.safetensors"))
      try ModelTensors.readParameters(
        method.online.parameters, into: optimizer.velocity.pointer, ModelTensors.velocityPrefix, from: file)
      try ModelTensors.readQueue(method, from: file)
      if file.tensors[Self.ownStatisticsName] != nil { ownStatistics = try file.floats(Self.ownStatisticsName) }
    }
    try shareWeights()
    try world.broadcast(optimizer.velocity.floats, from: 0)
    if let queue = method.queue {
      try world.broadcast(queue.keys.floats, from: 0)
      queue.restore(next: Int(try world.broadcast([Int64(queue.next)], from: 0)[0]))
    }
    if method.online.hasStatisticsPerRank {
      RunningStatistics.restore(
        try world.broadcast(ownStatistics, from: 0), to: method, communicator: world)
    }
    progress = RunProgress(state: start.state)
    say("resumed from step \(start.step) of \(totalSteps)")
  }

  /// Replaces starting weights by a file's. Collective.
  func loadInit(_ path: String) throws {
    try world.together {
      if world.rank == 0 { try ModelTensors.override(method, with: try SafetensorsFile(path: path)) }
    }
    try shareWeights()
    say("starting weights from \(path)")
  }

  /// Gives all ranks rank 0's networks.
  private func shareWeights() throws {
    for (_, store) in method.networks {
      try world.broadcast(store.values.floats, from: 0)
      try world.broadcast(store.running.floats, from: 0)
      store.batchesTracked = try world.broadcast([store.batchesTracked], from: 0)[0]
    }
  }
}
