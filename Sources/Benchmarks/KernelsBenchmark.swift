import COpenBLAS
import Files
import Foundation
import Kernels
import Layers
import Training

/// `bench kernels`: each convolution shape of a network, forward and both gradients, by algorithm.
public struct KernelsBenchmark {
  public struct Row: Sendable {
    public let shape: ConvolutionShape
    public let pass: ConvolutionPass
    /// GFLOP/s of direct-convolution work, by algorithm.
    public let rates: [ConvolutionAlgorithm: Double]
    public let chosen: ConvolutionAlgorithm
  }

  private let shapes: [ConvolutionShape]
  private let team: ThreadTeam

  /// - Parameter images: of a pass.
  public init(_ settings: Configuration, images: Int, threads: Int) {
    var distinct: [ConvolutionShape] = []
    for shape in settings.modelShape.encoder.convolutions(images: images) where !distinct.contains(shape) {
      distinct.append(shape)
    }
    shapes = distinct
    team = ThreadTeam(threads: threads)
  }

  public func run(each: (Row) -> Void) {
    for shape in shapes {
      for pass in ConvolutionPass.allCases {
        var rates: [ConvolutionAlgorithm: Double] = [:]
        for algorithm in ConvolutionAlgorithm.allCases where algorithm.applies(to: shape) {
          rates[algorithm] = rate(shape, pass, algorithm)
        }
        let chosen = Convolution(shape, team: team, scratch: Scratch()).algorithm(pass)
        each(Row(shape: shape, pass: pass, rates: rates, chosen: chosen))
      }
    }
  }

  private func rate(_ shape: ConvolutionShape, _ pass: ConvolutionPass, _ algorithm: ConvolutionAlgorithm) -> Double {
    let convolution = Convolution(shape, team: team, scratch: Scratch(), algorithm: algorithm)
    let input = AlignedBuffer(count: shape.images * shape.height * shape.width * shape.inputChannels)
    let output = AlignedBuffer(
      count: shape.images * shape.outputHeight * shape.outputWidth * shape.outputChannels)
    let filter = AlignedBuffer(count: shape.kernel * shape.kernel * shape.inputChannels * shape.outputChannels)
    for buffer in [input, output, filter] {
      for index in 0..<buffer.count { buffer.pointer[index] = Float(index % 13) * 0.1 - 0.6 }
    }
    var best = Double.infinity
    for _ in 0..<4 {
      let began = monotonicSeconds()
      switch pass {
      case .forward:
        convolution.forward(
          images: shape.images, input: input.pointer, filter: filter.pointer, output: output.pointer)
      case .inputGradient:
        convolution.inputGradient(
          images: shape.images, outputGradient: output.pointer, filter: filter.pointer, inputGradient: input.pointer,
          accumulate: false)
      case .filterGradient:
        convolution.filterGradient(
          images: shape.images, input: input.pointer, outputGradient: output.pointer, filterGradient: filter.pointer)
      }
      best = min(best, monotonicSeconds() - began)
    }
    return Double(shape.images) * shape.workPerImage / best * 1e-9
  }
}

extension KernelsBenchmark.Row {
  private var name: String {
    "\(shape.height)x\(shape.width)x\(shape.inputChannels)->\(shape.outputChannels) "
      + "\(shape.kernel)x\(shape.kernel)/\(shape.stride)"
  }

  public var json: JSON {
    [
      "shape": JSON(name), "images": JSON(shape.images), "pass": JSON(pass.rawValue), "chosen": JSON(chosen.rawValue),
      "gflops": .object(
        ConvolutionAlgorithm.allCases.compactMap { algorithm in
          rates[algorithm].map { JSON.Member(algorithm.rawValue, JSON($0)) }
        }),
    ]
  }

  public var text: String {
    let figures = ConvolutionAlgorithm.allCases.compactMap { algorithm in
      rates[algorithm].map { (algorithm == chosen ? "*" : " ") + algorithm.rawValue + String(format: " %.0f", $0) }
    }
    return name.padding(toLength: 26, withPad: " ", startingAt: 0)
      + pass.rawValue.padding(toLength: 17, withPad: " ", startingAt: 0) + figures.joined(separator: "  ")
  }

  public static let legend = "GFLOP/s of direct-convolution work; * the algorithm that training uses"
}
