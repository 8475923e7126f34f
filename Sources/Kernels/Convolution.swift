/// How a convolution is computed.
public enum ConvolutionAlgorithm: String, CaseIterable, Sendable {
  /// Patches written out as a matrix, then OpenBLAS: the baseline of the bench.
  case im2col
}

/// A planned convolution: the algorithms are chosen and the working memory is reserved once for a shape, then every
/// call computes up to `shape.images` images in NHWC with a filter in HWIO order, without allocating.
///
/// The same thread count gives the same bits.
public final class Convolution {
  public let shape: ConvolutionShape
  private let team: ThreadTeam
  private let scratch: Scratch
  private let im2col: Im2colConvolution

  /// - Parameter algorithm: nil for the fastest; otherwise forced where it applies, for tests and benches.
  public init(_ shape: ConvolutionShape, team: ThreadTeam, scratch: Scratch, algorithm: ConvolutionAlgorithm? = nil) {
    self.shape = shape
    self.team = team
    self.scratch = scratch
    im2col = Im2colConvolution(shape, scratch: scratch)
  }

  /// output[images, outputHeight, outputWidth, outputChannels] = input[images, height, width, inputChannels] * filter.
  public func forward(
    images: Int, input: UnsafePointer<Float>, filter: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>
  ) {
    precondition(images <= shape.images, "planned for \(shape.images) images, not \(images)")
    im2col.forward(images: images, input: input, filter: filter, output: output, patches: scratch.pointer)
  }

  /// inputGradient[images, height, width, inputChannels] (+)= the gradient of sum(output * outputGradient).
  public func inputGradient(
    images: Int, outputGradient: UnsafePointer<Float>, filter: UnsafePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    precondition(images <= shape.images, "planned for \(shape.images) images, not \(images)")
    im2col.inputGradient(
      images: images, outputGradient: outputGradient, filter: filter, inputGradient: inputGradient,
      accumulate: accumulate, patches: scratch.pointer)
  }

  /// filterGradient[kernel, kernel, inputChannels, outputChannels] = the gradient of sum(output * outputGradient).
  public func filterGradient(
    images: Int, input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    filterGradient: UnsafeMutablePointer<Float>
  ) {
    precondition(images <= shape.images, "planned for \(shape.images) images, not \(images)")
    im2col.filterGradient(
      images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient,
      patches: scratch.pointer)
  }
}
