/// What a two-dimensional convolution is given: square kernels, NHWC maps, filters in HWIO order.
public struct ConvolutionShape: Hashable, Sendable {
  /// The largest number of images in one call.
  public var images: Int
  /// Rows and columns of the input map.
  public var height, width: Int
  public var inputChannels, outputChannels: Int
  /// Rows (and columns) of the filter.
  public var kernel: Int
  public var stride: Int
  /// Zero pixels on each side of the input map.
  public var padding: Int

  public init(
    images: Int, height: Int, width: Int, inputChannels: Int, outputChannels: Int, kernel: Int, stride: Int,
    padding: Int
  ) {
    self.images = images
    self.height = height
    self.width = width
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    precondition(images > 0 && inputChannels > 0 && outputChannels > 0, "a convolution needs images and channels")
    precondition(kernel > 0 && stride > 0 && padding >= 0 && padding < kernel, "no such window")
    precondition(height + 2 * padding >= kernel && width + 2 * padding >= kernel, "the map is smaller than the window")
  }

  public var outputHeight: Int { (height + 2 * padding - kernel) / stride + 1 }
  public var outputWidth: Int { (width + 2 * padding - kernel) / stride + 1 }

  /// Floats of one input image, of one output image and of the filter.
  public var inputSize: Int { height * width * inputChannels }
  public var outputSize: Int { outputHeight * outputWidth * outputChannels }
  public var filterSize: Int { kernel * kernel * inputChannels * outputChannels }

  /// Floating-point operations of one pass done directly: two for each product of an output pixel's window, padding
  /// included. The same for the forward pass and both gradients.
  public func operations(images: Int) -> Double {
    2 * Double(images * outputHeight * outputWidth) * Double(filterSize)
  }
}
