import Kernels

/// What a block adds to its last unit's output before the ReLU: a map, or another norm's output, made as it is added.
package struct Shortcut {
  /// Where the map lies, or what it is made of.
  let place: UnsafePointer<Float>
  private let normalization: (affines: InputActivation, relu: Bool)?

  package init(_ map: UnsafePointer<Float>) { (place, normalization) = (map, nil) }

  /// relu?(norm(x)) of a norm that is settled, if it is one that its readers can compute.
  init?(_ norm: any Normalization, _ x: UnsafePointer<Float>, relu: Bool) {
    guard let affines = norm.activation(from: 0) else { return nil }
    (place, normalization) = (x, (affines, relu))
  }

  /// From an offset in floats on, where an image's rows lie.
  func residual(from offset: Int, ofImage image: Int) -> Residual {
    guard let (affines, relu) = normalization else { return Residual(place + offset) }
    return Residual(place + offset, affine: affines.affine(ofImage: image), relu: relu)
  }

  /// The map, of a norm that no reader can compute, as those of one network are all alike.
  var written: UnsafePointer<Float> {
    precondition(normalization == nil, "a shortcut through another kind of norm")
    return place
  }
}

/// A normalisation between a convolution or linear layer and its ReLU, with the residual sum and ReLU joined in.
///
/// Maps are [images * rowsPerImage x channels]; a head has one row an image. Where a max-pooling comes before `apply`, what is
/// applied and `observeGradient` see the pooled maps, and the rest those that statistics are taken of.
package protocol Normalization: AnyObject {
  /// Makes room for what `observe` or `observeGradient` will take in.
  func startObserving(_ pieces: Pieces)

  /// Takes in a piece of the map x; every piece once, in any order and by any thread.
  /// - Parameter first: the image that x begins with.
  func observe(_ x: UnsafePointer<Float>, from first: Int, piece: Int, of pieces: Pieces)

  /// What each channel is scaled by once it has a deviation of 1, whose sign says whether norm(x) rises or falls with x before
  /// there are statistics; nil where all rise.
  func gamma(_ weights: Weights) -> UnsafePointer<Float>?

  /// Starts to make statistics of what was observed, all `images` of it. Where other ranks share in them, the message
  /// is under way until `settle`, which the same must call before the next of these.
  func startSettling(images: Int, weights: Weights) throws

  /// Waits for the statistics and keeps them for `apply` and the backward pass; nothing when they are there.
  func settle(weights: Weights) throws

  /// output = relu?(norm(x) (+ residual)) for some images of the maps x and residual; output begins with the first of
  /// the range. Activations are computed again in the backward pass rather than kept.
  func apply(
    _ x: UnsafePointer<Float>, residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Range<Int>, weights: Weights, team: ThreadTeam)

  /// relu(norm(x)) as a convolution can compute it from x, of the images from one on; nil where it cannot.
  func activation(from image: Int) -> InputActivation?

  /// Takes in the gradient of `apply`'s output for a piece of the maps, as `observe`. Where the mask is a kept output,
  /// `gradient` is left as the gradient before the ReLU, which is what the residual branch receives; where it is
  /// recomputed, `gradient` may be left as it was.
  func observeGradient(
    _ gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask, piece: Int, of pieces: Pieces,
    weights: Weights)

  /// Overwrites the parameters' gradients and starts to make of what was observed what `applyGradient` needs.
  func startSettlingGradient(images: Int, weights: Weights) throws

  /// Waits for that; nothing when it is there.
  func settleGradient() throws

  /// Writes the gradient of x for some images of the maps; `inputGradient` may be `gradient`.
  /// - Parameter first: the image that both gradients begin with; x begins with the batch's first.
  func applyGradient(
    _ gradient: UnsafePointer<Float>, from first: Int, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Range<Int>, weights: Weights, team: ThreadTeam)
}

extension Normalization {
  package func activation(from image: Int) -> InputActivation? { nil }

  /// Takes in all of the map x.
  package func observe(_ x: UnsafePointer<Float>, images: Int, team: ThreadTeam) {
    let pieces = Pieces(images: images, size: Self.imagesAtOnce)
    startObserving(pieces)
    team.deal(pieces.count) { observe(x, from: 0, piece: $1, of: pieces) }
  }

