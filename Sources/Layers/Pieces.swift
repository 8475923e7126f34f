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
  /// Called before the first piece.
  let start: (_ gradient: UnsafeMutablePointer<Float>, _ pieces: Pieces) -> Void
  /// Called for every piece, by any thread.
  let take: (_ gradient: UnsafeMutablePointer<Float>, _ piece: Int, _ pieces: Pieces) -> Void

  /// All of it, where it is there already.
  package func takeAll(_ gradient: UnsafeMutablePointer<Float>, _ pieces: Pieces, team: ThreadTeam) {
    start(gradient, pieces)
    team.deal(pieces.count) { take(gradient, $1, pieces) }
  }
}
