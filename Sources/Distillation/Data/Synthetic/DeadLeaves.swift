internal import Foundation

/// Dead leaves: opaque shapes with radii after r⁻³ that hide each other, which gives the edges, flat parts and scale
/// invariance of photographs (Lee, Mumford and Huang, "Occlusion Models for Natural Images", 2001).
enum DeadLeaves {
  static func draw(size: Int, using random: inout Philox, into out: UnsafeMutableBufferPointer<Float>) {
    var canvas = Canvas(size: size)
    let n = Float(canvas.side)
    let palette = Palette(using: &random)
    // From crowded to a few large shapes.
    let smallest = n * 0.02 * pow(12, random.uniform())
    let largest = n * random.uniform(0.4, 0.9)
    let low = 1 / (largest * largest)
    let high = 1 / (smallest * smallest)
    let light = Rotation(using: &random)
    let shading = random.uniform(0, 0.25)
    let roundness = random.uniform()
    let softness = random.chance(0.3)
    let texture = random.chance(0.4) ? random.uniform(0, 0.12) : 0

    let ground = palette.random(using: &random)
    canvas.fill { _, _ in ground }
    // Four times the canvas's area in leaves leaves next to nothing of the ground.
    var area: Float = 0
    while area < 4 * n * n {
      let r = 1 / (high - random.uniform() * (high - low)).squareRoot()
      area += .pi * r * r * 0.6
      var leaf = Leaf(
        x: random.uniform(-r, n + r), y: random.uniform(-r, n + r), radius: r, turn: Rotation(using: &random),
        aspect: random.uniform(0.35, 1), base: palette.random(using: &random), light: light,
        slope: shading * random.uniform(0.4, 1.2) / r, edge: 1)
      if softness { leaf.edge = 1 + r * random.uniform(0, 0.35) }
      if texture > 0, r > 5, random.chance(0.5) {
        let wave = Rotation(using: &random)
        let frequency = 2 * Float.pi / random.uniform(5, max(6, r * 0.6))
        leaf.wave = (wave.cosine * frequency, wave.sine * frequency, texture * random.uniform(0.3, 1))
      }
      if random.uniform() < roundness { canvas.ellipse(leaf) } else { canvas.polygon(leaf, using: &random) }
    }
    if random.chance(0.25) { canvas.blur(random.uniform(0.5, 2)) }
    canvas.finish(into: out)
  }
}

/// One shape and how its inside is coloured.
private struct Leaf {
  let x: Float, y: Float, radius: Float
  let turn: Rotation
  let aspect: Float
  let base: SIMD4<Float>
  /// The whole picture's light, and how fast brightness falls along it.
  let light: Rotation, slope: Float
  var edge: Float
  /// Stripes: frequency along x and y, amplitude.
  var wave: (Float, Float, Float) = (0, 0, 0)

  @inline(__always) func colour(_ dx: Float, _ dy: Float) -> SIMD4<Float> {
    var shade = (dx * light.cosine + dy * light.sine) * slope
    if wave.2 != 0 { shade += ripple(dx * wave.0 + dy * wave.1) * wave.2 }
    return base + SIMD4(repeating: shade)
  }
}

/// Like a sine of period 2π, −1...1, from parabolas: a fraction of its cost.
@inline(__always) func ripple(_ phase: Float) -> Float {
  let turns = phase * 0.15915494
  let t = (turns - turns.rounded(.down)) * 2 - 1
  return 4 * t * (abs(t) - 1)
}

extension Canvas {
  fileprivate mutating func ellipse(_ leaf: Leaf) {
    let a = 1 / leaf.radius
    let b = 1 / (leaf.radius * leaf.aspect)
    paint(x: leaf.x, y: leaf.y, reach: leaf.radius, edge: leaf.edge) { dx, dy in
      let (u, v) = leaf.turn(dx, dy)
      // First-order distance: exact on the outline.
      let p = u * a
      let q = v * b
      let level = (p * p + q * q).squareRoot()
      return level * (level - 1) / max(1e-6, (p * p * a * a + q * q * b * b).squareRoot())
    } colour: {
      leaf.colour($0, $1)
    }
  }

  /// A convex polygon of 3 to 6 sides, irregular.
  fileprivate mutating func polygon(_ leaf: Leaf, using random: inout Philox) {
    let count = 3 + random.index(4)
    // Half-planes; unused ones repeat the first.
    var nx = SIMD8<Float>()
    var ny = SIMD8<Float>()
    var offset = SIMD8<Float>()
    for i in 0..<8 {
      if i >= count {
        (nx[i], ny[i], offset[i]) = (nx[0], ny[0], offset[0])
        continue
      }
      let angle = (Float(i) + random.uniform(-0.3, 0.3)) * 2 * .pi / Float(count)
      let direction = leaf.turn(cos(angle), sin(angle))
      (nx[i], ny[i]) = direction
      offset[i] = leaf.radius * random.uniform(0.35, 0.75)
    }
    paint(x: leaf.x, y: leaf.y, reach: leaf.radius * 1.5, edge: leaf.edge) { dx, dy in
      (nx * dx + ny * dy - offset).max()
    } colour: {
      leaf.colour($0, $1)
    }
  }
}
