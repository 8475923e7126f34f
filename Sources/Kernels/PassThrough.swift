/// The elementwise halves of a layer without a norm: the residual sum, the ReLU and its mask.
public enum PassThrough {
  /// output = relu?(x (+ residual)), `count` floats. `output` may be `x` or the residual.
  public static func forward(
    _ x: UnsafePointer<Float>, residual: UnsafePointer<Float>?, relu: Bool, output: UnsafeMutablePointer<Float>,
    count: Int, team: ThreadTeam
  ) {
    team.split(count, grain: 1024) { range in
      @inline(__always)
      func run(adds: Bool, relu: Bool) {
        PassThroughForward(x: x, residual: residual ?? x, adds: adds, relu: relu, output: output).run(range)
      }
      // A loop of its own for each case, without a question inside.
      switch (residual != nil, relu) {
      case (false, false): run(adds: false, relu: false)
      case (false, true): run(adds: false, relu: true)
      case (true, false): run(adds: true, relu: false)
      case (true, true): run(adds: true, relu: true)
      }
    }
  }

  /// Leaves of a range of the gradient what is where the activation is above zero (or no number), and zeros elsewhere.
  public static func mask(
    _ gradient: UnsafeMutablePointer<Float>, where activation: UnsafePointer<Float>, _ range: Range<Int>
  ) {
    PassThroughMask(gradient: gradient, activation: activation).run(range)
  }
}

/// A pass over floats in their order, by vectors and then one by one.
private protocol FlatPass {
  func apply<V: ChannelVector>(_: V.Type, _ index: Int)
  func apply(_ index: Int)
}

extension FlatPass {
  @inline(__always)
  fileprivate func run(_ range: Range<Int>) {
    let start = range.lowerBound
    let rest = forVectors(
      of: range.count, by16: { apply(SIMD16<Float>.self, start + $0) }, by8: { apply(SIMD8<Float>.self, start + $0) })
    for index in start + rest..<range.upperBound { apply(index) }
  }
}

private struct PassThroughForward: FlatPass {
  let x, residual: UnsafePointer<Float>
  let adds, relu: Bool
  let output: UnsafeMutablePointer<Float>

  @inline(__always)
  func apply<V: ChannelVector>(_: V.Type, _ index: Int) {
    var value = V.load(x + index)
    if adds { value = value + V.load(residual + index) }
    if relu { value = value.rectified }
    value.store(output + index)
  }

  @inline(__always)
  func apply(_ index: Int) {
    let value = adds ? x[index] + residual[index] : x[index]
    output[index] = relu && value < 0 ? 0 : value
  }
}

private struct PassThroughMask: FlatPass {
  let gradient: UnsafeMutablePointer<Float>
  let activation: UnsafePointer<Float>

  @inline(__always)
  func apply<V: ChannelVector>(_: V.Type, _ index: Int) {
    V.load(gradient + index).wherePositive(V.load(activation + index)).store(gradient + index)
  }

  @inline(__always)
  func apply(_ index: Int) { if activation[index] <= 0 { gradient[index] = 0 } }
}
