import Collectives
import Foundation
import Synchronization

/// Behaves towards launch/run as byol-dist does, without its work: `Tests/Launch` and `Tests/Cluster` start it.
///
/// STAND_IN says what it does: "status N" ends all ranks with N; "crash FILE" dies by a signal unless FILE exists,
/// which it makes first; "steps N" takes N steps of 50 ms, going on from the count in the file STAND_IN_STATE, and
/// answers TERM or USR1 at any rank by writing that count for a second and ending with 75.
enum StandIn {
  private static let asked = Atomic<Int32>(0)

  static func serve(_ arguments: [String], _ world: Communicator) -> Never {
    let environment = ProcessInfo.processInfo.environment
    let words = (environment["STAND_IN"] ?? "status 0").split(separator: " ").map { String($0) }
    do {
      if world.rank == 0 {
        let threads = environment["OPENBLAS_NUM_THREADS"] ?? "none"
        print("ranks \(world.size) threads \(threads) arguments", arguments)
        fflush(nil)
      }
      switch words[0] {
      case "crash":
        let first = !FileManager.default.fileExists(atPath: words[1])
        try world.barrier()
        if first && world.rank == world.size - 1 {
          _ = FileManager.default.createFile(atPath: words[1], contents: nil)
          kill(getpid(), SIGKILL)
        }
        try world.barrier()
        Communicator.finish(status: 0)
      case "steps": try steps(Int(words[1]) ?? 0, environment["STAND_IN_STATE"] ?? "", world)
      default: Communicator.finish(status: Int32(words[1]) ?? 1)
      }
    } catch {
      world.abort(reason: "\(error)", status: 1)
    }
  }

  private static func steps(_ total: Int, _ state: String, _ world: Communicator) throws -> Never {
    for number in [SIGTERM, SIGUSR1] {
      signal(number) { number in StandIn.asked.store(number, ordering: .relaxed) }
    }
    var step = Int((try? String(contentsOfFile: state, encoding: .utf8)) ?? "0") ?? 0
    if world.rank == 0 {
      print("starts at \(step > 0 ? "a later step" : "0")")
      fflush(nil)
    }
    while step < total {
      usleep(50_000)
      step += 1
      CollectiveWatchdog.note("stand-in", step: step)
      guard try world.allReduce(asked.load(ordering: .relaxed), .max) != 0 else { continue }
      if world.rank == 0 {
        sleep(1)
        try String(step).write(toFile: state, atomically: true, encoding: .utf8)
        print("checkpoint written")
        fflush(nil)
      }
      Communicator.finish(status: 75)
    }
    if world.rank == 0 { print("finished") }
    Communicator.finish(status: 0)
  }
}
