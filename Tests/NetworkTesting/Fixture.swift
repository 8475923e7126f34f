import Files
import Foundation
import Kernels
import Layers

/// A tensor in PyTorch's order, as a fixture has it.
package struct Tensor {
  package let shape: [Int]
  package let values: [Float]

  package init(shape: [Int], values: [Float]) {
    self.shape = shape
    self.values = values
  }

  /// NCHW to NHWC; fewer than four dimensions stay as they are.
  package var channelsLast: [Float] {
    guard shape.count == 4 else { return values }
    let (channels, area) = (shape[1], shape[2] * shape[3])
    return (0..<values.count).map { index in
      let (pixel, channel) = index.quotientAndRemainder(dividingBy: channels)
      let (image, place) = pixel.quotientAndRemainder(dividingBy: area)
      return values[(image * channels + channel) * area + place]
    }
  }
}

/// PyTorch's results out of a committed file.
package struct Fixture {
  package let file: SafetensorsFile

  /// - Parameter source: the test's #filePath, beside whose Fixtures directory the file lies.
  package init(_ name: String, _ source: String) throws {
    let directory = URL(fileURLWithPath: source).deletingLastPathComponent().appendingPathComponent("Fixtures")
    file = try SafetensorsFile(path: directory.appendingPathComponent(name + ".safetensors").path)
  }

  package func tensor(_ name: String) throws -> Tensor {
    Tensor(shape: try file.shape(name), values: try file.floats(name))
  }

  package func has(_ name: String) -> Bool { file.tensors[name] != nil }

  /// Fills a store's parameters and running buffers from the tensors that `key` makes of their names.
  /// - Throws: `FileError` where the file lacks one; running buffers may be absent.
  package func load(_ store: ParameterStore, key: (String) -> String) throws {
    for parameter in store.parameters {
      let tensor = try tensor(key(parameter.name))
      precondition(tensor.shape == parameter.shape, "\(parameter.name) is \(parameter.shape), not \(tensor.shape)")
      parameter.store(fileOrder: tensor.values, into: store.values.pointer)
    }
    for buffer in store.buffers where has(key(buffer.name)) {
      let values = try tensor(key(buffer.name)).values
      precondition(values.count == buffer.count, "\(buffer.name) has \(buffer.count) numbers, not \(values.count)")
      (store.running.pointer + buffer.offset).update(from: values, count: values.count)
    }
  }
}

/// The largest difference over the largest wanted magnitude (or `scale` where that is larger); infinite where a result
/// is no number or the counts differ.
package func distance(_ got: [Float], _ wanted: [Float], scale: Double = 0) -> Double {
  guard got.count == wanted.count else { return .infinity }
  var largest = scale
  var worst = 0.0
  for (a, b) in zip(got, wanted) {
    let difference = abs(Double(a) - Double(b))
    guard difference.isFinite else { return .infinity }
    largest = max(largest, abs(Double(b)))
    worst = max(worst, difference)
  }
  return worst == 0 ? 0 : worst / largest
}

package func magnitude(_ values: [Float]) -> Double { values.reduce(0) { max($0, abs(Double($1))) } }

/// Standard normal floats, a pure function of the words.
package func noise(_ count: Int, _ seed: UInt64, scale: Double = 1, shift: Double = 0) -> [Float] {
  var random = CounterRandom(0x7465_7374, seed)
  return (0..<count).map { _ in Float(shift + scale * random.normal()) }
}

extension AlignedBuffer {
  package convenience init(_ values: [Float]) {
    self.init(count: values.count)
    pointer.update(from: values, count: values.count)
  }

  package var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }
}

package func array(_ pointer: UnsafePointer<Float>, _ count: Int) -> [Float] {
  Array(UnsafeBufferPointer(start: pointer, count: count))
}

extension ParameterStore {
  /// Every parameter's value, or gradient, by name in PyTorch's order.
  package func named(gradients wantsGradients: Bool = false) -> [(name: String, values: [Float])] {
    parameters.map { ($0.name, $0.fileOrder(from: wantsGradients ? gradients.pointer : values.pointer)) }
  }

  package func namedBuffers() -> [(name: String, values: [Float])] {
    buffers.map { ($0.name, array(running.pointer + $0.offset, $0.count)) }
  }

  /// Weights near their start that tell apart what PyTorch's ones and zeros would not.
  package func perturb(_ seed: UInt64) {
    for (place, parameter) in parameters.enumerated() where parameter.layout == .vector {
      let numbers = noise(parameter.count, seed &* 1000 &+ UInt64(place), scale: 0.2)
      for i in 0..<parameter.count { values.pointer[parameter.offset + i] += numbers[i] }
    }
  }
}
