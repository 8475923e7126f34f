import Foundation
import Kernels

/// Everything random about one view, drawn before any pixel is touched.
package struct ViewParameters: Equatable {
  /// A rectangle of the source image, in pixels.
  package struct Crop: Equatable {
    package var top: Int
    package var left: Int
    package var height: Int
    package var width: Int
  }

  package enum ColorOperation: Int, CaseIterable { case brightness, contrast, saturation, hue }

  package struct Jitter: Equatable {
    package var brightness: Float
    package var contrast: Float
    package var saturation: Float
    /// A part of the colour circle, -0.5 to 0.5.
    package var hue: Double
    /// Which operation comes first, second, third and fourth.
    package var order: SIMD4<UInt8>
  }

  package var crop: Crop
  package var jitter: Jitter?
  package var grey = false
  package var flip = false
  /// PIL's blur radius, which is the Gaussian's deviation in pixels of the view.
  package var sigma: Float?

  /// The whole image and nothing else.
  package init(height: Int, width: Int) { crop = Crop(top: 0, left: 0, height: height, width: width) }

  /// MoCo v2's view (Chen et al. 2020), in the order crop, jitter, grey, flip, blur.
  package static func moco(height: Int, width: Int, blur: Bool, random: inout CounterRandom) -> ViewParameters {
    var view = ViewParameters(height: height, width: width)
    view.crop = .random(height: height, width: width, scale: 0.2...1, ratio: 3.0 / 4...4.0 / 3, random: &random)
    if random.uniform() < 0.8 { view.jitter = .random(strength: 0.4, hue: 0.1, random: &random) }
    view.grey = random.uniform() < 0.2
    view.flip = random.uniform() < 0.5
    if blur && random.uniform() < 0.5 { view.sigma = Float(random.uniform(0.1, 2)) }
    return view
  }
}

extension ViewParameters.Crop {
  /// torchvision's RandomResizedCrop.get_params: ten tries at an area uniform in `scale` and an aspect ratio log-uniform
  /// in `ratio`, then the largest central crop of an allowed ratio.
  package static func random(
    height: Int, width: Int, scale: ClosedRange<Double>, ratio: ClosedRange<Double>, random: inout CounterRandom
  ) -> Self {
    let area = Double(height * width)
    for _ in 0..<10 {
      let targetArea = area * random.uniform(scale.lowerBound, scale.upperBound)
      let aspect = exp(random.uniform(log(ratio.lowerBound), log(ratio.upperBound)))
      // Python's round takes halves to even.
      let cropWidth = Int((targetArea * aspect).squareRoot().rounded(.toNearestOrEven))
      let cropHeight = Int((targetArea / aspect).squareRoot().rounded(.toNearestOrEven))
      if cropWidth > 0 && cropWidth <= width && cropHeight > 0 && cropHeight <= height {
        let top = Int(random.uniform() * Double(height - cropHeight + 1))
        let left = Int(random.uniform() * Double(width - cropWidth + 1))
        return Self(top: top, left: left, height: cropHeight, width: cropWidth)
      }
    }
    return central(height: height, width: width, ratio: ratio)
  }

  /// The largest central crop whose width over height lies in `ratio`.
  package static func central(height: Int, width: Int, ratio: ClosedRange<Double>) -> Self {
    var crop = Self(top: 0, left: 0, height: height, width: width)
    let aspect = Double(width) / Double(height)
    if aspect < ratio.lowerBound {
      crop.height = Int((Double(width) / ratio.lowerBound).rounded(.toNearestOrEven))
    } else if aspect > ratio.upperBound {
      crop.width = Int((Double(height) * ratio.upperBound).rounded(.toNearestOrEven))
    }
    crop.top = (height - crop.height) / 2
    crop.left = (width - crop.width) / 2
    return crop
  }
}

extension ViewParameters.Jitter {
  /// torchvision's ColorJitter.get_params: factors uniform in 1 - strength ... 1 + strength, a hue shift uniform in
  /// -hue ... hue, and a uniform order.
  package static func random(strength: Double, hue: Double, random: inout CounterRandom) -> Self {
    var order = SIMD4<UInt8>(0, 1, 2, 3)
    for place in stride(from: 3, to: 0, by: -1) {
      let other = Int(random.uniform() * Double(place + 1))
      (order[place], order[other]) = (order[other], order[place])
    }
    return Self(
      brightness: Float(random.uniform(1 - strength, 1 + strength)),
      contrast: Float(random.uniform(1 - strength, 1 + strength)),
      saturation: Float(random.uniform(1 - strength, 1 + strength)),
      hue: random.uniform(-hue, hue), order: order)
  }
}

extension Pixels {
  /// torchvision's ColorJitter with these parameters.
  package func jitter(_ jitter: ViewParameters.Jitter) {
    for place in 0..<4 {
      switch ViewParameters.ColorOperation(rawValue: Int(jitter.order[place]))! {
      case .brightness: adjustBrightness(jitter.brightness)
      case .contrast: adjustContrast(jitter.contrast)
      case .saturation: adjustSaturation(jitter.saturation)
      case .hue: adjustHue(jitter.hue)
      }
    }
  }
}
