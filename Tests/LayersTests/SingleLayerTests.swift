import Kernels
import Layers
import NetworkTesting
import XCTest

/// Linear layers, convolutions and pools against PyTorch's results, with parameters loaded in PyTorch's layouts.
final class SingleLayerTests: XCTestCase {
  func testLinear() throws {
    for name in ["linear", "linear_standardized"] { try checkLinear(try fixture(name), name) }
  }

  private func checkLinear(_ fixture: Fixture, _ name: String) throws {
    for threads in 1...3 {
      let rig = LayerRig(imagesPerView: 9, threads: threads) { plan, context in
        LinearLayer(
          "linear", inputs: 11, outputs: 7, standardized: name != "linear", plan: plan, context: context)
      }
      try fixture.load(rig.store) { $0.tail }
      let input = AlignedBuffer(try fixture.tensor("input").values)
      let gradient = AlignedBuffer(try fixture.tensor("output_gradient").values)
      let output = AlignedBuffer(count: 9 * 7)
      let inputGradient = AlignedBuffer(count: 9 * 11)
      rig.layer.forward(input.pointer, output: output.pointer, rows: 9, weights: rig.weights)
      rig.layer.backward(
        input: input.pointer, outputGradient: gradient.pointer, inputGradient: inputGradient.pointer, rows: 9,
        weights: rig.weights)
      assertClose(output.array, try fixture.tensor("output").values, within: 1e-6, "output")
      assertClose(inputGradient.array, try fixture.tensor("input_gradient").values, within: 1e-6, "input gradient")
      try assertGradients(rig.store, fixture, within: 1e-6, "linear") { "\($0.tail)_gradient" }
      withExtendedLifetime((input, gradient)) {}
    }
  }

  func testConvolutions() throws {
    for name in [
      "3x3_s1", "3x3_s1_wide", "3x3_s1_one", "3x3_s2", "3x3_s2_odd", "7x7_s2", "7x7_s2_odd", "1x1_s1", "1x1_s2",
      "1x1_s2_odd",
    ] {
      for threads in 1...3 { try checkConvolution(name, threads: threads) }
    }
  }

  private func checkConvolution(_ name: String, threads: Int) throws {
    let fixture = try fixture("convolution_\(name)")
    let (input, output) = (try fixture.tensor("input"), try fixture.tensor("output"))
    let filter = try fixture.tensor("weight")
    let shape = ConvolutionShape(
      images: input.shape[0], height: input.shape[2], width: input.shape[3], inputChannels: input.shape[1],
      outputChannels: output.shape[1], kernel: filter.shape[2], stride: Int(fixture.file.metadata["stride"]!)!,
      padding: Int(fixture.file.metadata["padding"]!)!)
    XCTAssertEqual([shape.outputHeight, shape.outputWidth], Array(output.shape[2...]), name)
    let plan = ParameterPlan()
    let parameter = plan.add(
      "weight", shape: filter.shape, layout: .convolution, start: .kaimingNormal)
    let store = ParameterStore(plan, trained: true)
    try fixture.load(store) { $0 }
    let convolution = Convolution(shape, team: ThreadTeam(threads: threads, spins: 100), scratch: Scratch())
    let images = shape.images
    let x = AlignedBuffer(input.channelsLast)
    let dy = AlignedBuffer(try fixture.tensor("output_gradient").channelsLast)
    let y = AlignedBuffer(count: images * shape.outputSize)
    let dx = AlignedBuffer(count: images * shape.inputSize)
    convolution.forward(images: images, input: x.pointer, filter: store.values.pointer, output: y.pointer)
    convolution.inputGradient(
      images: images, outputGradient: dy.pointer, filter: store.values.pointer, inputGradient: dx.pointer,
      accumulate: false)
    convolution.filterGradient(
      images: images, input: x.pointer, outputGradient: dy.pointer, filterGradient: store.gradients.pointer)
    assertClose(y.array, output.channelsLast, within: 1e-5, "\(name) output")
    let wanted = try fixture.tensor("input_gradient").channelsLast
    assertClose(dx.array, wanted, within: 1e-5, "\(name) input gradient")
    assertClose(
      parameter.fileOrder(from: store.gradients.pointer), try fixture.tensor("weight_gradient").values, within: 1e-5,
      "\(name) filter gradient")
    convolution.inputGradient(
      images: images, outputGradient: dy.pointer, filter: store.values.pointer, inputGradient: dx.pointer,
      accumulate: true)
    assertClose(dx.array, wanted.map { 2 * $0 }, within: 1e-5, "\(name) input gradient added to itself")
    withExtendedLifetime((x, dy)) {}
  }

  func testMaxPools() throws {
    for name in ["max_pool", "max_pool_odd", "max_pool_ties"] {
      for threads in 1...3 {
        let fixture = try fixture(name)
        let input = try fixture.tensor("input")
        let output = try fixture.tensor("output")
        let (images, channels, height, width) = (input.shape[0], input.shape[1], input.shape[2], input.shape[3])
        XCTAssertEqual([Pooling.pooledSize(height), Pooling.pooledSize(width)], Array(output.shape[2...]))
        let team = ThreadTeam(threads: threads, spins: 100)
        let x = AlignedBuffer(input.channelsLast)
        let y = AlignedBuffer(count: output.values.count)
        var chosen = [UInt8](repeating: 255, count: output.values.count)
        Pooling.maxForward(
          x.pointer, images: images, height: height, width: width, channels: channels, output: y.pointer,
          chosen: &chosen, team: team)
        XCTAssertEqual(y.array, output.channelsLast, name)
        let dy = AlignedBuffer(try fixture.tensor("output_gradient").channelsLast)
        let dx = AlignedBuffer([Float](repeating: .nan, count: x.count))
        Pooling.maxBackward(
          outputGradient: dy.pointer, chosen: chosen, images: images, height: height, width: width, channels: channels,
          inputGradient: dx.pointer, team: team)
        assertClose(dx.array, try fixture.tensor("input_gradient").channelsLast, within: 1e-6, "\(name) gradient")
        withExtendedLifetime((x, dy)) {}
      }
    }
  }

  func testGlobalAveragePool() throws {
    let fixture = try fixture("global_average_pool")
    let x = AlignedBuffer(try fixture.tensor("input").channelsLast)
    let y = AlignedBuffer(count: 18)
    Pooling.averageForward(x.pointer, images: 3, area: 12, channels: 6, output: y.pointer)
    assertClose(y.array, try fixture.tensor("output").values, within: 1e-6, "output")
    let dy = AlignedBuffer(try fixture.tensor("output_gradient").values)
    let dx = AlignedBuffer(count: x.count)
    Pooling.averageBackward(outputGradient: dy.pointer, images: 3, area: 12, channels: 6, inputGradient: dx.pointer)
    assertClose(dx.array, try fixture.tensor("input_gradient").channelsLast, within: 1e-6, "gradient")
    withExtendedLifetime((x, dy)) {}
  }
}
