import Collectives
import Kernels
import Layers
import Methods

/// Replicas that no longer agree: a bug, or memory that went bad. The run stops.
public struct ReplicaDifference: Error, CustomStringConvertible {
  public let rank: Int
  public let tensor: String
  public var description: String {
    "replicas differ: rank \(rank) has another \(tensor) than rank 0; stopped before it spreads"
  }
}

/// Compares a hash of every tensor across ranks; replicas must stay bitwise equal. Ranks of a host may have one copy of the
/// parameters between them (`HostUpdate`), which is then compared between hosts.
public enum ReplicaCheck {
  /// Collective.
  /// - Throws: `ReplicaDifference` on every rank, naming the first rank and tensor that differ from rank 0's.
  public static func run(_ method: Siamese, communicator: Communicator) throws {
    guard communicator.size > 1 else { return }
    let tensors = ModelTensors.inMemory(method).filter { !$0.isPerRank }
    let hashes = tensors.map { hash($0.start, $0.count) }
    let all = try communicator.allGather(hashes)
    for (rank, theirs) in all.enumerated() {
      for (index, tensor) in tensors.enumerated() where theirs[index] != all[0][index] {
        throw ReplicaDifference(rank: rank, tensor: tensor.name)
      }
    }
  }

  /// FNV-1a over the words of the floats, in eight lanes so that it keeps up with memory.
  package static func hash(_ start: UnsafePointer<Float>, _ count: Int) -> UInt64 {
    let prime: UInt64 = 0x100_0000_01B3
    var lanes = SIMD8<UInt64>(repeating: 0xCBF2_9CE4_8422_2325)
    var index = 0
    while index + 8 <= count {
      let words = UnsafeRawPointer(start + index).loadUnaligned(as: SIMD8<UInt32>.self)
      lanes = (lanes ^ SIMD8<UInt64>(truncatingIfNeeded: words)) &* prime
      index += 8
    }
    var result: UInt64 = 0xCBF2_9CE4_8422_2325
    for lane in 0..<8 { result = (result ^ lanes[lane]) &* prime }
    while index < count {
      result = (result ^ UInt64(start[index].bitPattern)) &* prime
      index += 1
    }
    return result
  }
}
