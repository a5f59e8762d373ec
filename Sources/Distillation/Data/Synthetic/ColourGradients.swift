internal import Foundation

/// Smooth colour: skies, walls and shadows. A linear, radial or four-cornered gradient through several stops, bent by
/// noise of low frequency.
enum ColourGradients {
  static func draw(size: Int, using random: inout Philox, into out: UnsafeMutableBufferPointer<Float>) {
    var canvas = Canvas(size: size)
    let n = Float(canvas.side)
    let palette = Palette(using: &random)
    let cells = 1 + random.index(4)
    let bend = SmoothNoise(cells: cells, using: &random)
    let strength = random.uniform() * random.uniform() * 0.9 / Float(cells)
    let turn = Rotation(using: &random)
    let span = random.uniform(0.3, 1)
    let start = random.uniform(0, 1 - span)
    switch random.index(3) {
    case 0:
      canvas.fill { x, y in
        let (u, _) = turn(x / n - 0.5, y / n - 0.5)
        return palette(start + span * (u * 0.75 + 0.5 + strength * bend(x / n, y / n)))
      }
    case 1:
      let cx = random.uniform(-0.2, 1.2)
      let cy = random.uniform(-0.2, 1.2)
      let stretch = random.uniform(0.5, 1)
      let reach = random.uniform(0.7, 1.6)
      canvas.fill { x, y in
        let (u, v) = turn(x / n - cx, y / n - cy)
        let r = (u * u + v * v * stretch).squareRoot() / reach
        return palette(start + span * (r + strength * bend(x / n, y / n)))
      }
    default:
      let corners = (0..<4).map { _ in palette.random(using: &random) }
      let (a, b, c, d) = (corners[0], corners[1], corners[2], corners[3])
      canvas.fill { x, y in
        let (u, v) = turn(x / n - 0.5, y / n - 0.5)
        let s = smooth(u * 0.7 + 0.5 + 0.5 * strength * bend(x / n, y / n))
        let t = smooth(v * 0.7 + 0.5)
        let top = a + (b - a) * s
        return top + (c + (d - c) * s - top) * t
      }
    }
    canvas.finish(into: out)
  }

  private static func smooth(_ t: Float) -> Float {
    let t = min(max(0, t), 1)
    return t * t * (3 - 2 * t)
  }
}

/// Random values on a lattice, joined smoothly; −1...1.
struct SmoothNoise {
  private let cells: Int
  private let values: [Float]

  /// - Parameter cells: lattice cells across the picture.
  init(cells: Int, using random: inout Philox) {
    self.cells = cells
    values = (0..<(cells + 1) * (cells + 1)).map { _ in random.uniform(-1, 1) }
  }

  /// At (`x`, `y`), both 0...1.
  func callAsFunction(_ x: Float, _ y: Float) -> Float {
    let u = min(max(0, x), 0.9999) * Float(cells)
    let v = min(max(0, y), 0.9999) * Float(cells)
    let i = Int(u)
    let j = Int(v)
    let f = u - Float(i)
    let g = v - Float(j)
    let s = f * f * f * (f * (f * 6 - 15) + 10)
    let t = g * g * g * (g * (g * 6 - 15) + 10)
    let row = cells + 1
    let at = j * row + i
    let top = values[at] + (values[at + 1] - values[at]) * s
    let bottom = values[at + row] + (values[at + row + 1] - values[at + row]) * s
    return top + (bottom - top) * t
  }
}
