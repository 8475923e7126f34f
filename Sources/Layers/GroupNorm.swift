import Kernels

/// Group norm (Wu & He 2018) and, with one group, layer norm (Ba et al. 2016): statistics over a sample's own
/// activations, so nothing of other images enters. As torch.nn.GroupNorm; with one row an image as torch.nn.LayerNorm.
package final class GroupNorm: Normalization {
  private let groups: Int
  private let channels: Int
  private let rowsPerImage: Int
  private let context: NetworkContext
  private let gamma: Parameter
  private let beta: Parameter
  /// For each image: mean and inverse deviation of each group.
  private let statistics: AlignedBuffer
  /// For each image: Σ g and Σ g xhat of each channel.
  private let sums: UnsafeMutablePointer<Double>

  /// The number of groups for a layer of `channels`: the largest divisor not above 32, as the paper's default, that
  /// leaves each at least two channels: one number alone, as a head of few channels would have it, is normalised to 0.
  package static func groups(_ channels: Int) -> Int {
    (1...max(1, min(32, channels / 2))).last { channels % $0 == 0 } ?? 1
  }

  package init(
    _ name: String, groups: Int, channels: Int, rowsPerImage: Int, plan: ParameterPlan, context: NetworkContext
  ) {
    self.groups = groups
    self.channels = channels
    self.rowsPerImage = rowsPerImage
    self.context = context
    gamma = plan.add(name + ".weight", shape: [channels], start: .constant(1))
    beta = plan.add(name + ".bias", shape: [channels], start: .constant(0))
    statistics = AlignedBuffer(count: context.layout.images * groups * 2)
    sums = .allocate(capacity: context.layout.images * channels * 2)
  }

  deinit { sums.deallocate() }

  package func observe(_ x: UnsafePointer<Float>, images: Range<Int>) {
    context.team.split(images.count) { range in
      for index in range {
        let image = images.lowerBound + index
        measure(x + image * rowsPerImage * channels, image)
      }
    }
  }

  package func startSettling(images: Int, weights: Weights) {}

  package func settle(weights: Weights) {}

  private func measure(_ x: UnsafePointer<Float>, _ image: Int) {
    let width = channels / groups
    for group in 0..<groups {
      var sum = 0.0
      var squares = 0.0
      for row in 0..<rowsPerImage {
        let values = x + row * channels + group * width
        for c in 0..<width {
          let value = Double(values[c])
          sum += value
          squares += value * value
        }
      }
      let count = Double(rowsPerImage * width)
      let mean = sum / count
      let variance = max(0, squares / count - mean * mean)
      let place = statistics.pointer + (image * groups + group) * 2
      place[0] = Float(mean)
      place[1] = Float(1 / (variance + BatchNorm.epsilon).squareRoot())
    }
  }

  package func apply(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    images: Range<Int>, weights: Weights
  ) {
    let width = channels / groups
    let scale = weights.value(gamma)
    let shift = weights.value(beta)
    let first = images.lowerBound * rowsPerImage * channels
    context.team.split(images.count) { range in
      for index in range {
        let image = images.lowerBound + index
        for row in 0..<rowsPerImage {
          let base = (image * rowsPerImage + row) * channels
          for group in 0..<groups {
            let place = statistics.pointer + (image * groups + group) * 2
            for c in (group * width)..<((group + 1) * width) {
              var value = shift[c].addingProduct((x[base + c] - place[0]) * place[1], scale[c])
              if let residual { value += residual[base + c] }
              output[base - first + c] = relu && value <= 0 ? 0 : value
            }
          }
        }
      }
    }
  }

  package func observeGradient(
    _ gradient: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask, images: Range<Int>,
    weights: Weights
  ) {
    context.team.split(images.count) { range in
      for index in range { maskAndSum(gradient, x, mask, images.lowerBound + index, weights) }
    }
  }

  package func applyGradient(
    _ gradient: UnsafePointer<Float>, x: UnsafePointer<Float>, mask: ReLUMask,
    inputGradient: UnsafeMutablePointer<Float>, images: Range<Int>, weights: Weights
  ) {
    context.team.split(images.count) { range in
      for index in range { writeInputGradient(gradient, x, inputGradient, images.lowerBound + index, weights) }
    }
  }

  package func settleGradient() {}

  package func startSettlingGradient(images: Int, weights: Weights) {
    let gammaGradient = weights.gradient(gamma)
    let betaGradient = weights.gradient(beta)
    for c in 0..<channels {
      var sum = 0.0
      var product = 0.0
      for image in 0..<images {
        sum += sums[image * channels * 2 + c]
        product += sums[image * channels * 2 + channels + c]
      }
      betaGradient[c] = Float(sum)
      gammaGradient[c] = Float(product)
    }
  }

  private func maskAndSum(
    _ gradient: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ mask: ReLUMask, _ image: Int,
    _ weights: Weights
  ) {
    let width = channels / groups
    let scale = weights.value(gamma)
    let shift = weights.value(beta)
    let sum = sums + image * channels * 2
    sum.update(repeating: 0, count: channels * 2)
    for row in 0..<rowsPerImage {
      let base = (image * rowsPerImage + row) * channels
      for c in 0..<channels {
        let place = statistics.pointer + (image * groups + c / width) * 2
        let hat = (x[base + c] - place[0]) * place[1]
        switch mask {
        case .none: break
        case .output(let output): if output[base + c] <= 0 { gradient[base + c] = 0 }
        case .recomputed: if shift[c].addingProduct(hat, scale[c]) <= 0 { gradient[base + c] = 0 }
        }
        sum[c] += Double(gradient[base + c])
        sum[channels + c] += Double(gradient[base + c]) * Double(hat)
      }
    }
  }

  /// dx = inverse (g gamma - mean(g gamma) - xhat mean(g gamma xhat)), the means over the group.
  private func writeInputGradient(
    _ gradient: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ inputGradient: UnsafeMutablePointer<Float>,
    _ image: Int, _ weights: Weights
  ) {
    let width = channels / groups
    let scale = weights.value(gamma)
    let sum = sums + image * channels * 2
    for group in 0..<groups {
      let place = statistics.pointer + (image * groups + group) * 2
      let inside = (group * width)..<((group + 1) * width)
      let count = Double(rowsPerImage * width)
      let mean = Float(inside.reduce(0) { $0 + sum[$1] * Double(scale[$1]) } / count)
      let product = Float(inside.reduce(0) { $0 + sum[channels + $1] * Double(scale[$1]) } / count)
      for row in 0..<rowsPerImage {
        let base = (image * rowsPerImage + row) * channels
        for c in inside {
          let hat = (x[base + c] - place[0]) * place[1]
          inputGradient[base + c] = place[1] * (gradient[base + c] * scale[c] - mean - hat * product)
        }
      }
    }
  }
}
