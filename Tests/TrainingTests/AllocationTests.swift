import CAllocations
import Collectives
import Kernels
import Layers
import Methods
import Training
import XCTest

/// What a step needs is planned before the first one.
final class AllocationTests: XCTestCase {
  func testStepsAllocateNothing() throws {
    for method in MethodKind.allCases {
      for norm in [NormKind.bn, .gn] { try check(method, norm) }
    }
  }

  func testAllocationsAreCounted() {
    let before = allocations_of_this_thread()
    var numbers = [Int](repeating: 1, count: Int.random(in: 100...200))
    numbers.append(2)
    XCTAssertGreaterThan(allocations_of_this_thread(), before, "\(numbers.count)")
  }

  private func check(_ method: MethodKind, _ norm: NormKind) throws {
    var settings = Recipe.quick.configuration
    settings.method = method
    (settings.encoderNorm, settings.projectorNorm) = (norm, norm)
    (settings.width, settings.hidden, settings.dim) = (8, 16, 8)
    (settings.batch, settings.steps, settings.imageSize) = (8, 20, 32)
    let step = try TrainingStep(settings, total: 20, threads: 1, spins: 100, world: try Communicator.start())
    let views = AlignedBuffer(count: 2 * settings.batch * settings.imageSize * settings.imageSize * 3)
    for i in 0..<views.count { views.pointer[i] = Float((i &* 2_654_435_761) % 1000) / 1000 }
    for index in 0..<3 { _ = try step.run(index, views: views.pointer, stop: false, detail: .effectiveRank) }
    let before = allocations_of_this_thread()
    for index in 3..<8 { _ = try step.run(index, views: views.pointer, stop: false, detail: .effectiveRank) }
    XCTAssertEqual(allocations_of_this_thread() - before, 0, "\(method) with \(norm), five steps")
  }
}
