import Foundation
import Kernels

/// All that makes `shapes` harder or easier, in one place. Lengths are parts of the image's side, amplitudes of 0...1.
package struct ShapesDifficulty: Sendable {
  /// The form's radius and how far from the image's centre its own may lie.
  package var radius: ClosedRange<Double> = 0.3...0.46
  package var offset = 0.16
  /// Least difference of luma between form and background.
  package var contrast = 0.25
  /// Amplitude of the background's waves, and of those on the form.
  package var texture: ClosedRange<Double> = 0.02...0.12
  /// Small marks strewn over the image, and their radius.
  package var marks: ClosedRange<Int> = 1...4
  package var markRadius: ClosedRange<Double> = 0.03...0.07
  /// How much brighter one edge of the image is than its middle, and how far the whole may be dimmed.
  package var lighting = 0.35
  package var dimmest = 0.7
  /// Deviation of each pixel's noise.
  package var noise = 0.03

  package init() {}
}

/// What one image of `shapes` shows.
struct ShapesScene {
  typealias Color = SIMD3<Float>

  /// A figure at a place: `inverse` takes pixels, as parts of the side, to the figure's own plane.
  struct Figure {
    var form: Form
    var x: Float
    var y: Float
    var cosine: Float
    var sine: Float
    var radius: Float
    var color: Color
  }

  /// A plane wave added to a surface.
  struct Wave {
    var fx: Float
    var fy: Float
    var phase: Float
    var color: Color
  }

  var background: Color
  var waves: [Wave]
  var formWave: Wave
  var figures: [Figure]
  var light: SIMD3<Float>
  var noise: Float

  init(form: Form, difficulty: ShapesDifficulty, random: inout CounterRandom) {
    let background = Self.color(&random)
    var color = Self.color(&random)
    while abs(Self.luma(color) - Self.luma(background)) < Float(difficulty.contrast) { color = Self.color(&random) }
    waves = (0..<2).map { _ in Self.wave(difficulty, &random) }
    formWave = Self.wave(difficulty, &random)
    let markCount =
      difficulty.marks.lowerBound
      + Int(random.uniform() * Double(difficulty.marks.upperBound - difficulty.marks.lowerBound + 1))
    var marks: [Figure] = []
    for _ in 0..<markCount {
      let kinds: [Form] = [.disc, .square, .triangle]
      let kind = kinds[Int(random.uniform() * Double(kinds.count))]
      let radius = random.uniform(difficulty.markRadius.lowerBound, difficulty.markRadius.upperBound)
      marks.append(
        Self.figure(
          kind, x: random.uniform(), y: random.uniform(), radius: radius, color: Self.color(&random), &random))
    }
    let main = Self.figure(
      form, x: 0.5 + random.uniform(-difficulty.offset, difficulty.offset),
      y: 0.5 + random.uniform(-difficulty.offset, difficulty.offset),
      radius: random.uniform(difficulty.radius.lowerBound, difficulty.radius.upperBound), color: color, &random)
    // Half of the marks lie under the form, half on it.
    figures = Array(marks.prefix(markCount / 2)) + [main] + Array(marks.dropFirst(markCount / 2))
    let direction = random.uniform(0, 2 * Double.pi)
    let slope = random.uniform(0, 2 * difficulty.lighting)
    light = SIMD3(
      Float(random.uniform(difficulty.dimmest, 1)), Float(slope * cos(direction)), Float(slope * sin(direction)))
    noise = Float(random.uniform(0, difficulty.noise))
    self.background = background
  }

  private static func color(_ random: inout CounterRandom) -> Color {
    Color(Float(random.uniform(0.05, 0.95)), Float(random.uniform(0.05, 0.95)), Float(random.uniform(0.05, 0.95)))
  }

  private static func luma(_ color: Color) -> Float { (color * Color(0.299, 0.587, 0.114)).sum() }

