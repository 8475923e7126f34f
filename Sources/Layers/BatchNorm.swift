import Collectives
import Kernels

/// Batch norm (Ioffe & Szegedy 2015) as torch.nn.BatchNorm1d and 2d have it, over the batch-norm scope.
///
/// A view's images are cut into segments that share statistics (one, or one a ghost batch); where the scope is wider
/// than the rank, the sums of all segments cross the ranks in one all-reduce. Statistics are biased to normalise and
/// unbiased in the running variance, accumulate in double, and each view updates the running statistics once, in order.
package final class BatchNorm: Normalization {
  package static let epsilon = 1e-5
  package static let momentum = 0.1

  private let channels: Int
  private let rowsPerImage: Int
  private let context: NetworkContext
  private let gamma: Parameter
  private let beta: Parameter
  private let runningMean: RunningBuffer
  private let runningVariance: RunningBuffer
  private let segmentsPerView: Int
  private let imagesPerSegment: Int
  /// For each segment: mean, inverse deviation, scale, mean gradient, mean product; `channels` floats each.
  private let statistics: AlignedBuffer
  /// For each segment: two sums a channel.
  private let sums: UnsafeMutableBufferPointer<Double>
  private let partials: UnsafeMutablePointer<Double>
  private static let vectorsPerSegment = 5
  private var segments: Int { context.layout.views * segmentsPerView }

  package init(_ name: String, channels: Int, rowsPerImage: Int, plan: ParameterPlan, context: NetworkContext) {
    self.channels = channels
    self.rowsPerImage = rowsPerImage
    self.context = context
    gamma = plan.add(name + ".weight", shape: [channels], start: .constant(1))
    beta = plan.add(name + ".bias", shape: [channels], start: .constant(0))
    runningMean = plan.addBuffer(name + ".running_mean", count: channels, start: 0)
    runningVariance = plan.addBuffer(name + ".running_var", count: channels, start: 1)
    plan.addBatchNorm(name)
    imagesPerSegment = context.scope.samples(context.layout)
    segmentsPerView = context.layout.imagesPerView / imagesPerSegment
    precondition(
      segmentsPerView * imagesPerSegment == context.layout.imagesPerView,
      "\(context.layout.imagesPerView) images cannot be cut into ghosts of \(imagesPerSegment)")
    let segments = context.layout.views * segmentsPerView
    statistics = AlignedBuffer(count: segments * Self.vectorsPerSegment * channels)
    sums = .allocate(capacity: segments * 2 * channels)
    sums.initialize(repeating: 0)
    partials = .allocate(capacity: context.team.threads * 2 * channels)
  }

  deinit {
    sums.deallocate()
    partials.deallocate()
  }

  package func forward(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights
  ) throws {
    try settle(x, images: images, weights: weights)
    normalize(x, residual: residual, relu: relu, output: output, images: images, weights: weights)
  }

  /// Takes the statistics that the phase asks for: the batch's, or the running ones.
  private func settle(_ x: UnsafePointer<Float>, images: Int, weights: Weights) throws {
    switch context.phase {
    case .training:
      precondition(images == context.layout.images, "a training pass takes the whole local batch")
      try measure(x, weights: weights)
    case .evaluation:
      useRunning(weights)
    }
  }

  /// output = the max-pooling of relu(norm(x)) of maps of `height` x `width`; measures and keeps the statistics as
  /// `forward`.
  package func forwardPooled(
    _ x: UnsafePointer<Float>, height: Int, width: Int, output: UnsafeMutablePointer<Float>,
    chosen: UnsafeMutablePointer<UInt8>?, images: Int, weights: Weights
  ) throws {
    try settle(x, images: images, weights: weights)
    let training = context.phase == .training
    let count = training ? imagesPerSegment : images
    let pooled = Pooling.pooledSize(height) * Pooling.pooledSize(width) * channels
    for segment in 0..<(training ? segments : 1) {
      let (from, to) = (segment * count * rowsPerImage * channels, segment * count * pooled)
      Pooling.maxForward(
        x + from, affine: affine(segment, weights), images: count, height: height, width: width, channels: channels,
        output: output + to, chosen: chosen.map { $0 + to }, team: context.team)
    }
  }

  package func apply(_ x: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, images: Int, weights: Weights) {
    normalize(x, residual: nil, relu: true, output: output, images: images, weights: weights)
  }

  private func normalize(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights
  ) {
    let training = context.phase == .training
    let rows = (training ? imagesPerSegment : images) * rowsPerImage
    for segment in 0..<(training ? segments : 1) {
      let at = segment * rows * channels
      ChannelNormalize.forward(
        x + at, affine: affine(segment, weights), residual: residual.map { $0 + at }, relu: relu, output: output + at,
        rows: rows, channels: channels, team: context.team)
    }
  }

  package func backward(
    gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Int, weights: Weights
  ) throws {
    let rows = imagesPerSegment * rowsPerImage
    // A mask that can be had again need not be written down where the gradient is overwritten anyway.
    var masksAgain = false
    if case .recomputed = mask { masksAgain = gradient == inputGradient }
    for segment in 0..<segments {
      let at = segment * rows * channels
      var segmentMask = mask
      if case .output(let output) = mask { segmentMask = .output(output + at) }
      let (gradients, products) = segmentSums(segment)
      ChannelSums.backward(
        gradient: gradient + at, x: x + at, mask: segmentMask, affine: affine(segment, weights), rows: rows,
        channels: channels, keepsMasked: !masksAgain, sums: gradients, products: products, partials: partials,
        team: context.team)
    }
    storeParameterGradients(weights)
    try context.clock.measure(.communication) { try context.scope.communicator?.allReduce(sums, .sum) }
    let share = 1 / Double(rows * context.scope.ranks)
    for segment in 0..<segments {
      let at = segment * rows * channels
      let (gradients, products) = segmentSums(segment)
      let meanGradient = vector(segment, 3)
      let meanProduct = vector(segment, 4)
      for c in 0..<channels {
        meanGradient[c] = Float(gradients[c] * share)
        meanProduct[c] = Float(products[c] * share)
      }
      ChannelNormalize.backward(
        gradient: gradient + at, x: x + at, affine: affine(segment, weights), meanGradient: meanGradient,
        meanProduct: meanProduct, masked: masksAgain, output: inputGradient + at, rows: rows, channels: channels,
        team: context.team)
    }
  }

  /// The parameters' gradients are this rank's share: they cross the ranks with all others.
  private func storeParameterGradients(_ weights: Weights) {
    let gammaGradient = weights.gradient(gamma)
    let betaGradient = weights.gradient(beta)
    for c in 0..<channels {
      var product = 0.0
      var sum = 0.0
      for segment in 0..<segments {
        sum += segmentSums(segment).0[c]
        product += segmentSums(segment).1[c]
      }
      gammaGradient[c] = Float(product)
      betaGradient[c] = Float(sum)
    }
  }

  private func measure(_ x: UnsafePointer<Float>, weights: Weights) throws {
    let rows = imagesPerSegment * rowsPerImage
    for segment in 0..<segments {
      let (sum, squares) = segmentSums(segment)
      ChannelSums.moments(
        x + segment * rows * channels, rows: rows, channels: channels, sums: sum, squares: squares,
        partials: partials, team: context.team)
    }
    try context.clock.measure(.communication) { try context.scope.communicator?.allReduce(sums, .sum) }
    let count = Double(rows * context.scope.ranks)
    for view in 0..<context.layout.views { settle(view, count: count, weights: weights) }
  }

  /// Turns one view's sums into mean, inverse deviation and scale, and moves the running statistics.
  private func settle(_ view: Int, count: Double, weights: Weights) {
    let mean = weights.buffer(runningMean)
    let variance = weights.buffer(runningVariance)
    let scale = weights.value(gamma)
    let unbias = count > 1 ? count / (count - 1) : 1
    for c in 0..<channels {
      var meanOfGhosts = 0.0
      var varianceOfGhosts = 0.0
      for segment in (view * segmentsPerView)..<((view + 1) * segmentsPerView) {
        let (sum, squares) = segmentSums(segment)
        let m = sum[c] / count
        let v = max(0, squares[c] / count - m * m)
        let inverse = 1 / (v + Self.epsilon).squareRoot()
        vector(segment, 0)[c] = Float(m)
        vector(segment, 1)[c] = Float(inverse)
        vector(segment, 2)[c] = Float(inverse) * scale[c]
        meanOfGhosts += m
        varianceOfGhosts += v
      }
      let share = Self.momentum / Double(segmentsPerView)
      mean[c] = Float((1 - Self.momentum) * Double(mean[c]) + share * meanOfGhosts)
      variance[c] = Float((1 - Self.momentum) * Double(variance[c]) + share * unbias * varianceOfGhosts)
    }
  }

  private func useRunning(_ weights: Weights) {
    let mean = weights.buffer(runningMean)
    let variance = weights.buffer(runningVariance)
    let scale = weights.value(gamma)
    for c in 0..<channels {
      let inverse = Float(1 / (Double(variance[c]) + Self.epsilon).squareRoot())
      vector(0, 0)[c] = mean[c]
      vector(0, 1)[c] = inverse
      vector(0, 2)[c] = inverse * scale[c]
    }
  }

  private func vector(_ segment: Int, _ place: Int) -> UnsafeMutablePointer<Float> {
    statistics.pointer + (segment * Self.vectorsPerSegment + place) * channels
  }

  private func affine(_ segment: Int, _ weights: Weights) -> ChannelAffine {
    ChannelAffine(
      mean: vector(segment, 0), inverse: vector(segment, 1), scale: vector(segment, 2), beta: weights.value(beta))
  }

  private func segmentSums(_ segment: Int) -> (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) {
    let first = sums.baseAddress! + segment * 2 * channels
    return (first, first + channels)
  }
}
