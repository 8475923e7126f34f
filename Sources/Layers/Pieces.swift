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

/// Who takes the gradient that a unit computes for its input, while the caches have it.
struct GradientTaker {
  /// Called before the first piece.
  let start: (_ gradient: UnsafeMutablePointer<Float>, _ pieces: Pieces) -> Void
  /// Called for every piece, by any thread.
  let take: (_ gradient: UnsafeMutablePointer<Float>, _ piece: Int, _ pieces: Pieces) -> Void
}