  /// Of a head, where an image is a row.
  private static var imagesAtOnce: Int { 32 }

  /// All of it at once: takes the gradient of `apply`'s output and writes the gradient of x.
  package func backward(
    gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Int, weights: Weights, team: ThreadTeam
  ) throws {
    GradientTaker(self, x: x, mask: mask, weights: weights).takeAll(
      gradient, Pieces(images: images, size: Self.imagesAtOnce), team: team)
    try startSettlingGradient(images: images, weights: weights)
    try settleGradient()
    applyGradient(
      gradient, from: 0, x: x, mask: mask, inputGradient: inputGradient, images: 0..<images, weights: weights,
      team: team)
  }
}

extension NormKind {
  /// Makes the layer, with its parameters under `name`.
  /// - Parameters:
  ///   - pooledRows: rows of an image that a max-pooling leaves to normalise, where there is one.
  ///   - group: the samples that share statistics, where the batch enters.
  package func layer(
    _ name: String, channels: Int, rowsPerImage: Int, pooledRows: Int? = nil, group: BatchNormGroup,
    plan: ParameterPlan, context: NetworkContext
  ) -> any Normalization {
    switch self {
    case .bn, .brn:
      BatchNorm(
        name, channels: channels, rowsPerImage: rowsPerImage, pooledRows: pooledRows, group: group,
        renorm: self == .brn ? context.scopes.renorm : nil, plan: plan, context: context)
    case .ln:
      GroupNorm(
        name, groups: 1, channels: channels, rowsPerImage: rowsPerImage, pooledRows: pooledRows, plan: plan,
        context: context)
    case .gn:
      GroupNorm(
        name, groups: GroupNorm.groups(channels), channels: channels, rowsPerImage: rowsPerImage,
        pooledRows: pooledRows, plan: plan, context: context)
    case .none:
      NoNorm(channels: channels, rowsPerImage: rowsPerImage, pooledRows: pooledRows)
    }
  }
}

/// Nothing is normalised; the residual sum and the ReLU remain.
package final class NoNorm: Normalization {
  private let floatsPerImage, appliedFloats: Int

  package init(channels: Int, rowsPerImage: Int, pooledRows: Int? = nil) {
    floatsPerImage = channels * rowsPerImage
    appliedFloats = channels * (pooledRows ?? rowsPerImage)
  }

  package func startObserving(_ pieces: Pieces) {}

  package func observe(_ x: UnsafePointer<Float>, from first: Int, piece: Int, of pieces: Pieces) {}

  package func gamma(_ weights: Weights) -> UnsafePointer<Float>? { nil }

  package func startSettling(images: Int, weights: Weights) {}

  package func settle(weights: Weights) {}

  package func apply(
    _ x: UnsafePointer<Float>, residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Range<Int>, weights: Weights, team: ThreadTeam
  ) {
    let first = images.lowerBound * appliedFloats
    PassThrough.forward(
      x + first, residual: residual.map { $0.written + first }, relu: relu, output: output,
      count: images.count * appliedFloats, team: team)
  }

  package func observeGradient(
    _ gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask, piece: Int, of pieces: Pieces,
    weights: Weights
  ) {
    switch mask {
    case .none: break
    case .output(let output): zero(gradient, where: output, pieces[piece])
    case .recomputed: zero(gradient, where: x, pieces[piece])
    }
  }

  package func startSettlingGradient(images: Int, weights: Weights) {}

  package func settleGradient() {}

  package func applyGradient(
    _ gradient: UnsafePointer<Float>, from first: Int, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Range<Int>, weights: Weights, team: ThreadTeam
  ) {
    guard inputGradient != gradient else { return }
    let at = (images.lowerBound - first) * floatsPerImage
    (inputGradient + at).update(from: gradient + at, count: images.count * floatsPerImage)
  }

  private func zero(
    _ gradient: UnsafeMutablePointer<Float>, where activation: UnsafePointer<Float>, _ images: Range<Int>
  ) {
    PassThrough.mask(
      gradient, where: activation, images.lowerBound * appliedFloats..<images.upperBound * appliedFloats)
  }
}
