/// What a convolution may do to each pixel that it reads: relu(x * scale + shift), the activation behind a batch
/// norm, with the statistics of the image's segment. Its zeros around the map stay zeros.
public struct InputActivation: @unchecked Sendable {
  /// One for each segment of as many images, of all that the segments are cut from; `firstImage` of those is the first that
  /// is read.
  let affines: UnsafePointer<ChannelAffine>
  let imagesPerAffine: Int
  let firstImage: Int

  public init(affines: UnsafePointer<ChannelAffine>, imagesPerAffine: Int, firstImage: Int) {
    self.affines = affines
    self.imagesPerAffine = imagesPerAffine
    self.firstImage = firstImage
  }

  @inline(__always)
  public func affine(ofImage image: Int) -> ChannelAffine { affines[(firstImage + image) / imagesPerAffine] }
}

/// A vector of channels of an `InputActivation`; the same operations as `ChannelNormalize.forward`, so the same bits.
struct ActivationVector<V: FloatVector> {
  private let scale, shift: V

  @inline(__always)
  init(_ affine: ChannelAffine, _ channel: Int) {
    scale = V.load(affine.scale + channel)
    shift = V.load(affine.shift + channel)
  }

  @inline(__always)
  func callAsFunction(_ x: V) -> V {
    shift.addingProduct(x, scale).rectified
  }
}
