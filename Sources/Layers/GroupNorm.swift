import Kernels

/// Group norm (Wu & He 2018) and, with one group, layer norm (Ba et al. 2016): statistics over a sample's own
/// activations, so nothing of other images enters. As torch.nn.GroupNorm; with one row an image as torch.nn.LayerNorm.
package final class GroupNorm: Normalization {
  private let groups: Int
  private let channels: Int
  /// Of maps that statistics are taken of, and of what is normalised.
  private let rowsPerImage, appliedRows: Int
  private let context: NetworkContext
  private let gamma: Parameter
  private let beta: Parameter
  /// For each image, `channels` floats each of what its channels are normalised with, and of its backward pass.
  private enum Vector: Int, CaseIterable { case scale, shift, mean, slope, offset }
  private let vectors: AlignedBuffer
  /// For each image: what each of its channels is normalised by.
  private let statistics: UnsafeMutableBufferPointer<ChannelStatistics>
  /// For each image: two sums of each channel, Σ x and Σ x² or Σ g and Σ g xhat.
  private let sums: UnsafeMutablePointer<Double>

  /// The number of groups for a layer of `channels`: the largest divisor not above 32, as the paper's default, that
  /// leaves each at least two channels: one number alone, as a head of few channels would have it, is normalised to 0.
  package static func groups(_ channels: Int) -> Int {
    (1...max(1, min(32, channels / 2))).last { channels % $0 == 0 } ?? 1
  }

  package init(
    _ name: String, groups: Int, channels: Int, rowsPerImage: Int, pooledRows: Int? = nil, plan: ParameterPlan,
    context: NetworkContext
  ) {
    self.groups = groups
    self.channels = channels
    self.rowsPerImage = rowsPerImage
    appliedRows = pooledRows ?? rowsPerImage
    self.context = context
    gamma = plan.add(name + ".weight", shape: [channels], start: .constant(1))
    beta = plan.add(name + ".bias", shape: [channels], start: .constant(0))
    vectors = AlignedBuffer(count: context.layout.images * Vector.allCases.count * channels)
    statistics = .allocate(capacity: context.layout.images * channels)
    statistics.initialize(repeating: ChannelStatistics(mean: 0, inverse: 1))
    sums = .allocate(capacity: context.layout.images * channels * 2)
  }

  deinit {
    statistics.deallocate()
    sums.deallocate()
  }

  package func startObserving(_ pieces: Pieces) {}

  package func observe(_ x: UnsafePointer<Float>, from first: Int, piece: Int, of pieces: Pieces) {
    for image in pieces[piece] {
      let (sum, squares) = imageSums(image)
      ChannelSums.moments(
        x + (image - first) * rowsPerImage * channels, rows: rowsPerImage, channels: channels, sums: sum,
        squares: squares)
    }
  }

  package func gamma(_ weights: Weights) -> UnsafePointer<Float>? { UnsafePointer(weights.value(gamma)) }

  package func startSettling(images: Int, weights: Weights) {
    let (gamma, beta) = (weights.value(gamma), weights.value(beta))
    eachGroup(images) { image, inside, count in
      let (sum, squares) = imageSums(image)
      let mean = inside.reduce(0) { $0 + sum[$1] } / count
      let variance = max(0, inside.reduce(0) { $0 + squares[$1] } / count - mean * mean)
      let own = ChannelStatistics(mean: mean, inverse: 1 / (variance + BatchNorm.epsilon).squareRoot())
      for c in inside {
        statistics[image * channels + c] = own
        affine(image).set(c, own, gamma: Double(gamma[c]), beta: Double(beta[c]))
      }
    }
  }

  package func settle(weights: Weights) {}

  package func apply(
    _ x: UnsafePointer<Float>, residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Range<Int>, weights: Weights, team: ThreadTeam
  ) {
    let size = appliedRows * channels
    eachImage(images, team) { image in
      ChannelNormalize.forward(
        x + image * size, affine: affine(image),
        residual: residual.map { $0.residual(from: image * size, ofImage: image) }, relu: relu,
        output: output + (image - images.lowerBound) * size, rows: appliedRows, channels: channels, team: .alone)
    }
  }

  package func observeGradient(
    _ gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask, piece: Int, of pieces: Pieces,
    weights: Weights
  ) {
    let size = appliedRows * channels
    for image in pieces[piece] {
      let (sum, products) = imageSums(image)
      ChannelSums.backward(
        gradient: gradient + image * size, x: x + image * size, mask: mask.from(image * size),
        affine: affine(image),
        rows: appliedRows, channels: channels, sums: sum, products: products)
    }
  }

  /// dx = g gamma inverse - mean(g gamma inverse) - xhat mean(g gamma inverse xhat), the means over the group.
  package func startSettlingGradient(images: Int, weights: Weights) {
    eachGroup(images) { image, inside, count in
      let ((sum, products), scale) = (imageSums(image), vector(image, .scale))
      let own = statistics[image * channels + inside.lowerBound]
      for c in inside { products[c] = own.normalize(product: products[c], sum: sum[c]) }
      // gamma * inverse as rounded, by which gradients are multiplied: of few numbers nearly all of them cancels.
      let mean = inside.reduce(0) { $0 + sum[$1] * Double(scale[$1]) } / count
      let product = inside.reduce(0) { $0 + products[$1] * Double(scale[$1]) } / count
      for c in inside { line(image).set(c, own, scale: 1, meanGradient: mean, meanProduct: product) }
    }
    let (gammaGradient, betaGradient) = (weights.gradient(self.gamma), weights.gradient(beta))
    for c in 0..<channels {
      betaGradient[c] = Float((0..<images).reduce(0) { $0 + imageSums($1).0[c] })
      gammaGradient[c] = Float((0..<images).reduce(0) { $0 + imageSums($1).1[c] })
    }
  }

  package func settleGradient() {}

  package func applyGradient(
    _ gradient: UnsafePointer<Float>, from first: Int, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Range<Int>, weights: Weights, team: ThreadTeam
  ) {
    let size = rowsPerImage * channels
    eachImage(images, team) { image in
      let at = (image - first) * size
      ChannelNormalize.backward(
        gradient: gradient + at, x: x + image * size, affine: affine(image), line: line(image),
        masked: mask.isRecomputed, output: inputGradient + at, rows: rowsPerImage, channels: channels, team: .alone)
    }
  }

  private func eachImage(_ images: Range<Int>, _ team: ThreadTeam, _ body: (Int) -> Void) {
    team.split(images.count) { range in
      for index in range { body(images.lowerBound + index) }
    }
  }

  /// Visits each group of each image: its channels, and the numbers that they have together.
  private func eachGroup(_ images: Int, _ body: (_ image: Int, _ inside: Range<Int>, _ count: Double) -> Void) {
    let width = channels / groups
    eachImage(0..<images, context.team) { image in
      for group in 0..<groups {
        body(image, group * width..<(group + 1) * width, Double(rowsPerImage * width))
      }
    }
  }

  private func vector(_ image: Int, _ vector: Vector) -> UnsafeMutablePointer<Float> {
    vectors.pointer + (image * Vector.allCases.count + vector.rawValue) * channels
  }

  private func affine(_ image: Int) -> ChannelAffine {
    ChannelAffine(scale: vector(image, .scale), shift: vector(image, .shift))
  }

  private func line(_ image: Int) -> ChannelGradient {
    ChannelGradient(mean: vector(image, .mean), slope: vector(image, .slope), offset: vector(image, .offset))
  }

  private func imageSums(_ image: Int) -> (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) {
    let first = sums + image * 2 * channels
    return (first, first + channels)
  }
}
