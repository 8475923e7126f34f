import Kernels

/// The max-pooling behind a stem, taken of what the stem's norm has yet to normalise: a channel's y = relu(x * scale + shift)
/// rises or falls with x, so the largest y of a window is the y of its largest, or smallest, x. What is four times as large as
/// the pooled map is read once, while the caches have it, instead of normalised and read again; the numbers are the same to the
/// bit. Of two x that round to the same y the gradient goes to the one further out.
final class MaxPool {
  private let shape: ConvolutionShape
  /// x of each window, [images * rowsPerImage x channels].
  let map: Scratch
  /// Which of its window each x is; nil where no backward pass follows.
  private let chosen: UnsafeMutablePointer<UInt8>?
  /// By channel: whether y rises (1) or falls (-1) with x, or does neither (0). Most networks' channels all rise.
  private let signs: AlignedBuffer
  private var allRise = true
  /// The map's memory, asked for before threads write to it: it is allocated at first use, which must be one thread's.
  private var output: UnsafeMutablePointer<Float>?

  /// Rows of an image of the pooled map.
  static func rowsPerImage(_ shape: ConvolutionShape) -> Int {
    Pooling.pooledSize(shape.outputHeight) * Pooling.pooledSize(shape.outputWidth)
  }

  var imageFloats: Int { Self.rowsPerImage(shape) * shape.outputChannels }

  /// - Parameters:
  ///   - shape: the convolution whose output is pooled.
  ///   - role: where the pooled map goes in a network that keeps nothing.
  init(_ shape: ConvolutionShape, sharedAs role: SharedMaps.Role, context: NetworkContext) {
    self.shape = shape
    let floats = shape.images * Self.rowsPerImage(shape) * shape.outputChannels
    map = context.map(floats, otherwise: role)
    chosen = context.keepsActivations ? .allocate(capacity: floats) : nil
    signs = AlignedBuffer(count: shape.outputChannels)
  }

  deinit { chosen?.deallocate() }

  /// Before the first images of a pass, by which threads may take turns.
  /// - Parameter gamma: see `Normalization.gamma`.
  func start(gamma: UnsafePointer<Float>?) {
    output = map.pointer
    allRise = true
    for c in 0..<signs.count {
      let scale = gamma?[c] ?? 1
      signs.pointer[c] = scale > 0 ? 1 : scale < 0 ? -1 : 0
      if !(scale > 0) { allRise = false }
    }
  }

  /// Pools some images of the convolution's output.
  /// - Parameter x: begins with the first of the images.
  func forward(_ x: UnsafePointer<Float>, images: Range<Int>) {
    guard let output else { preconditionFailure("pooling before the start of a pass") }
    let first = images.lowerBound * imageFloats
    Pooling.maxForward(
      x, signs: allRise ? nil : UnsafePointer(signs.pointer), images: images.count, height: shape.outputHeight,
      width: shape.outputWidth, channels: shape.outputChannels, output: output + first,
      chosen: chosen.map { $0 + first }, team: .alone)
  }

  /// Writes one image's gradient of the convolution's output as it was pooled.
  /// - Parameter gradient: of the pooled maps of all images.
  func backward(_ gradient: UnsafePointer<Float>, image: Int, into target: UnsafeMutablePointer<Float>) {
    guard let chosen else { preconditionFailure("the backward pass of a network that keeps nothing") }
    let first = image * imageFloats
    Pooling.maxBackward(
      outputGradient: gradient + first, chosen: chosen + first, images: 1, height: shape.outputHeight,
      width: shape.outputWidth, channels: shape.outputChannels, inputGradient: target, team: .alone)
  }
}
