import Collectives
import Kernels

/// How a local batch is made of views: view 0's images, then view 1's, and so on.
public struct BatchLayout: Sendable, Equatable {
  public let views: Int
  public let imagesPerView: Int
  public var images: Int { views * imagesPerView }

  public init(views: Int, imagesPerView: Int) {
    self.views = views
    self.imagesPerView = imagesPerView
  }
}

/// Whether batch norm uses its batch's statistics or the running ones.
public enum Phase: Sendable { case training, evaluation }

/// Maps that no pass needs later live in one shared buffer a role; the largest layer sets its size.
public final class SharedMaps {
  public enum Role: Int, CaseIterable {
    case activation, convolution0, convolution1, convolution2, shortcut0, shortcut1, output0, output1
    case gradient0, gradient1, work0, work1
  }

  private let maps = Role.allCases.map { _ in Scratch() }

  public init() {}

  subscript(_ role: Role) -> Scratch { maps[role.rawValue] }
}

/// What the layers of one network share: threads, scratch, the batch's layout, the batch-norm scopes and the phase.
public final class NetworkContext {
  public let team: ThreadTeam
  public let scratch: Scratch
  public let maps: SharedMaps
  public let layout: BatchLayout
  public let scopes: BatchNormScopes
  /// Whether a backward pass will follow, so that each layer keeps what it needs.
  public let keepsActivations: Bool
  public var phase = Phase.training
  /// Where this rank's time goes.
  public let clock: PhaseClock
  /// Told, during the backward pass, the offset from which on all gradients of the flat buffer are complete.
  /// From then on neither they nor the parameters there are used in this step.
  public var gradientsReady: ((Int) throws -> Void)?
  /// Does a little of what else there is to do while other ranks' statistics are waited for; false where there is nothing.
  public var whileWaiting: () -> Bool = { false }

  public init(
    team: ThreadTeam, scratch: Scratch, maps: SharedMaps, layout: BatchLayout, scope: BatchNormScopes,
    keepsActivations: Bool, clock: PhaseClock = PhaseClock()
  ) {
    self.clock = clock
    self.team = team
    self.scratch = scratch
    self.maps = maps
    self.layout = layout
    scopes = scope
    self.keepsActivations = keepsActivations
  }

  /// A map that outlives the forward pass where a backward pass follows, and is shared where none does.
  func map(_ floats: Int, otherwise role: SharedMaps.Role) -> Scratch {
    let map = keepsActivations ? Scratch() : maps[role]
    map.reserve(floats)
    return map
  }

  func shared(_ role: SharedMaps.Role, _ floats: Int) -> Scratch {
    maps[role].reserve(floats)
    return maps[role]
  }
}

extension NetworkContext {
  /// One of the two maps that a block's backward pass takes its gradient in, for tests of a block alone.
  package var gradientMap: UnsafeMutablePointer<Float> { maps[.gradient0].pointer }
}
