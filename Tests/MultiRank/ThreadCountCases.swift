import Collectives
import Machine
import Training

/// What the ranks of a host agree on by the cores that each may use.
var threadCountCases: [MultiRankCase] {
  [
    MultiRankCase(name: "threads: the rank with the fewest cores decides for all") { world in
      // Cores of its own: 2 for rank 0, 3 for rank 1, and so on.
      let place = ProcessPlace(cores: Set((0..<world.rank + 2).map { 100 * world.rank + $0 }), quotas: [])
      try expectEqual(try ThreadCount.resolve(place, world: world), 2, "threads")
      let host = try world.splitByHost()
      try expect(try ThreadCount.hasCores(2, host: host, place: place), "2 threads have no cores")
      try expect(try !ThreadCount.hasCores(3, host: host, place: place), "rank 0 has a third core")
      try expectEqual(try ThreadCount.resolve(7, world: world), 7, "threads that the user said")
    },
    MultiRankCase(name: "threads: ranks that may use the same cores divide them") { world in
      let shared = ProcessPlace(cores: [0, 1, 2, 3, 4, 5], quotas: [])
      try expectEqual(try ThreadCount.resolve(shared, world: world), max(1, 6 / world.size), "threads")
      try expectEqual(
        try ThreadCount.hasCores(1, host: try world.splitByHost(), place: shared), world.size <= 6, "whether one has")
      let quota = ProcessPlace(cores: shared.cores, quotas: [CPUQuota(group: .max, cores: 3.5)])
      try expectEqual(try ThreadCount.resolve(quota, world: world), max(1, 4 / world.size), "threads of a quota")
    },
  ]
}
