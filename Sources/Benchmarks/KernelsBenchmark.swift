import Files
import Foundation
import Kernels
import Layers
import Training

/// `bench kernels`: each convolution shape of a network, forward and both gradients, by algorithm.
public struct KernelsBenchmark {
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
    setOpenBLASThreads(threads)
  }

  /// Times shape after shape and hands over each one's figures.
  public func run(each: ([ConvolutionTiming]) -> Void) {
    for shape in shapes { each(ConvolutionTiming.measure(shape, team: team)) }
  }

  public static let legend = "GFLOP/s of direct-convolution work; * the algorithm that training uses"

  /// A line a pass: the algorithms beside each other.
  public static func text(_ timings: [ConvolutionTiming]) -> String {
    ConvolutionPass.allCases.map { pass in
      let figures = timings.filter { $0.pass == pass }.map {
        ($0.isChosen ? "*" : " ") + $0.algorithm.rawValue + String(format: " %.0f", $0.gigaflops)
      }
      let name = timings.first.map { Self.name($0.shape) } ?? ""
      return name.padding(toLength: 26, withPad: " ", startingAt: 0)
        + pass.rawValue.padding(toLength: 17, withPad: " ", startingAt: 0) + figures.joined(separator: "  ")
    }.joined(separator: "\n")
  }

  public static func json(_ timings: [ConvolutionTiming]) -> [JSON] {
    timings.map {
      [
        "shape": JSON(name($0.shape)), "images": JSON($0.shape.images), "pass": JSON($0.pass.rawValue),
        "algorithm": JSON($0.algorithm.rawValue), "chosen": JSON($0.isChosen), "gflops": JSON($0.gigaflops),
      ]
    }
  }

  private static func name(_ shape: ConvolutionShape) -> String {
    "\(shape.height)x\(shape.width)x\(shape.inputChannels)->\(shape.outputChannels) "
      + "\(shape.kernel)x\(shape.kernel)/\(shape.stride)"
  }
}
