internal import Foundation

/// A picture's colours: a smooth path through a few related anchors, as one scene under one light has.
struct Palette {
  private let anchors: [SIMD4<Float>]

  /// One or two hues, mostly muted, from dark to light.
  init(using random: inout Philox) {
    let hue = random.uniform()
    let second = hue + (random.chance(0.5) ? 0.5 : random.uniform(0.08, 0.33))
    // Few scenes are vivid, few are grey.
    let strength = 0.08 + 0.92 * pow(random.uniform(), 1.6)
    let low = random.uniform(0, 0.35)
    let high = random.uniform(0.6, 1)
    let count = 3 + random.index(4)
    var anchors = (0..<count).map { i -> SIMD4<Float> in
      let light = low + (high - low) * (Float(i) + random.uniform(-0.3, 0.3)) / Float(count - 1)
      let near = (random.chance(0.65) ? hue : second) + random.uniform(-0.04, 0.04)
      return Palette.colour(hue: near, chroma: strength * random.uniform(0.4, 1.4), light: light)
    }
    // Light and dark need not follow each other along the path.
    for i in anchors.indices.dropFirst() { anchors.swapAt(i, random.index(i + 1)) }
    self.anchors = anchors
  }

  /// The path's colour at `t`, 0...1.
  func callAsFunction(_ t: Float) -> SIMD4<Float> {
    let at = min(max(0, t), 0.9999) * Float(anchors.count - 1)
    let i = Int(at)
    let f = at - Float(i)
    return anchors[i] + (anchors[i + 1] - anchors[i]) * f
  }

  func random(using random: inout Philox) -> SIMD4<Float> { self(random.uniform()) }

  /// sRGB of a hue (turns), chroma (0...1 of the largest that fits) and lightness.
  static func colour(hue: Float, chroma: Float, light: Float) -> SIMD4<Float> {
    let l = min(max(0, light), 1)
    let turn = 2 * Float.pi * hue
    // A cosine wheel around grey, weighted so that the luma stays at `light`.
    let wheel = SIMD4(cos(turn), cos(turn - 2.0944), cos(turn + 2.0944), 0)
    let luma = (wheel * SIMD4(0.299, 0.587, 0.114, 0)).sum()
    let room = min(l, 1 - l) * 1.1
    let value = SIMD4(repeating: l) + (wheel - luma) * (room * min(chroma, 1))
    return value.clamped(lowerBound: SIMD4(), upperBound: SIMD4(repeating: 1))
  }
}
