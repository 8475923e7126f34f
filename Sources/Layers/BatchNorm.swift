import Collectives
import Kernels

/// Batch norm (Ioffe & Szegedy 2015) as torch.nn.BatchNorm1d and 2d have it, over the batch-norm scope, and batch
/// renormalisation, which adds a correction to it.
///
/// A view's images are cut into segments that share statistics (one, or one a ghost batch); where views are joint, the
/// segments of the same images in all views share too. Where the scope is wider than the rank, the sums of all segments
/// cross the ranks in one all-reduce. Statistics are biased to normalise and unbiased in the running variance,
/// accumulate in double, and each view (or all joint ones) updates the running statistics once, in order.
package final class BatchNorm: Normalization {
  package static let epsilon = 1e-5
  package static let momentum = 0.1

  private let channels: Int
  /// Of maps that statistics are taken of, and of what is normalised.
  private let rowsPerImage, appliedRows: Int
  private let context: NetworkContext
  private let group: BatchNormGroup
  private let renorm: BatchRenormLimits?
  private let gamma: Parameter
  private let beta: Parameter
  private let runningMean: RunningBuffer
  /// The variance, or batch renormalisation's deviation.
  private let runningSpread: RunningBuffer
  private let segmentsPerView: Int
  private let imagesPerSegment: Int
  /// What a segment has `channels` floats each of; `ratio` and `difference` are batch renormalisation's r and d.
  private enum Vector: Int, CaseIterable { case scale, shift, mean, slope, offset, ratio, difference }
  private let vectors: AlignedBuffer
  /// For each segment: what each of its channels is normalised by.
  private let statistics: UnsafeMutableBufferPointer<ChannelStatistics>
  /// What each segment is normalised by; a table, for those who normalise as they read.
  private let affines: UnsafeMutableBufferPointer<ChannelAffine>
  /// For each segment: two sums a channel.
  private let sums: UnsafeMutableBufferPointer<Double>
  /// What is being observed: for each piece and each segment that it has images of, two sums a channel.
  private var observed: Pieces?
  private var partials = UnsafeMutableBufferPointer<Double>(start: nil, count: 0)
  /// What the sums are of that are being added up over the ranks, and the message in which they are.
  private enum Sums { case statistics, gradient }
  private var unsettled: Sums?
  private var message: Pending?
  private var segments: Int { context.layout.views * segmentsPerView }
  private var isJoint: Bool { group.views == .joint }
  /// The first segments have statistics; those behind, if any, share them.
  private var owners: Int { isJoint ? segmentsPerView : segments }

  package init(
    _ name: String, channels: Int, rowsPerImage: Int, pooledRows: Int? = nil, group: BatchNormGroup,
    renorm: BatchRenormLimits? = nil, plan: ParameterPlan, context: NetworkContext
  ) {
    self.channels = channels
    self.rowsPerImage = rowsPerImage
    appliedRows = pooledRows ?? rowsPerImage
    self.context = context
    self.group = group
    self.renorm = renorm
    gamma = plan.add(name + ".weight", shape: [channels], start: .constant(1))
    beta = plan.add(name + ".bias", shape: [channels], start: .constant(0))
    let own = group.isNarrowerThanWorld
    runningMean = plan.addBuffer(name + ".running_mean", count: channels, start: 0, isPerRank: own)
    runningSpread = plan.addBuffer(
      name + (renorm == nil ? ".running_var" : ".running_std"), count: channels, start: 1, isPerRank: own)
    plan.addBatchNorm(name)
    imagesPerSegment = group.samples(context.layout)
    segmentsPerView = context.layout.imagesPerView / imagesPerSegment
    precondition(
      segmentsPerView * imagesPerSegment == context.layout.imagesPerView,
      "\(context.layout.imagesPerView) images cannot be cut into ghosts of \(imagesPerSegment)")
    let segments = context.layout.views * segmentsPerView
    vectors = AlignedBuffer(count: segments * Vector.allCases.count * channels)
    statistics = .allocate(capacity: segments * channels)
    statistics.initialize(repeating: ChannelStatistics(mean: 0, inverse: 1))
    sums = .allocate(capacity: segments * 2 * channels)
    sums.initialize(repeating: 0)
    affines = .allocate(capacity: segments)
    for segment in 0..<owners { vector(segment, .ratio).update(repeating: 1, count: channels) }
    for segment in 0..<segments {
      affines.initializeElement(
        at: segment,
        to: ChannelAffine(scale: vector(segment, .scale), shift: vector(segment, .shift)))
    }
  }

  deinit {
    statistics.deallocate()
    sums.deallocate()
    partials.deallocate()
    affines.deallocate()
  }

  package func startObserving(_ pieces: Pieces) {
    observed = pieces
    let needed = (pieces.count + segments) * 2 * channels
    guard partials.count < needed else { return }
    partials.deallocate()
    partials = .allocate(capacity: needed)
    partials.initialize(repeating: 0)
  }

  package func observe(_ x: UnsafePointer<Float>, from first: Int, piece: Int, of pieces: Pieces) {
    guard context.phase == .training else { return }
    eachSegment(pieces[piece], rowsPerImage) { segment, rows in
      let (sum, squares) = partialSums(piece, segment)
      ChannelSums.moments(
        x + (rows.lowerBound - first * rowsPerImage) * channels, rows: rows.count, channels: channels, sums: sum,
        squares: squares)
    }
  }

  package func gamma(_ weights: Weights) -> UnsafePointer<Float>? { UnsafePointer(weights.value(gamma)) }

  /// A piece's sums over its images of a segment. Piece by piece and segment by segment, each has a place of its own.
  private func partialSums(_ piece: Int, _ segment: Int) -> (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>)
  {
    let first = partials.baseAddress! + (piece + segment) * 2 * channels
    return (first, first + channels)
  }

  /// Adds up what was observed, in the order of the images.
  private func gather() {
    guard let observed else { preconditionFailure("sums of nothing") }
    self.observed = nil
    let each = 2 * channels
    sums.update(repeating: 0)
    for piece in 0..<observed.count {
      eachSegment(observed[piece], rowsPerImage) { segment, _ in
        let (from, to) = (partialSums(piece, segment).0, segmentSums(segment).0)
        for i in 0..<each { to[i] += from[i] }
      }
    }
  }

  /// Takes the statistics that the phase asks for: those of the batch, which has been observed, or the running ones.
  package func startSettling(images: Int, weights: Weights) throws {
    switch context.phase {
    case .training:
      precondition(images == context.layout.images, "a training pass takes the whole local batch")
      gather()
      try startPooling(.statistics)
    case .evaluation:
      useRunning(weights)
    }
  }

  package func settle(weights: Weights) throws {
    guard try finishPooling(.statistics) else { return }
    for view in 0..<owners / segmentsPerView { settle(view, weights: weights) }
  }

  /// The rows of a range of images, by the segment whose statistics are theirs; in evaluation, all by the first.
  private func eachSegment(
    _ images: Range<Int>, _ rowsPerImage: Int, _ body: (_ segment: Int, _ rows: Range<Int>) -> Void
  ) {
    let all = images.lowerBound * rowsPerImage..<images.upperBound * rowsPerImage
    guard context.phase == .training, !images.isEmpty else { return body(0, all) }
    let rows = imagesPerSegment * rowsPerImage
    for segment in images.lowerBound / imagesPerSegment...(images.upperBound - 1) / imagesPerSegment {
      body(segment, all.clamped(to: segment * rows..<(segment + 1) * rows))
    }
  }

  package func apply(
    _ x: UnsafePointer<Float>, residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Range<Int>, weights: Weights, team: ThreadTeam
  ) {
    eachSegment(images, appliedRows) { segment, rows in
      let at = rows.lowerBound * channels
      ChannelNormalize.forward(
        x + at, affine: affine(segment),
        residual: residual.map { $0.residual(from: at, ofImage: rows.lowerBound / appliedRows) }, relu: relu,
        output: output + (at - images.lowerBound * appliedRows * channels), rows: rows.count, channels: channels,
        team: team)
    }
  }

  package func activation(from image: Int) -> InputActivation? {
    let isTraining = context.phase == .training
    return InputActivation(
      affines: UnsafePointer(affines.baseAddress!), imagesPerAffine: isTraining ? imagesPerSegment : .max,
      firstImage: image)
  }

  package func observeGradient(
    _ gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask, piece: Int, of pieces: Pieces,
    weights: Weights
  ) {
    eachSegment(pieces[piece], appliedRows) { segment, rows in
      let at = rows.lowerBound * channels
      let (gradients, products) = partialSums(piece, segment)
      ChannelSums.backward(
        gradient: gradient + at, x: x + at, mask: mask.from(at), affine: affine(segment), rows: rows.count,
        channels: channels, sums: gradients, products: products)
    }
  }

  package func startSettlingGradient(images: Int, weights: Weights) throws {
    gather()
    normalizeProducts()
    storeParameterGradients(weights)
    try startPooling(.gradient)
  }

  package func settleGradient() throws {
    guard try finishPooling(.gradient) else { return }
    let share = 1 / samplesPerStatistic
    for segment in 0..<owners {
      let (gradients, products) = segmentSums(segment)
      for c in 0..<channels {
        line(segment).set(
          c, statistics(segment)[c], scale: Double(vector(segment, .scale)[c]), meanGradient: gradients[c] * share,
          meanProduct: products[c] * share)
      }
    }
  }

  package func applyGradient(
    _ gradient: UnsafePointer<Float>, from first: Int, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Range<Int>, weights: Weights, team: ThreadTeam
  ) {
    eachSegment(images, rowsPerImage) { segment, rows in
      let at = (rows.lowerBound - first * rowsPerImage) * channels
      ChannelNormalize.backward(
        gradient: gradient + at, x: x + rows.lowerBound * channels, affine: affine(segment), line: line(segment),
        masked: mask.isRecomputed, output: inputGradient + at, rows: rows.count, channels: channels, team: team)
    }
  }

  /// Makes each segment's Σ g xhat of its Σ g x.
  private func normalizeProducts() {
    for segment in 0..<segments {
      let ((gradients, products), statistics) = (segmentSums(segment), statistics(segment))
      for c in 0..<channels { products[c] = statistics[c].normalize(product: products[c], sum: gradients[c]) }
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
        let (gradients, products) = segmentSums(segment)
        sum += gradients[c]
        product +=
          Double(vector(segment, .ratio)[c]) * products[c] + Double(vector(segment, .difference)[c]) * gradients[c]
      }
      gammaGradient[c] = Float(product)
      betaGradient[c] = Float(sum)
    }
  }

  /// Adds up the sums of all that share statistics: segments of joint views, then the ranks of the scope, whose message
  /// is under way until `finishPooling`.
  private func startPooling(_ sums: Sums) throws {
    precondition(unsettled == nil, "sums that nobody asked for")
    unsettled = sums
    addUpJointViews()
    guard let communicator = group.communicator, communicator.size > 1 else { return }
    let pooled = UnsafeMutableBufferPointer(rebasing: self.sums[..<(owners * 2 * channels)])
    message = try context.clock.measure(.communication) { try communicator.startAllReduce(pooled, .sum) }
  }

  /// Waits for the sums of all.
  /// - Returns: whether there were any to be waited for.
  private func finishPooling(_ sums: Sums) throws -> Bool {
    guard unsettled == sums else { return false }
    unsettled = nil
    if let message { try context.clock.measure(.communication) { try message.wait(meanwhile: context.whileWaiting) } }
    message = nil
    return true
  }

  private func addUpJointViews() {
    let each = 2 * channels
    for segment in owners..<segments {
      for i in 0..<each { sums[owner(segment) * each + i] += sums[segment * each + i] }
    }
  }

  private var samplesPerStatistic: Double {
    Double(imagesPerSegment * rowsPerImage * group.ranks * (isJoint ? context.layout.views : 1))
  }

  /// Turns one view's sums into mean, inverse deviation, scale and shift, and moves the running statistics.
  private func settle(_ view: Int, weights: Weights) {
    let mean = weights.buffer(runningMean)
    let spread = weights.buffer(runningSpread)
    let (scale, shift) = (weights.value(gamma), weights.value(beta))
    let count = samplesPerStatistic
    let unbias = count > 1 ? count / (count - 1) : 1
    let share = (renorm?.momentum ?? Self.momentum) / Double(segmentsPerView)
    let keep = 1 - (renorm?.momentum ?? Self.momentum)
    for c in 0..<channels {
      var meanOfGhosts = 0.0
      var spreadOfGhosts = 0.0
      for segment in (view * segmentsPerView)..<((view + 1) * segmentsPerView) {
        let (sum, squares) = segmentSums(segment)
        let m = sum[c] / count
        let v = max(0, squares[c] / count - m * m)
        let deviation = (v + Self.epsilon).squareRoot()
        let own = ChannelStatistics(mean: m, inverse: 1 / deviation)
        statistics(segment)[c] = own
        meanOfGhosts += m
        guard let renorm else {
          affine(segment).set(c, own, gamma: Double(scale[c]), beta: Double(shift[c]))
          spreadOfGhosts += unbias * v
          continue
        }
        let (ratio, difference) = renorm.correction(
          mean: m, deviation: deviation, runningMean: Double(mean[c]), runningDeviation: Double(spread[c]))
        vector(segment, .ratio)[c] = Float(ratio)
        vector(segment, .difference)[c] = Float(difference)
        affine(segment).set(
          c, own, gamma: ratio * Double(scale[c]), beta: Double(shift[c]) + difference * Double(scale[c]))
        spreadOfGhosts += deviation
      }
      mean[c] = Float(keep * Double(mean[c]) + share * meanOfGhosts)
      spread[c] = Float(keep * Double(spread[c]) + share * spreadOfGhosts)
    }
  }

  private func useRunning(_ weights: Weights) {
    let mean = weights.buffer(runningMean)
    let spread = weights.buffer(runningSpread)
    let (scale, shift) = (weights.value(gamma), weights.value(beta))
    for c in 0..<channels {
      let deviation = renorm == nil ? (Double(spread[c]) + Self.epsilon).squareRoot() : Double(spread[c])
      affine(0).set(
        c, ChannelStatistics(mean: Double(mean[c]), inverse: 1 / deviation), gamma: Double(scale[c]),
        beta: Double(shift[c]))
    }
  }

  /// The segment whose statistics are a segment's.
  private func owner(_ segment: Int) -> Int { isJoint ? segment % segmentsPerView : segment }

  private func vector(_ segment: Int, _ vector: Vector) -> UnsafeMutablePointer<Float> {
    vectors.pointer + (owner(segment) * Vector.allCases.count + vector.rawValue) * channels
  }

  private func statistics(_ segment: Int) -> UnsafeMutablePointer<ChannelStatistics> {
    statistics.baseAddress! + owner(segment) * channels
  }

  private func affine(_ segment: Int) -> ChannelAffine { affines[segment] }

  private func line(_ segment: Int) -> ChannelGradient {
    ChannelGradient(mean: vector(segment, .mean), slope: vector(segment, .slope), offset: vector(segment, .offset))
  }

  private func segmentSums(_ segment: Int) -> (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>) {
    let first = sums.baseAddress! + segment * 2 * channels
    return (first, first + channels)
  }
}
