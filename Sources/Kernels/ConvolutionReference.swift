/// The definition of a convolution and its gradients, loop by loop in double precision: slow, and what the fast
/// kernels are held against.
public enum ConvolutionReference {
  /// [images, outputHeight, outputWidth, outputChannels].
  public static func forward(_ shape: ConvolutionShape, images: Int, input: [Float], filter: [Float]) -> [Double] {
    var output = [Double](repeating: 0, count: images * shape.outputSize)
    visit(shape, images: images) { pixel, source, tap in
      for c in 0..<shape.inputChannels {
        let x = Double(input[source * shape.inputChannels + c])
        let weights = (tap * shape.inputChannels + c) * shape.outputChannels
        for o in 0..<shape.outputChannels {
          output[pixel * shape.outputChannels + o] += x * Double(filter[weights + o])
        }
      }
    }
    return output
  }

  /// [images, height, width, inputChannels]: the gradient of sum(output * outputGradient).
  public static func inputGradient(
    _ shape: ConvolutionShape, images: Int, outputGradient: [Float], filter: [Float]
  ) -> [Double] {
    var gradient = [Double](repeating: 0, count: images * shape.inputSize)
    visit(shape, images: images) { pixel, source, tap in
      for c in 0..<shape.inputChannels {
        let weights = (tap * shape.inputChannels + c) * shape.outputChannels
        var sum = 0.0
        for o in 0..<shape.outputChannels {
          sum += Double(outputGradient[pixel * shape.outputChannels + o]) * Double(filter[weights + o])
        }
        gradient[source * shape.inputChannels + c] += sum
      }
    }
    return gradient
  }

  /// [kernel, kernel, inputChannels, outputChannels]: the gradient of sum(output * outputGradient).
  public static func filterGradient(
    _ shape: ConvolutionShape, images: Int, input: [Float], outputGradient: [Float]
  ) -> [Double] {
    var gradient = [Double](repeating: 0, count: shape.filterSize)
    visit(shape, images: images) { pixel, source, tap in
      for c in 0..<shape.inputChannels {
        let x = Double(input[source * shape.inputChannels + c])
        let weights = (tap * shape.inputChannels + c) * shape.outputChannels
        for o in 0..<shape.outputChannels {
          gradient[weights + o] += x * Double(outputGradient[pixel * shape.outputChannels + o])
        }
      }
    }
    return gradient
  }

  /// Calls `body(output pixel, input pixel, tap)` for every tap of every window that lies inside the map.
  private static func visit(_ shape: ConvolutionShape, images: Int, _ body: (Int, Int, Int) -> Void) {
    for image in 0..<images {
      for oy in 0..<shape.outputHeight {
        for ox in 0..<shape.outputWidth {
          for ky in 0..<shape.kernel {
            for kx in 0..<shape.kernel {
              let y = oy * shape.stride + ky - shape.padding
              let x = ox * shape.stride + kx - shape.padding
              guard y >= 0, y < shape.height, x >= 0, x < shape.width else { continue }
              let pixel = (image * shape.outputHeight + oy) * shape.outputWidth + ox
              body(pixel, (image * shape.height + y) * shape.width + x, ky * shape.kernel + kx)
            }
          }
        }
      }
    }
  }
}
