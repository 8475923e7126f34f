import Collectives
import Kernels
import Layers

/// One layer, or network, with all that it needs around it.
package final class LayerRig<Layer> {
  package let context: NetworkContext
  package let layer: Layer
  package let store: ParameterStore
  package var weights: Weights { store.weights }

  package init(
    views: Int = 1, imagesPerView: Int, scope: BatchNormScopes = .local, threads: Int = 1,
    keepsActivations: Bool = true,
    _ make: (ParameterPlan, NetworkContext) -> Layer
  ) {
    context = NetworkContext(
      team: ThreadTeam(threads: threads, spins: 100), scratch: Scratch(), maps: SharedMaps(),
      layout: BatchLayout(views: views, imagesPerView: imagesPerView), scope: scope, keepsActivations: keepsActivations)
    let plan = ParameterPlan()
    layer = make(plan, context)
    store = ParameterStore(plan, trained: true)
  }
}

/// What one forward and backward pass gave.
package struct Pass {
  package var output: [Float]
  package var inputGradient: [Float]
  package init(output: [Float], inputGradient: [Float]) {
    self.output = output
    self.inputGradient = inputGradient
  }
}

extension LayerRig where Layer == any Normalization {
  /// Where the backward pass takes the ReLU's mask from.
  package enum MaskSource { case output, recomputed }

  package func pass(
    _ x: [Float], outputGradient: [Float], residual: [Float]? = nil, relu: MaskSource? = nil
  ) throws -> Pass {
    let images = context.layout.images
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    let output = AlignedBuffer(count: x.count)
    let shortcut = residual.map { AlignedBuffer($0) }
    defer { withExtendedLifetime((output, shortcut)) {} }
    try layer.forward(
      input.pointer, residual: shortcut.map { Shortcut(UnsafePointer($0.pointer)) }, relu: relu != nil,
      output: output.pointer,
      images: images, weights: weights, team: context.team)
    let gradient = AlignedBuffer(outputGradient)
    defer { withExtendedLifetime(gradient) {} }
    let inputGradient = AlignedBuffer([Float](repeating: .nan, count: x.count))
    let mask: ReLUMask =
      switch relu {
      case nil: .none
      case .output: .output(UnsafePointer(output.pointer))
      case .recomputed: .recomputed
      }
    try layer.backward(
      gradient: gradient.pointer, x: input.pointer, mask: mask, inputGradient: inputGradient.pointer, images: images,
      weights: weights, team: context.team)
    return Pass(output: output.array, inputGradient: inputGradient.array)
  }

  package func forward(_ x: [Float], images: Int, relu: Bool = false) throws -> [Float] {
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    let output = AlignedBuffer(count: x.count)
    try layer.forward(
      input.pointer, residual: nil, relu: relu, output: output.pointer, images: images, weights: weights,
      team: context.team)
    return output.array
  }
}

extension LayerRig where Layer == ResidualBlock {
  package func forward(_ x: [Float], images: Int) throws -> [Float] {
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    let output = try layer.forward(input.pointer, images: images, weights: weights, team: context.team)
    return array(output, images * layer.outputHeight * layer.outputWidth * layer.outputChannels)
  }

  package func pass(_ x: [Float], outputGradient: [Float]) throws -> Pass {
    let images = context.layout.images
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    let output = try layer.forward(input.pointer, images: images, weights: weights, team: context.team)
    let result = array(output, outputGradient.count)
    let gradient = context.gradientMap
    gradient.update(from: outputGradient, count: outputGradient.count)
    let inputGradient = try layer.backward(gradient, images: images, weights: weights, team: context.team)
    return Pass(output: result, inputGradient: array(inputGradient, x.count))
  }
}

extension LayerRig where Layer == MLP {
  package func forward(_ x: [Float], images: Int) throws -> [Float] {
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    return array(try layer.forward(input.pointer, images: images, weights: weights), images * layer.outputs)
  }

  package func pass(_ x: [Float], outputGradient: [Float]) throws -> Pass {
    let images = context.layout.images
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    let output = array(try layer.forward(input.pointer, images: images, weights: weights), images * layer.outputs)
    let gradient = AlignedBuffer(outputGradient)
    defer { withExtendedLifetime(gradient) {} }
    let inputGradient = try layer.backward(gradient.pointer, images: images, weights: weights)
    return Pass(output: output, inputGradient: array(inputGradient, x.count))
  }
}

extension LayerRig where Layer == ResNet {
  package func forward(_ x: [Float], images: Int) throws -> [Float] {
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    return array(
      try layer.forward(input.pointer, images: images, weights: weights), images * layer.shape.features)
  }

  /// The features; the parameters' gradients are in the store afterwards.
  package func pass(_ x: [Float], outputGradient: [Float]) throws -> [Float] {
    let images = context.layout.images
    let input = AlignedBuffer(x)
    defer { withExtendedLifetime(input) {} }
    let output = array(
      try layer.forward(input.pointer, images: images, weights: weights), images * layer.shape.features)
    let gradient = AlignedBuffer(outputGradient)
    defer { withExtendedLifetime(gradient) {} }
    try layer.backward(gradient.pointer, images: images, weights: weights)
    return output
  }
}

// Whole passes, which the product takes in parts.

extension Normalization {
  /// All of it at once: output = relu?(norm(x) (+ residual)).
  package func forward(
    _ x: UnsafePointer<Float>, residual: Shortcut?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Int, weights: Weights, team: ThreadTeam
  ) throws {
    observe(x, images: images, team: team)
    try startSettling(images: images, weights: weights)
    try settle(weights: weights)
    apply(x, residual: residual, relu: relu, output: output, images: 0..<images, weights: weights, team: team)
  }
}

extension ResidualBlock {
  /// input NHWC to output NHWC: all parts.
  package func forward(
    _ input: UnsafePointer<Float>, images: Int, weights: Weights, team: ThreadTeam
  ) throws -> UnsafePointer<Float> {
    try forward(.map(input), images: images, weights: weights)
    for part in 1..<forwardParts { try forward(part: part, images: images, weights: weights) }
    return try finishForward(images: images, weights: weights).whole(images, team: team)
  }

  /// `gradient` (of the output; one of the two shared gradient maps) to the input's gradient, in either of them.
  package func backward(
    _ gradient: UnsafeMutablePointer<Float>, images: Int, weights: Weights, team: ThreadTeam
  ) throws -> UnsafeMutablePointer<Float> {
    taker(weights).takeAll(gradient, Pieces(images: images, size: 1), team: team)
    try startSettlingGradient(images: images, weights: weights)
    return try backward(gradient, images: images, weights: weights, below: nil, whenComplete: {})
  }
}
