import Collectives
import Kernels

/// A convolution without bias and the normalisation behind it: the unit that residual networks are made of.
package final class ConvolutionNorm {
  package let shape: ConvolutionShape
  package let norm: any Normalization
  private let convolution: Convolution
  private let filter: Parameter
  private let standardization: WeightStandardization?
  private let context: NetworkContext
  /// The convolution's output; the norm's backward pass needs it.
  private let sum: Scratch
  /// Between the convolution and the norm, behind a stem.
  private let pool: MaxPool?
  /// Whether `sum` holds all images, or a piece for each thread.
  private var keepsSum: Bool { pool == nil || context.keepsActivations || !convolution.dealsForward }
  /// What is normalised, and floats of an image of it.
  private var normalized: Scratch { pool?.map ?? sum }
  private var normalizedFloats: Int { pool?.imageFloats ?? shape.outputSize }
  var outputFloats: Int { shape.images * shape.outputHeight * shape.outputWidth * shape.outputChannels }
  var inputFloats: Int { shape.images * shape.height * shape.width * shape.inputChannels }

  /// - Parameters:
  ///   - standardized: whether the convolution computes with standardised weights.
  ///   - pools: whether a max-pooling is behind the norm and its ReLU.
  ///   - role: where the convolution's output, or the pooled one, goes in a network that keeps nothing.
  package init(
    convolution name: String, norm normName: String, _ kind: NormKind, standardized: Bool, shape: ConvolutionShape,
    pools: Bool = false, sharedAs role: SharedMaps.Role, plan: ParameterPlan, context: NetworkContext
  ) {
    self.shape = shape
    self.context = context
    convolution = Convolution(shape, team: context.team, scratch: context.scratch)
    filter = plan.add(
      name + ".weight", shape: [shape.outputChannels, shape.inputChannels, shape.kernel, shape.kernel],
      layout: .convolution, start: .kaimingNormal)
    standardization = standardized ? WeightStandardization(filter, team: context.team) : nil
    norm = kind.layer(
      normName, channels: shape.outputChannels, rowsPerImage: shape.outputHeight * shape.outputWidth,
      pooledRows: pools ? MaxPool.rowsPerImage(shape) : nil, group: context.scopes.encoder, plan: plan,
      context: context)
    pool = pools ? MaxPool(shape, sharedAs: role, context: context) : nil
    sum = context.map(0, otherwise: pools ? .activation : role)
    sum.reserve((keepsSum ? shape.images : convolution.forwardPiece * context.team.threads) * shape.outputSize)
    if pools && context.keepsActivations {
      _ = context.shared(.work0, convolution.filterGradientPiece * shape.outputSize)
    }
  }

  /// Floats of the map that a unit's activation is put in for this one to read, unless it is made in reading: a piece for
  /// each thread, or all. Units that read each other have norms of one kind.
  var activationFloats: Int {
    let isMadeInReading = norm.activation(from: 0) != nil
    var images = 0
    if !(isMadeInReading && convolution.activatesForward) {
      images = convolution.dealsForward ? convolution.forwardPiece * context.team.threads : shape.images
    }
    if context.keepsActivations, !(isMadeInReading && convolution.activatesFilterGradient) {
      images = max(images, convolution.filterGradientPiece)
    }
    return images * shape.inputSize
  }

  /// Computes the convolution and starts on the statistics of the norm behind it, a few images at a time: each piece of
  /// the input is normalised before and each piece of the output is summed up after, while the caches have it. Other
  /// ranks are waited for by what follows: `normalize`, or another unit that takes this one as its input.
  package func forward(_ input: UnitInput, images: Int, weights: Weights) throws {
    CollectiveWatchdog.progress()
    if case .activation(let unit) = input { try unit.settle(weights) }
    let inUse = context.clock.measure(.convolutionForward) {
      standardization?.standardize(weights.value(filter))
      return filterInUse(weights)
    }
    let deals = convolution.dealsForward
    let pieces = Pieces(images: images, size: deals ? convolution.forwardPiece : convolution.cachedImages)
    let output = sum.pointer
    let activation = context.maps[.activation].pointer
    norm.startObserving(pieces)
    pool?.start(gamma: norm.gamma(weights))
    context.clock.measure(.convolutionForward) {
      if deals {
        convolution.packForward(inUse)
        context.team.deal(pieces.count) { thread, piece in
          let range = pieces[piece]
          let own = activation + thread * pieces.size * shape.inputSize
          let source = source(
            input, range, weights, activates: convolution.activatesForward, activation: own, on: thread, team: .alone)
          let part = output + (keepsSum ? range.lowerBound : thread * pieces.size) * shape.outputSize
          convolution.forward(
            images: range.count, input: source.map, activation: source.activation, output: part, thread: thread)
          observe(part, piece, of: pieces, on: thread)
        }
      } else {
        let whole = wholeSource(input, pieces, weights, activation: activation)
        convolution.forward(
          images: images, input: whole.map, activation: whole.activation, filter: inUse, output: output)
        context.team.deal(pieces.count) { thread, piece in
          observe(output + pieces[piece].lowerBound * shape.outputSize, piece, of: pieces, on: thread)
        }
      }
    }
    try context.clock.measure(.norm) { try norm.startSettling(images: images, weights: weights) }
  }

  /// What follows the convolution while the caches have its output.
  private func observe(_ output: UnsafePointer<Float>, _ piece: Int, of pieces: Pieces, on thread: Int) {
    let images = pieces[piece]
    context.clock.measure(.norm, on: thread) {
      norm.observe(output, from: images.lowerBound, piece: piece, of: pieces)
    }
    if let pool { context.clock.measure(.pooling, on: thread) { pool.forward(output, images: images) } }
  }

  /// All that a forward pass reads which takes all images together.
  private func wholeSource(
    _ input: UnitInput, _ pieces: Pieces, _ weights: Weights, activation: UnsafeMutablePointer<Float>
  ) -> Source {
    if case .map(let map) = input { return (map, nil) }
    if case .activation(let unit) = input, convolution.activatesForward, let made = unit.norm.activation(from: 0) {
      return (UnsafePointer(unit.normalized.pointer), made)
    }
    context.team.deal(pieces.count) { thread, piece in
      let own = activation + pieces[piece].lowerBound * shape.inputSize
      _ = source(input, pieces[piece], weights, activates: false, activation: own, on: thread, team: .alone)
    }
    return (input.isActivation ? UnsafePointer(activation) : input.map, nil)
  }

  private func settle(_ weights: Weights) throws {
    try context.clock.measure(.norm) { try norm.settle(weights: weights) }
  }

  /// relu?(norm(convolution(input))) of the last forward pass as what a block adds, made as it is added; nil where its readers
  /// cannot. Waits for other ranks now.
  func shortcut(relu: Bool, weights: Weights) throws -> Shortcut? {
    try settle(weights)
    return Shortcut(norm, normalizedMap, relu: relu)
  }

  /// Whether both passes over a unit's activation compute it as they read.
  func reads(activationOf unit: ConvolutionNorm) -> Bool {
    unit.norm.activation(from: 0) != nil && convolution.activatesForward
      && (!context.keepsActivations || convolution.activatesFilterGradient)
  }

  /// Where what is normalised lies.
  var normalizedMap: UnsafePointer<Float> { UnsafePointer(normalized.pointer) }

  /// output = relu?(norm(convolution(input)) (+ residual)) of the last forward pass, pooled behind a stem.
  package func normalize(
    residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>, images: Int, weights: Weights
  ) throws {
    let map = try normalizing(residual: residual, relu: relu, output: output, weights: weights)
    context.clock.measure(.norm) { _ = map.whole(images, team: context.team) }
  }

  /// The same as a map that its first reader has made, a few images at a time. Waits for other ranks now.
  func normalizing(
    residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>, weights: Weights
  ) throws -> UnitInput {
    try settle(weights)
    return .made(
      NormalizedMap(
        norm: norm, sum: normalized.pointer, residual: residual, relu: relu, output: output,
        imageFloats: normalizedFloats, weights: weights))
  }

  /// What a pass reads: a map, or what an activation is to be made of.
  private typealias Source = (map: UnsafePointer<Float>, activation: InputActivation?)

  /// Some images of what the unit reads, by one thread of the team or by all.
  /// - Parameters:
  ///   - activates: whether the pass can make a unit's activation as it reads.
  ///   - activation: room for so many images of a unit's activation, where it cannot.
  private func source(
    _ input: UnitInput, _ images: Range<Int>, _ weights: Weights, activates: Bool,
    activation: UnsafeMutablePointer<Float>, on thread: Int = 0, team: ThreadTeam
  ) -> Source {
    switch input {
    case .map(let map): return (map + images.lowerBound * shape.inputSize, nil)
    case .made(let map):
      context.clock.measure(.norm, on: thread) { map.make(images, team: team) }
      return (UnsafePointer(map.output) + images.lowerBound * shape.inputSize, nil)
    case .activation(let unit):
      if activates, let activation = unit.norm.activation(from: images.lowerBound) {
        return (UnsafePointer(unit.normalized.pointer + images.lowerBound * shape.inputSize), activation)
      }
      context.clock.measure(.norm, on: thread) {
        unit.norm.apply(
          unit.normalized.pointer, residual: nil, relu: true, output: activation, images: images, weights: weights,
          team: team)
      }
      return (UnsafePointer(activation), nil)
    }
  }

  private func filterInUse(_ weights: Weights) -> UnsafePointer<Float> {
    standardization?.weights ?? UnsafePointer(weights.value(filter))
  }

  /// Begins the backward pass: what takes in the gradient of `normalize`'s output; see `Normalization.observeGradient`.
  /// - Parameter projection: a unit beside it whose sum is added to its own before the ReLU.
  func taker(mask: ReLUMask, projection: ConvolutionNorm? = nil, weights: Weights) -> GradientTaker {
    GradientTaker(
      norm, x: normalized.pointer, mask: mask, weights: weights,
      projection: projection.map { ($0.norm, UnsafePointer($0.normalized.pointer)) })
  }

  /// After all of the gradient was taken: starts to settle it with the other ranks.
  func startSettlingGradient(images: Int, weights: Weights) throws {
    try context.clock.measure(.norm) { try norm.startSettlingGradient(images: images, weights: weights) }
  }

  /// After `startSettlingGradient`: the gradient of the convolution's output and that of the input, a few images at a time.
  /// - Parameters:
  ///   - sumGradient: room for the gradient of the convolution's output; may be `gradient`.
  ///   - taker: of the input's gradient.
  func backwardInput(
    _ gradient: UnsafeMutablePointer<Float>, mask: ReLUMask, sumGradient: UnsafeMutablePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool, images: Int, weights: Weights, taker: GradientTaker?
  ) throws {
    precondition(pool == nil, "a stem's input needs no gradient")
    CollectiveWatchdog.progress()
    try context.clock.measure(.norm) { try norm.settleGradient() }
    let deals = convolution.dealsInputGradient
    let pieces = Pieces(images: images, size: deals ? convolution.inputGradientPiece : convolution.cachedImages)
    func apply(_ piece: Int, on thread: Int) {
      context.clock.measure(.norm, on: thread) {
        norm.applyGradient(
          gradient, from: 0, x: sum.pointer, mask: mask, inputGradient: sumGradient, images: pieces[piece],
          weights: weights, team: .alone)
      }
    }
    func take(_ piece: Int, on thread: Int) {
      context.clock.measure(.norm, on: thread) { taker?.take(inputGradient, piece, pieces) }
    }
    taker?.start(pieces)
    context.clock.measure(.convolutionBackward) {
      if deals {
        convolution.packInputGradient(filterInUse(weights))
        context.team.deal(pieces.count) { thread, piece in
          apply(piece, on: thread)
          let range = pieces[piece]
          convolution.inputGradient(
            images: range.count, outputGradient: sumGradient + range.lowerBound * shape.outputSize,
            inputGradient: inputGradient + range.lowerBound * shape.inputSize, accumulate: accumulate, thread: thread)
          take(piece, on: thread)
        }
      } else {
        context.team.deal(pieces.count) { apply($1, on: $0) }
        convolution.inputGradient(
          images: images, outputGradient: sumGradient, filter: filterInUse(weights), inputGradient: inputGradient,
          accumulate: accumulate)
        if taker != nil { context.team.deal(pieces.count) { take($1, on: $0) } }
      }
    }
  }

  /// After `backwardInput`: the filter's gradient. An activation is computed again, a few images at a time.
  package func backwardFilter(
    _ sumGradient: UnsafePointer<Float>, input: UnitInput, images: Int, weights: Weights
  ) {
    for first in stride(from: 0, to: images, by: convolution.filterGradientPiece) {
      let piece = first..<min(first + convolution.filterGradientPiece, images)
      addToFilterGradient(sumGradient, from: 0, input: input, piece, of: images, weights)
    }
  }

  /// In place of both for a unit whose input needs no gradient; `gradient` may become that of the convolution's output.
  package func backwardFilterOnly(
    _ gradient: UnsafeMutablePointer<Float>, mask: ReLUMask, input: UnitInput, images: Int, weights: Weights
  ) throws {
    try context.clock.measure(.norm) { try norm.settleGradient() }
    for first in stride(from: 0, to: images, by: convolution.filterGradientPiece) {
      let piece = first..<min(first + convolution.filterGradientPiece, images)
      if let pool {
        let sumGradient = context.maps[.work0].pointer
        unpool(gradient, pool, piece, mask, into: sumGradient, weights)
        addToFilterGradient(sumGradient, from: first, input: input, piece, of: images, weights)
      } else {
        context.clock.measure(.norm) {
          norm.applyGradient(
            gradient, from: 0, x: sum.pointer, mask: mask, inputGradient: gradient, images: piece, weights: weights,
            team: context.team)
        }
        addToFilterGradient(gradient, from: 0, input: input, piece, of: images, weights)
      }
    }
  }

  /// Some images' gradient of the convolution's output, from that of the pooled maps: a map that is four times as large and
  /// written as a piece only. `target` begins with the first of the images.
  private func unpool(
    _ gradient: UnsafePointer<Float>, _ pool: MaxPool, _ images: Range<Int>, _ mask: ReLUMask,
    into target: UnsafeMutablePointer<Float>, _ weights: Weights
  ) {
    context.team.deal(images.count) { thread, index in
      let image = images.lowerBound + index
      context.clock.measure(.pooling, on: thread) {
        pool.backward(gradient, image: image, into: target + index * shape.outputSize)
      }
      context.clock.measure(.norm, on: thread) {
        norm.applyGradient(
          target, from: images.lowerBound, x: sum.pointer, mask: mask, inputGradient: target, images: image..<image + 1,
          weights: weights, team: .alone)
      }
    }
  }

  /// - Parameter start: the image that `sumGradient` begins with.
  private func addToFilterGradient(
    _ sumGradient: UnsafePointer<Float>, from start: Int, input: UnitInput, _ piece: Range<Int>, of images: Int,
    _ weights: Weights
  ) {
    let source = source(
      input, piece, weights, activates: convolution.activatesFilterGradient,
      activation: context.maps[.activation].pointer, team: context.team)
    let isLast = piece.upperBound == images
    context.clock.measure(.convolutionBackward) {
      convolution.filterGradient(
        images: piece.count, input: source.map, activation: source.activation,
        outputGradient: sumGradient + (piece.lowerBound - start) * shape.outputSize,
        filterGradient: weights.gradient(filter), isFirst: piece.lowerBound == 0, isLast: isLast)
      if isLast { standardization?.backward(weights.gradient(filter), weights: weights.value(filter)) }
    }
  }
}