  private static func wave(_ difficulty: ShapesDifficulty, _ random: inout CounterRandom) -> Wave {
    let frequency = random.uniform(1, 7) * 2 * Double.pi
    let direction = random.uniform(0, Double.pi)
    let amplitude = Float(random.uniform(difficulty.texture.lowerBound, difficulty.texture.upperBound))
    let tint = Color(Float(random.uniform(0.4, 1)), Float(random.uniform(0.4, 1)), Float(random.uniform(0.4, 1)))
    return Wave(
      fx: Float(frequency * cos(direction)), fy: Float(frequency * sin(direction)),
      phase: Float(random.uniform(0, 2 * Double.pi)), color: tint * amplitude)
  }

  private static func figure(
    _ form: Form, x: Double, y: Double, radius: Double, color: Color, _ random: inout CounterRandom
  ) -> Figure {
    let angle = random.uniform(0, 2 * Double.pi)
    return Figure(
      form: form, x: Float(x), y: Float(y), cosine: Float(cos(angle)), sine: Float(sin(angle)), radius: Float(radius),
      color: color)
  }

  /// Draws size x size x 3 bytes; edges are as soft as one pixel.
  func draw(size: Int, random: inout CounterRandom, into rgb: UnsafeMutablePointer<UInt8>) {
    withUnsafeTemporaryAllocation(of: Color.self, capacity: size * size) { canvas in
      paintBackground(canvas.baseAddress!, size)
      for figure in figures { paint(figure, canvas.baseAddress!, size) }
      develop(canvas.baseAddress!, size, &random, rgb)
    }
  }

  private func paintBackground(_ canvas: UnsafeMutablePointer<Color>, _ size: Int) {
    let step = 1 / Float(size)
    for row in 0..<size {
      for column in 0..<size {
        let (x, y) = ((Float(column) + 0.5) * step, (Float(row) + 0.5) * step)
        var color = background
        for wave in waves { color += wave.color * sin(wave.fx * x + wave.fy * y + wave.phase) }
        canvas[row * size + column] = color
      }
    }
  }

  private func paint(_ figure: Figure, _ canvas: UnsafeMutablePointer<Color>, _ size: Int) {
    let step = 1 / Float(size)
    let reach = 1.1 * figure.radius + step
    func span(_ center: Float) -> Range<Int> {
      let low = max(0, Int((center - reach) * Float(size)))
      return low..<max(low, min(size, Int((center + reach) * Float(size)) + 1))
    }
    for row in span(figure.y) {
      for column in span(figure.x) {
        let (x, y) = ((Float(column) + 0.5) * step, (Float(row) + 0.5) * step)
        let (dx, dy) = ((x - figure.x) / figure.radius, (y - figure.y) / figure.radius)
        let u = figure.cosine * dx + figure.sine * dy
        let v = figure.cosine * dy - figure.sine * dx
        let pixels = figure.form.distance(u, v) * figure.radius * Float(size)
        let cover = max(0, min(1, 0.5 - pixels))
        if cover > 0 {
          let wave = formWave.color * sin(formWave.fx * x + formWave.fy * y + formWave.phase)
          let place = canvas + (row * size + column)
          place.pointee += (figure.color + wave - place.pointee) * cover
        }
      }
    }
  }

  /// Lights the canvas, adds noise and rounds to bytes.
  private func develop(
    _ canvas: UnsafePointer<Color>, _ size: Int, _ random: inout CounterRandom, _ rgb: UnsafeMutablePointer<UInt8>
  ) {
    let step = 1 / Float(size)
    for row in 0..<size {
      for column in 0..<size {
        let (x, y) = ((Float(column) + 0.5) * step - 0.5, (Float(row) + 0.5) * step - 0.5)
        let factor = light.x * (1 + light.y * x + light.z * y)
        let bits = random.next()
        let color = canvas[row * size + column] * factor
        for channel in 0..<3 {
          // The sum of two bytes' worth of uniform noise, with deviation 1 after scaling.
          let low = UInt32(truncatingIfNeeded: bits >> UInt64(20 * channel)) & 0x3FF
          let high = UInt32(truncatingIfNeeded: bits >> UInt64(20 * channel + 10)) & 0x3FF
          let normal = (Float(low + high) / 1023 - 1) * 2.449
          let value = (color[channel] + noise * normal) * 255
          rgb[3 * (row * size + column) + channel] = UInt8(max(0, min(255, value.rounded())))
        }
      }
    }
  }
}
