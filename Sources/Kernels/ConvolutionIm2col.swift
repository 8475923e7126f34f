import COpenBLAS

/// Convolution as OpenBLAS sees it: the patches of a few images written out as a matrix, then sgemm. The baseline that
/// the other algorithms are measured against.
struct Im2colConvolution: FilterGradientKernel {
  let pieces = PieceRule.whole
  let shape: ConvolutionShape
  /// Images whose patch matrix is written at a time.
  let block: Int

  private var rows: Int { shape.outputHeight * shape.outputWidth }
  private var columns: Int { shape.kernel * shape.kernel * shape.inputChannels }

  var scratchFloats: Int { block * rows * columns }

  init(_ shape: ConvolutionShape) {
    self.shape = shape
    let patches = shape.outputHeight * shape.outputWidth * shape.kernel * shape.kernel * shape.inputChannels
    block = min(shape.images, max(1, (1 << 20) / patches))
  }

  func forward(
    images: Int, input: UnsafePointer<Float>, filter: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>,
    patches: UnsafeMutablePointer<Float>
  ) {
    for first in stride(from: 0, to: images, by: block) {
      let count = min(block, images - first)
      gather(count, input + first * shape.inputSize, patches)
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(count * rows), Int32(shape.outputChannels), Int32(columns), 1,
        patches, Int32(columns), filter, Int32(shape.outputChannels), 0, output + first * shape.outputSize,
        Int32(shape.outputChannels))
    }
  }

  func inputGradient(
    images: Int, outputGradient: UnsafePointer<Float>, filter: UnsafePointer<Float>,
    inputGradient: UnsafeMutablePointer<Float>, accumulate: Bool, patches: UnsafeMutablePointer<Float>
  ) {
    if !accumulate { inputGradient.update(repeating: 0, count: images * shape.inputSize) }
    for first in stride(from: 0, to: images, by: block) {
      let count = min(block, images - first)
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasTrans, Int32(count * rows), Int32(columns), Int32(shape.outputChannels), 1,
        outputGradient + first * shape.outputSize, Int32(shape.outputChannels), filter, Int32(shape.outputChannels), 0,
        patches, Int32(columns))
      scatter(count, patches, inputGradient + first * shape.inputSize)
    }
  }

  func run(_ call: FilterGradientCall, team: ThreadTeam, memory patches: UnsafeMutablePointer<Float>) {
    for first in stride(from: 0, to: call.images, by: block) {
      let count = min(block, call.images - first)
      gather(count, call.input + first * shape.inputSize, patches)
      cblas_sgemm(
        CblasRowMajor, CblasTrans, CblasNoTrans, Int32(columns), Int32(shape.outputChannels), Int32(count * rows), 1,
        patches, Int32(columns), call.outputGradient + first * shape.outputSize, Int32(shape.outputChannels),
        first == 0 ? 0 : 1, call.filterGradient, Int32(shape.outputChannels))
    }
  }

  private func gather(_ images: Int, _ input: UnsafePointer<Float>, _ patches: UnsafeMutablePointer<Float>) {
    visit(images) { patch, source in
      if let source {
        (patches + patch).update(from: input + source, count: shape.inputChannels)
      } else {
        (patches + patch).update(repeating: 0, count: shape.inputChannels)
      }
    }
  }

  private func scatter(_ images: Int, _ patches: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>) {
    visit(images) { patch, source in
      guard let source else { return }
      for c in 0..<shape.inputChannels { gradient[source + c] += patches[patch + c] }
    }
  }

  /// Calls `body(offset in the patch matrix, offset in the input or nil for padding)` for every tap of every pixel.
  @inline(__always)
  private func visit(_ images: Int, _ body: (Int, Int?) -> Void) {
    var patch = 0
    for image in 0..<images {
      for oy in 0..<shape.outputHeight {
        for ox in 0..<shape.outputWidth {
          for ky in 0..<shape.kernel {
            for kx in 0..<shape.kernel {
              let y = oy * shape.stride + ky - shape.padding
              let x = ox * shape.stride + kx - shape.padding
              let inside = y >= 0 && y < shape.height && x >= 0 && x < shape.width
              let source = ((image * shape.height + y) * shape.width + x) * shape.inputChannels
              body(patch, inside ? source : nil)
              patch += shape.inputChannels
            }
          }
        }
      }
    }
  }
}

/// The forward pass or the input gradient by way of the patch matrix.
struct Im2colCorrelation: CorrelationKernel {
  let pieces = PieceRule.whole
  private let plan: Im2colConvolution
  private let pass: ConvolutionPass

  init(_ shape: ConvolutionShape, _ pass: ConvolutionPass) {
    plan = Im2colConvolution(shape)
    self.pass = pass
  }

  var scratchFloats: Int { plan.scratchFloats }

  func run(_ call: CorrelationCall, team: ThreadTeam, memory: UnsafeMutablePointer<Float>) {
    let (maps, filter) = call.whole
    if pass == .forward {
      plan.forward(images: maps.images, input: maps.input, filter: filter, output: maps.output, patches: memory)
    } else {
      plan.inputGradient(
        images: maps.images, outputGradient: maps.input, filter: filter, inputGradient: maps.output,
        accumulate: maps.accumulate, patches: memory)
    }
  }
}
