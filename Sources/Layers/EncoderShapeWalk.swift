import Kernels

/// A residual block as sizes: its units' convolutions in order, and its projection's where the shape changes.
package struct BlockShape: Equatable, Sendable {
  package let units: [ConvolutionShape]
  package let downsample: ConvolutionShape?

  /// Floats of an image of the block's output.
  package var outputSize: Int { units[units.count - 1].outputSize }
  package var convolutions: [ConvolutionShape] { units + [downsample].compactMap { $0 } }
}

/// The sizes of a network without its layers: what `ResNet` makes, but nothing is planned or allocated.
extension EncoderShape {
  /// Floats of an image that the first block takes.
  package var stemOutputSize: Int {
    let (height, width) = stemOutput
    return height * width * self.width
  }

  /// Every residual block, for one image at a time.
  package var blockShapes: [BlockShape] {
    var (height, width) = stemOutput
    var channels = self.width
    var made: [BlockShape] = []
    for (stage, count) in blocks.enumerated() {
      for index in 0..<count {
        let inner = self.width << stage
        let block = block(
          height, width, inputs: channels, channels: inner, stride: stage > 0 && index == 0 ? 2 : 1)
        made.append(block)
        let last = block.units[block.units.count - 1]
        (height, width, channels) = (last.outputHeight, last.outputWidth, last.outputChannels)
      }
    }
    return made
  }

  private var stemOutput: (height: Int, width: Int) {
    let shape = stemConvolution(images: 1)
    let (height, width) = (shape.outputHeight, shape.outputWidth)
    return stem.pools ? (Pooling.pooledSize(height), Pooling.pooledSize(width)) : (height, width)
  }

  private func block(_ height: Int, _ width: Int, inputs: Int, channels: Int, stride: Int) -> BlockShape {
    let plan: [(kernel: Int, stride: Int, outputs: Int)] =
      isBottleneck
      ? [(1, 1, channels), (3, stride, channels), (1, 1, 4 * channels)] : [(3, stride, channels), (3, 1, channels)]
    var (rows, columns, depth) = (height, width, inputs)
    let units = plan.map { kernel, stride, outputs in
      let shape = ConvolutionShape(
        images: 1, height: rows, width: columns, inputChannels: depth, outputChannels: outputs, kernel: kernel,
        stride: stride, padding: kernel / 2)
      (rows, columns, depth) = (shape.outputHeight, shape.outputWidth, outputs)
      return shape
    }
    let projects = stride != 1 || inputs != depth
    return BlockShape(
      units: units,
      downsample: projects
        ? ConvolutionShape(
          images: 1, height: height, width: width, inputChannels: inputs, outputChannels: depth, kernel: 1,
          stride: stride, padding: 0) : nil)
  }

  /// The stem's convolution, for one image at a time.
  package var stemShape: ConvolutionShape { stemConvolution(images: 1) }
}
