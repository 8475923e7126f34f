import Kernels
import Layers
import Methods

/// The floats of a method's networks, found by walking their shapes as the layers are made.
struct NetworkSizes {
  let localBatch: Double
  /// Of a view of one image.
  let viewFloats: Double
  /// Of a feature vector.
  let features: Double
  /// Parameters.
  private(set) var online = 0.0
  private(set) var target = 0.0
  private(set) var activations = 0.0
  private let encoder: EncoderShape
  /// Whether shapes are so small that planning their convolutions is not a cost of its own.
  private var isPlannable: Bool { encoder.imageSize <= 512 && activations < 1e12 }

  init(_ settings: Configuration, localBatch: Int) {
    self.localBatch = Double(localBatch)
    let model = settings.modelShape
    encoder = model.encoder
    viewFloats = Double(encoder.imageSize) * Double(encoder.imageSize) * 3
    features = Double(encoder.features)
    let blocks = encoder.blockShapes
    countParameters(model, blocks)
    countActivations(model, blocks, hasTarget: settings.method.hasTarget)
  }

  private mutating func countParameters(_ model: ModelShape, _ blocks: [BlockShape]) {
    func norm(_ kind: NormKind, _ channels: Double) -> Double { kind == .none ? 0 : 2 * channels }
    func filters(_ shape: ConvolutionShape) -> Double {
      Double(shape.filterSize) + norm(model.encoder.norm, Double(shape.outputChannels))
    }
    func mlp(_ inputs: Double, _ kind: NormKind) -> Double {
      let (hidden, dim) = (Double(model.hidden), Double(model.dimensions))
      return hidden * (inputs + 1) + norm(kind, hidden) + dim * (hidden + 1)
    }
    target =
      ([encoder.stemShape] + blocks.flatMap(\.convolutions)).map(filters).reduce(0, +)
      + mlp(features, model.projectorNorm)
    let dim = Double(model.dimensions)
    online =
      target
      + {
        switch model.predictor {
        case .none: 0
        case .linear: dim * (dim + 1)
        case .mlp: mlp(dim, model.predictorNorm)
        }
      }()
  }

  private mutating func countActivations(_ model: ModelShape, _ blocks: [BlockShape], hasTarget: Bool) {
    let stem = Double(encoder.stemShape.outputSize)
    let stemOutput = Double(encoder.stemOutputSize)
    let outputs = blocks.map { Double($0.outputSize) }
    // Each convolution's output is kept for its norm, each block's output for what reads it, and of a pooled stem the
    // pooled map with a byte for the place of each maximum.
    var floats = stem + (encoder.stem.pools ? stemOutput * 1.25 : 0)
    floats += blocks.flatMap(\.convolutions).reduce(0) { $0 + Double($1.outputSize) } + outputs.reduce(0, +)
    if blocks[0].downsample != nil || !encoder.norm.isComputedInReading { floats += stemOutput }
    // Shared by all blocks of the backward pass: two maps for a block's gradient and two inside of it.
    let largest = blocks.flatMap(\.units).map { Double(max($0.inputSize, $0.outputSize)) }.max() ?? 0
    floats += 2 * max(largest, stemOutput) + 2 * largest
    if hasTarget { floats += shared(blocks, stemOutput: stemOutput, outputs) }
    let head = { (norm: NormKind) in 3 * Double(model.hidden) + Double(model.dimensions) }
    floats += features + head(model.projectorNorm) + features
    switch model.predictor {
    case .none: break
    case .linear: floats += 2 * Double(model.dimensions)
    case .mlp: floats += head(model.predictorNorm) + Double(model.dimensions)
    }
    if hasTarget { floats += features + 2 * Double(model.hidden) + Double(model.dimensions) }
    activations = floats * 2 * localBatch
  }

  /// Maps of a network that keeps nothing: each role has the largest that it ever holds.
  private func shared(_ blocks: [BlockShape], stemOutput: Double, _ outputs: [Double]) -> Double {
    var floats = 0.0
    for unit in 0..<(encoder.isBottleneck ? 3 : 2) {
      floats += blocks.map { Double($0.units[unit].outputSize) }.max() ?? 0
    }
    // A block's projection and the one of the next stage take turns.
    let projections = blocks.compactMap { $0.downsample.map { Double($0.outputSize) } }
    floats += projections.sorted(by: >).prefix(2).reduce(0, +)
    let largest = outputs.max() ?? 0
    return floats + max(largest, stemOutput) + largest
  }

  /// Floats that timing the largest convolution takes: input, output and filter with their gradients, and another
  /// output.
  func largestConvolution(images: Double) -> Double {
    ([encoder.stemShape] + encoder.blockShapes.flatMap(\.convolutions)).map {
      images * (2 * Double($0.inputSize) + 2 * Double($0.outputSize)) + 2 * Double($0.filterSize)
    }.max() ?? 0
  }

  /// Of the largest convolution, on one thread; 0 where planning it would take memory of its own.
  func workspaces(threads: Int) -> Double {
    guard isPlannable else { return 0 }
    let images = Int(min(2 * localBatch, 64))
    let shapes = Set(([encoder.stemShape] + encoder.blockShapes.flatMap(\.convolutions)))
    return shapes.map { shape in
      var planned = shape
      planned.images = images
      return Double(Convolution(planned, team: .alone, scratch: Scratch()).scratchFloats)
    }.max() ?? 0
  }
}

extension NormKind {
  /// Whether readers can compute the normalised map from its input, so that it need not be written.
  fileprivate var isComputedInReading: Bool { usesBatch }
}
