import Foundation
import Kernels

/// All that makes `shapes` harder or easier, in one place. Lengths are parts of the image's side, amplitudes of 0...1.
package struct ShapesDifficulty: Sendable {
  /// Figures of the form in an image and the radius of each. Several, each of its own colour, place, size and
  /// rotation, so that nearly every crop shows one and the form is what two crops share.
  package var figures: ClosedRange<Int> = 4...6
  package var radius: ClosedRange<Double> = 0.15...0.24
  /// How far a figure is turned to either side, in degrees.
  package var turn = 25.0
  /// How far colours may lie from grey. Two views of an image share its colours more surely than its form, so vivid
  /// colours are what a network would learn instead.
  package var vividness = 0.03
  /// The background's grey before colour; a figure's may be any.
  package var backdrop: ClosedRange<Double> = 0.25...0.4
  /// How much lighter than the background a figure is at least, in luma.
  package var contrast = 0.25
  /// Amplitude of the background's waves, and of those on the form.
  package var texture: ClosedRange<Double> = 0...0.02
  /// Small marks strewn over the image, and their radius.
  package var marks: ClosedRange<Int> = 0...1
  package var markRadius: ClosedRange<Double> = 0.03...0.07
  /// How much brighter one edge of the image is than its middle, and how far the whole may be dimmed.
  package var lighting = 0.05
  package var dimmest = 0.95
  /// Deviation of each pixel's noise.
  package var noise = 0.005

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
    background = Self.color(difficulty, difficulty.backdrop, &random)
    waves = (0..<2).map { _ in Self.wave(difficulty, &random) }
    formWave = Self.wave(difficulty, &random)
    figures = Self.marks(difficulty, &random) + Self.figures(form, background, difficulty, &random)
    let direction = random.uniform(0, 2 * Double.pi)
    let slope = random.uniform(0, 2 * difficulty.lighting)
    light = SIMD3(
      Float(random.uniform(difficulty.dimmest, 1)), Float(slope * cos(direction)), Float(slope * sin(direction)))
    noise = Float(random.uniform(0, difficulty.noise))
  }

  /// Figures of one form that hardly overlap.
  private static func figures(
    _ form: Form, _ background: Color, _ difficulty: ShapesDifficulty, _ random: inout CounterRandom
  ) -> [Figure] {
    var figures: [Figure] = []
    for _ in 0..<integer(difficulty.figures, &random) {
      // A place that is free, or after some tries none: crowded images have fewer figures.
      for _ in 0..<12 {
        let radius = random.uniform(difficulty.radius.lowerBound, difficulty.radius.upperBound)
        let (x, y) = (random.uniform(0.08, 0.92), random.uniform(0.08, 0.92))
        let isFree = figures.allSatisfy { other in
          let (dx, dy) = (Float(x) - other.x, Float(y) - other.y)
          return (dx * dx + dy * dy).squareRoot() > 0.95 * (Float(radius) + other.radius)
        }
        if isFree {
          var color = Self.color(difficulty, 0.05...0.95, &random)
          while luma(color) - luma(background) < Float(difficulty.contrast) {
            color = Self.color(difficulty, 0.05...0.95, &random)
          }
          figures.append(figure(form, x: x, y: y, radius: radius, color: color, turn: difficulty.turn, &random))
          break
        }
      }
    }
    return figures
  }

  /// Small marks of any form that tell nothing.
  private static func marks(_ difficulty: ShapesDifficulty, _ random: inout CounterRandom) -> [Figure] {
    (0..<integer(difficulty.marks, &random)).map { _ in
      let kinds: [Form] = [.disc, .cross, .triangle]
      return figure(
        kinds[integer(0...kinds.count - 1, &random)], x: random.uniform(), y: random.uniform(),
        radius: random.uniform(difficulty.markRadius.lowerBound, difficulty.markRadius.upperBound),
        color: color(difficulty, 0.05...0.95, &random), turn: 180, &random)
    }
  }

  private static func integer(_ range: ClosedRange<Int>, _ random: inout CounterRandom) -> Int {
    range.lowerBound + Int(random.uniform() * Double(range.count))
  }

  private static func color(
    _ difficulty: ShapesDifficulty, _ greys: ClosedRange<Double>, _ random: inout CounterRandom
  ) -> Color {
    let grey = Float(random.uniform(greys.lowerBound, greys.upperBound))
    let reach = difficulty.vividness
    return Color(
      grey + Float(random.uniform(-reach, reach)), grey + Float(random.uniform(-reach, reach)),
      grey + Float(random.uniform(-reach, reach)))
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
    _ form: Form, x: Double, y: Double, radius: Double, color: Color, turn: Double,
    _ random: inout CounterRandom
  ) -> Figure {
    let angle = random.uniform(-turn, turn) * Double.pi / 180
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
