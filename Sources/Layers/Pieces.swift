import Kernels

/// A pass cut into pieces of a few images, which the threads of a rank take as they get free. Whoever computes a piece, what
/// it adds to the sums of a norm goes into its own place and is added up in order.
package struct Pieces: Equatable {
  package let images: Int
  /// Images of a piece; the last may have fewer.
  package let size: Int

  package init(images: Int, size: Int) {
    self.images = images
    self.size = max(1, size)
  }

  package var count: Int { (images + size - 1) / size }

  package subscript(_ index: Int) -> Range<Int> { index * size..<min((index + 1) * size, images) }
}

/// Takes in the gradient of what a unit or a block puts out, in pieces: while the caches have them where it is handed to
/// what computes them.
package struct GradientTaker {
  /// A norm and what it takes the gradient with; see `Normalization.observeGradient`.
  private let norm: any Normalization
  private let x: UnsafePointer<Float>
  private let mask: ReLUMask
  private let weights: Weights
  /// A block's projection, its norm and what that was computed from: what the mask leaves of the gradient is its too.
  private let projection: (norm: any Normalization, x: UnsafePointer<Float>)?

  init(
    _ norm: any Normalization, x: UnsafePointer<Float>, mask: ReLUMask, weights: Weights,
    projection: (norm: any Normalization, x: UnsafePointer<Float>)? = nil
  ) {
    self.norm = norm
    self.x = x
    self.mask = mask
    self.weights = weights
    self.projection = projection
  }

  /// Before the first piece.
  func start(_ pieces: Pieces) {
    norm.startObserving(pieces)
    projection?.norm.startObserving(pieces)
  }

  /// Every piece, by any thread.
  func take(_ gradient: UnsafeMutablePointer<Float>, _ piece: Int, _ pieces: Pieces) {
    norm.observeGradient(gradient, x: x, mask: mask, piece: piece, of: pieces, weights: weights)
    guard let (norm, x) = projection else { return }
    norm.observeGradient(gradient, x: x, mask: .none, piece: piece, of: pieces, weights: weights)
  }

  /// All of it, where it is there already.
  package func takeAll(_ gradient: UnsafeMutablePointer<Float>, _ pieces: Pieces, team: ThreadTeam) {
    start(pieces)
    team.deal(pieces.count) { take(gradient, $1, pieces) }
  }
}
