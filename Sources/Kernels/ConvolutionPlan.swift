/// One pass of a convolution, planned with one algorithm.
struct ConvolutionPlan {
  let algorithm: ConvolutionAlgorithm
  let scratchFloats: Int
  private let shape: ConvolutionShape
  private let method: Method

  private enum Method {
    case im2col(Im2colConvolution, ConvolutionPass)
    case direct(DirectConvolution)
    case directFilter(DirectFilterGradient)
    case matrix(ConvolutionPass)
    case winograd2(WinogradConvolution<WinogradTile2>)
    case winograd3(WinogradConvolution<WinogradTile3>)
    case winograd4(WinogradConvolution<WinogradTile4>)
    case winogradFilter2(WinogradFilterGradient<WinogradTile2>)
    case winogradFilter3(WinogradFilterGradient<WinogradTile3>)
    case winogradFilter4(WinogradFilterGradient<WinogradTile4>)
  }

  init(_ shape: ConvolutionShape, _ pass: ConvolutionPass, _ algorithm: ConvolutionAlgorithm, team: ThreadTeam) {
    self.shape = shape
    self.algorithm = algorithm
    let threads = team.threads
    let isFilter = pass == .filterGradient
    let problem = pass == .inputGradient ? WinogradProblem.inputGradient(shape) : .forward(shape)
    switch algorithm {
    case .im2col:
      let plan = Im2colConvolution(shape)
      (method, scratchFloats) = (.im2col(plan, pass), plan.scratchFloats)
    case .matrix:
      let (pixels, filter) = (shape.images * shape.height * shape.width, (shape.inputChannels, shape.outputChannels))
      method = .matrix(pass)
      scratchFloats =
        switch pass {
        case .forward: MatrixMultiply.scratchFloats(m: pixels, n: filter.1, k: filter.0, aTransposed: false, threads)
        case .inputGradient:
          MatrixMultiply.scratchFloats(m: pixels, n: filter.0, k: filter.1, aTransposed: false, threads)
        case .filterGradient:
          MatrixMultiply.scratchFloats(m: filter.0, n: filter.1, k: pixels, aTransposed: true, threads)
        }
    case .direct where isFilter:
      let plan = DirectFilterGradient(shape, threads: threads)
      (method, scratchFloats) = (.directFilter(plan), plan.scratchFloats)
    case .direct:
      let plan =
        pass == .forward
        ? DirectConvolution(forward: shape, threads: threads)
        : DirectConvolution(inputGradient: shape, threads: threads)
      (method, scratchFloats) = (.direct(plan), plan.scratchFloats)
    case .winograd2 where isFilter:
      let plan = WinogradFilterGradient<WinogradTile2>(shape, threads: threads)
      (method, scratchFloats) = (.winogradFilter2(plan), plan.scratchFloats)
    case .winograd3 where isFilter:
      let plan = WinogradFilterGradient<WinogradTile3>(shape, threads: threads)
      (method, scratchFloats) = (.winogradFilter3(plan), plan.scratchFloats)
    case .winograd4 where isFilter:
      let plan = WinogradFilterGradient<WinogradTile4>(shape, threads: threads)
      (method, scratchFloats) = (.winogradFilter4(plan), plan.scratchFloats)
    case .winograd2:
      let plan = WinogradConvolution<WinogradTile2>(problem, threads: threads)
      (method, scratchFloats) = (.winograd2(plan), plan.scratchFloats)
    case .winograd3:
      let plan = WinogradConvolution<WinogradTile3>(problem, threads: threads)
      (method, scratchFloats) = (.winograd3(plan), plan.scratchFloats)
    case .winograd4:
      let plan = WinogradConvolution<WinogradTile4>(problem, threads: threads)
      (method, scratchFloats) = (.winograd4(plan), plan.scratchFloats)
    }
  }

  /// The forward pass, or the input gradient with the output gradient as input.
  func correlate(
    images: Int, input: UnsafePointer<Float>, filter: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>,
    accumulate: Bool, team: ThreadTeam, scratch: Scratch
  ) {
    let memory = scratch.pointer
    switch method {
    case .im2col(let plan, .forward):
      plan.forward(images: images, input: input, filter: filter, output: output, patches: memory)
    case .im2col(let plan, _):
      plan.inputGradient(
        images: images, outputGradient: input, filter: filter, inputGradient: output, accumulate: accumulate,
        patches: memory)
    case .matrix(let pass):
      let backward = pass == .inputGradient
      let (from, to) =
        backward ? (shape.outputChannels, shape.inputChannels) : (shape.inputChannels, shape.outputChannels)
      MatrixMultiply.run(
        m: images * shape.height * shape.width, n: to, k: from, a: input, lda: from, aTransposed: false, b: filter,
        ldb: shape.outputChannels, bTransposed: backward, c: output, ldc: to, accumulate: accumulate, team: team,
        scratch: scratch)
    case .direct(let plan):
      plan.run(
        images: images, input: input, filter: filter, output: output, accumulate: accumulate, team: team, memory: memory
      )
    case .winograd2(let plan):
      plan.run(
        images: images, input: input, filter: filter, output: output, accumulate: accumulate, team: team, memory: memory
      )
    case .winograd3(let plan):
      plan.run(
        images: images, input: input, filter: filter, output: output, accumulate: accumulate, team: team, memory: memory
      )
    case .winograd4(let plan):
      plan.run(
        images: images, input: input, filter: filter, output: output, accumulate: accumulate, team: team, memory: memory
      )
    case .directFilter, .winogradFilter2, .winogradFilter3, .winogradFilter4: preconditionFailure("a filter gradient")
    }
  }

  /// The filter gradient.
  func filterGradient(
    images: Int, input: UnsafePointer<Float>, outputGradient: UnsafePointer<Float>,
    filterGradient: UnsafeMutablePointer<Float>, team: ThreadTeam, scratch: Scratch
  ) {
    let memory = scratch.pointer
    switch method {
    case .im2col(let plan, _):
      plan.filterGradient(
        images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient, patches: memory)
    case .matrix:
      MatrixMultiply.run(
        m: shape.inputChannels, n: shape.outputChannels, k: images * shape.height * shape.width, a: input,
        lda: shape.inputChannels, aTransposed: true, b: outputGradient, ldb: shape.outputChannels, bTransposed: false,
        c: filterGradient, ldc: shape.outputChannels, accumulate: false, team: team, scratch: scratch)
    case .directFilter(let plan):
      plan.run(
        images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient, team: team,
        memory: memory)
    case .winogradFilter2(let plan):
      plan.run(
        images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient, team: team,
        memory: memory)
    case .winogradFilter3(let plan):
      plan.run(
        images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient, team: team,
        memory: memory)
    case .winogradFilter4(let plan):
      plan.run(
        images: images, input: input, outputGradient: outputGradient, filterGradient: filterGradient, team: team,
        memory: memory)
    case .direct, .winograd2, .winograd3, .winograd4: preconditionFailure("no filter gradient")
    }
  }
}
