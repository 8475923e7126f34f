import Collectives
import Kernels
import Layers
import NetworkTesting
import XCTest

/// Fails unless `got` is within `tolerance` of `wanted`, relative to its largest magnitude (or `scale`).
func assertClose(
  _ got: [Float], _ wanted: [Float], within tolerance: Double, scale: Double = 0, _ what: String,
  file: StaticString = #filePath, line: UInt = #line
) {
  let found = distance(got, wanted, scale: scale)
  XCTAssert(found <= tolerance, "\(what) is off by \(found)", file: file, line: line)
}

func fixture(_ name: String) throws -> Fixture { try Fixture(name, #filePath) }

func ghosts(_ samples: Int, views: ViewNormalization = .apart) throws -> BatchNormScopes {
  try BatchNormScopes(.ghost(samples), views: views, world: try Communicator.start())
}

/// A norm alone, under the name "norm".
func normRig(
  _ kind: NormKind, channels: Int, rowsPerImage: Int, views: Int = 1, imagesPerView: Int,
  scope: BatchNormScopes = .local, threads: Int = 1
) -> LayerRig<any Normalization> {
  LayerRig(views: views, imagesPerView: imagesPerView, scope: scope, threads: threads) { plan, context in
    kind.layer(
      "norm", channels: channels, rowsPerImage: rowsPerImage, group: context.scopes.encoder, plan: plan,
      context: context)
  }
}

/// Every gradient in the store against the fixture's. A bias before a norm has no gradient but rounding, so each tensor is
/// measured by at least a thousandth of the largest.
func assertGradients(
  _ store: ParameterStore, _ fixture: Fixture, within tolerance: Double, _ what: String, key: (String) -> String
) throws {
  let wanted = try store.parameters.map { try fixture.tensor(key($0.name)).values }
  let largest = wanted.map(magnitude).max() ?? 0
  for (found, wanted) in zip(store.named(gradients: true), wanted) {
    assertClose(found.values, wanted, within: tolerance, scale: largest * 1e-3, "\(what): gradient of \(found.name)")
  }
}

func assertBuffers(
  _ store: ParameterStore, _ fixture: Fixture, within tolerance: Double, _ what: String, key: (String) -> String
) throws {
  for buffer in store.namedBuffers() {
    assertClose(
      buffer.values, try fixture.tensor(key(buffer.name)).values, within: tolerance, "\(what): \(buffer.name)")
  }
}

/// Σ a b in double.
func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }

extension String {
  /// The name without its first part.
  var tail: String { String(self[index(after: firstIndex(of: ".")!)...]) }
}