/// relu?(norm(sum) (+ residual)), the output of a unit, which whoever reads it first has made, once: the output may be the
/// residual's memory.
package struct NormalizedMap {
  fileprivate let norm: any Normalization
  fileprivate let sum: UnsafePointer<Float>
  fileprivate let residual: Shortcut?
  fileprivate let relu: Bool
  fileprivate let output: UnsafeMutablePointer<Float>
  fileprivate let imageFloats: Int
  fileprivate let weights: Weights

  fileprivate func make(_ images: Range<Int>, team: ThreadTeam) {
    norm.apply(
      sum, residual: residual, relu: relu, output: output + images.lowerBound * imageFloats, images: images,
      weights: weights, team: team)
  }
}

/// What a unit of convolution and norm reads.
package enum UnitInput {
  case map(UnsafePointer<Float>)
  /// A map that is made as it is read, for which the images of each piece are called for before.
  case made(NormalizedMap)
  /// relu(norm(...)) of another unit's last forward pass, which is nowhere written as a whole.
  case activation(ConvolutionNorm)

  var isActivation: Bool { if case .activation = self { true } else { false } }

  /// Whether a map is yet to be made of another, as what is added.
  func isMade(of map: UnsafePointer<Float>) -> Bool {
    if case .made(let made) = self { made.residual?.place == map } else { false }
  }

  /// Where the map lies, or what an activation is made of.
  var place: UnsafePointer<Float> {
    if case .activation(let unit) = self { unit.normalizedMap } else { map }
  }

  /// Has all of a map made at once, for readers of another kind.
  package func whole(_ images: Int, team: ThreadTeam) -> UnsafePointer<Float> {
    if case .made(let map) = self { map.make(0..<images, team: team) }
    return map
  }

  /// The map, once it is made.
  var map: UnsafePointer<Float> {
    switch self {
    case .map(let map): map
    case .made(let map): UnsafePointer(map.output)
    case .activation: preconditionFailure("an activation that is nowhere written as a whole")
    }
  }
}
