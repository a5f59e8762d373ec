internal import Foundation

/// Man-made edges: lettering, stripes, checks, lines and polygons with a clear border, such as prints on cloth and signs
/// have. Letters are built from line and arc segments; there are no font files.
enum GlyphEdges {
  static func draw(size: Int, using random: inout Philox, into out: UnsafeMutableBufferPointer<Float>) {
    var canvas = Canvas(size: size)
    let n = Float(canvas.side)
    let palette = Palette(using: &random)
    let ground = palette.random(using: &random)
    let turn = Rotation(using: &random)
    let slope = random.uniform(0, 0.2) / n
    canvas.fill { x, y in ground + SIMD4(repeating: (turn.cosine * (x - n / 2) + turn.sine * (y - n / 2)) * slope) }

    var shapes = random.index(7)
    switch random.index(5) {
    case 0: canvas.pattern(palette, ground, using: &random)
    case 1, 2: canvas.lettering(ink(palette, on: ground, &random), using: &random)
    default: shapes += 2
    }
    for _ in 0..<shapes {
      let colour = ink(palette, on: ground, &random)
      switch random.index(4) {
      case 0: canvas.line(colour, using: &random)
      case 1: canvas.arc(colour, using: &random)
      case 2: canvas.star(colour, using: &random)
      default: canvas.panel(colour, using: &random)
      }
    }
    if random.chance(0.3) { canvas.lettering(ink(palette, on: ground, &random), using: &random) }
    if random.chance(0.2) { canvas.blur(random.uniform(0.5, 1.6)) }
    canvas.finish(into: out)
  }

  /// A colour of the palette, or black or white, that stands out from the ground.
  private static func ink(_ palette: Palette, on ground: SIMD4<Float>, _ random: inout Philox) -> SIMD4<Float> {
    let luma = (ground * SIMD4(0.299, 0.587, 0.114, 0)).sum()
    if random.chance(0.25) { return SIMD4(repeating: luma > 0.5 ? random.uniform(0, 0.2) : random.uniform(0.8, 1)) }
    for _ in 0..<4 {
      let colour = palette.random(using: &random)
      let difference = colour - ground
      if (difference * difference).sum() > 0.06 { return colour }
    }
    return SIMD4(repeating: luma > 0.5 ? 0.1 : 0.9)
  }
}

extension Canvas {
  /// Stripes or checks over everything or inside a turned rectangle.
  fileprivate mutating func pattern(_ palette: Palette, _ ground: SIMD4<Float>, using random: inout Philox) {
    let n = Float(side)
    let turn = Rotation(using: &random)
    let colour = palette.random(using: &random)
    // Periods from 4 final pixels up: finer ones would be grey or moiré.
    let period = 8 * pow(n / 16, random.uniform())
    let second = period * random.uniform(0.6, 1.6)
    let duty = random.uniform(0.2, 0.8)
    let phase = random.uniform(0, period)
    let isChecked = random.chance(0.45)
    let halfWidth = random.chance(0.5) ? 4 * n : n * random.uniform(0.2, 0.6)
    let halfHeight = halfWidth * 0.8
    paint(x: n / 2, y: n / 2, reach: n) { dx, dy in
      let (u, v) = turn(dx, dy)
      let frame = max(abs(u) - halfWidth, abs(v) - halfHeight)
      let across = Self.stripes(u + phase, period, isChecked ? 0.5 : duty)
      guard isChecked else { return max(frame, across) }
      let along = Self.stripes(v, second, 0.5)
      // Inside one kind of stripe but not the other: the product's sign, the nearer edge's distance.
      return max(frame, across * along < 0 ? -min(abs(across), abs(along)) : min(abs(across), abs(along)))
    } colour: { _, _ in
      colour
    }
  }

  /// Signed distance to stripes of the given period, of which `duty` is inside.
  @inline(__always) private static func stripes(_ u: Float, _ period: Float, _ duty: Float) -> Float {
    let t = u / period
    let fromMiddle = abs(t - t.rounded(.down) - 0.5) * period
    return fromMiddle - duty * period / 2
  }

  fileprivate mutating func line(_ colour: SIMD4<Float>, using random: inout Philox) {
    let n = Float(side)
    let x = random.uniform(0, n)
    let y = random.uniform(0, n)
    let turn = Rotation(using: &random)
    let half = n * random.uniform(0.1, 0.8)
    let width = n * 0.01 * pow(8, random.uniform())
    segment(x, y, x + turn.cosine * half, y + turn.sine * half, max(0.7, width), colour)
  }

  /// A straight stroke of half-width `width` with round ends.
  fileprivate mutating func segment(
    _ x0: Float, _ y0: Float, _ x1: Float, _ y1: Float, _ width: Float, _ colour: SIMD4<Float>
  ) {
    let mx = (x0 + x1) / 2
    let my = (y0 + y1) / 2
    let hx = (x1 - x0) / 2
    let hy = (y1 - y0) / 2
    let square = max(1e-6, hx * hx + hy * hy)
    paint(x: mx, y: my, reach: max(abs(hx), abs(hy)) + width) { dx, dy in
      let t = min(max(-1, (dx * hx + dy * hy) / square), 1)
      let ex = dx - t * hx
      let ey = dy - t * hy
      return (ex * ex + ey * ey).squareRoot() - width
    } colour: { _, _ in
      colour
    }
  }

  fileprivate mutating func arc(_ colour: SIMD4<Float>, using random: inout Philox) {
    let n = Float(side)
    let r = n * random.uniform(0.08, 0.6)
    bow(
      random.uniform(0, n), random.uniform(0, n), r, max(0.7, r * random.uniform(0.03, 0.25)),
      Rotation(using: &random), random.chance(0.4) ? .pi : random.uniform(0.6, 2.6), colour)
  }

  /// A circular stroke of half-width `width` around (`x`, `y`) that opens `half` radians to both sides of `turn`.
  fileprivate mutating func bow(
    _ x: Float, _ y: Float, _ r: Float, _ width: Float, _ turn: Rotation, _ half: Float, _ colour: SIMD4<Float>
  ) {
    let ex = cos(half) * r
    let ey = sin(half) * r
    let c = cos(half)
    let s = sin(half)
    paint(x: x, y: y, reach: r + width) { dx, dy in
      let (u, w) = turn(dx, dy)
      let v = abs(w)
      // Within the opening the circle is nearest, beyond it the arc's end.
      if half >= .pi || s * u - c * v > 0 || (half > .pi / 2 && u > 0) {
        return abs((u * u + v * v).squareRoot() - r) - width
      }
      return ((u - ex) * (u - ex) + (v - ey) * (v - ey)).squareRoot() - width
    } colour: { _, _ in
      colour
    }
  }

  /// A star of 3 to 7 points, or a regular polygon.
  fileprivate mutating func star(_ colour: SIMD4<Float>, using random: inout Philox) {
    let n = Float(side)
    let points = 3 + random.index(5)
    let r = n * random.uniform(0.08, 0.4)
    let inner = random.chance(0.4) ? cos(Float.pi / Float(points)) : random.uniform(0.35, 0.8)
    let turn = Rotation(using: &random)
    // Folded into one half point: the edge from the tip (r, 0) to the notch.
    let wedge = Float.pi / Float(points)
    let nx = r * inner * cos(wedge)
    let ny = r * inner * sin(wedge)
    let length = ((nx - r) * (nx - r) + ny * ny).squareRoot()
    let ax = ny / length
    let ay = (r - nx) / length
    let folds = (0..<points).map { Rotation(2 * wedge * Float($0)) }
    paint(x: random.uniform(0, n), y: random.uniform(0, n), reach: r) { dx, dy in
      let (u, v) = turn(dx, dy)
      var best = (u, v)
      for fold in folds {
        let p = fold(u, v)
        if p.0 > best.0 { best = p }
      }
      return (best.0 - r) * ax + abs(best.1) * ay
    } colour: { _, _ in
      colour
    }
  }

  /// A turned rectangle with round corners, filled or as a frame.
  fileprivate mutating func panel(_ colour: SIMD4<Float>, using random: inout Philox) {
    let n = Float(side)
    let w = n * random.uniform(0.05, 0.45)
    let h = n * random.uniform(0.05, 0.45)
    let turn = random.chance(0.5) ? Rotation(random.uniform(-0.15, 0.15)) : Rotation(using: &random)
    let corner = min(w, h) * (random.chance(0.5) ? 0 : random.uniform(0, 1))
    let frame = random.chance(0.35) ? max(1, min(w, h) * random.uniform(0.05, 0.3)) : 0
    paint(x: random.uniform(0, n), y: random.uniform(0, n), reach: (w * w + h * h).squareRoot()) { dx, dy in
      let (u, v) = turn(dx, dy)
      let p = abs(u) - w + corner
      let q = abs(v) - h + corner
      let outside = (max(p, 0) * max(p, 0) + max(q, 0) * max(q, 0)).squareRoot()
      let distance = outside + min(max(p, q), 0) - corner
      return frame > 0 ? abs(distance + frame) - frame : distance
    } colour: { _, _ in
      colour
    }
  }

  /// One to four lines of made-up letters, all of one weight and height.
  fileprivate mutating func lettering(_ colour: SIMD4<Float>, using random: inout Philox) {
    let n = Float(side)
    let height = max(10, n * 0.14 * pow(5, random.uniform()))
    let width = height * random.uniform(0.5, 0.8)
    let weight = max(0.8, height * random.uniform(0.04, 0.11))
    let gap = weight * 3 + height * random.uniform(0, 0.15)
    let turn = Rotation(random.chance(0.6) ? random.uniform(-0.1, 0.1) : random.uniform(0, 2 * .pi))
    let rows = 1 + random.index(min(4, max(1, Int(n / height))))
    let leading = height * random.uniform(1.4, 2)
    let slant = random.chance(0.25) ? random.uniform(0, 0.3) : 0
    let left = random.uniform(0, n * 0.3)
    let top = random.uniform(-0.1 * n, max(0, n - Float(rows) * leading))
    let columns = min(14, Int(n / (width + gap)) + 1)
    for row in 0..<rows {
      for column in 0..<columns where !random.chance(0.15) {
        let x = left + Float(column) * (width + gap) - n / 2
        let y = top + Float(row) * leading - n / 2
        // Letter coordinates 0...1, y down, to the canvas.
        func place(_ u: Float, _ v: Float) -> (Float, Float) {
          let p = turn(x + (u + slant * (1 - v)) * width, y + v * height)
          return (p.0 + n / 2, p.1 + n / 2)
        }
        letter(place, width, height, weight, turn, colour, using: &random)
      }
    }
  }

  /// Two to four strokes on a grid of 3×3 points: stems, bars, diagonals and bowls.
  private mutating func letter(
    _ place: (Float, Float) -> (Float, Float), _ width: Float, _ height: Float, _ weight: Float, _ turn: Rotation,
    _ colour: SIMD4<Float>, using random: inout Philox
  ) {
    func stroke(_ canvas: inout Canvas, _ u0: Float, _ v0: Float, _ u1: Float, _ v1: Float) {
      let a = place(u0, v0)
      let b = place(u1, v1)
      canvas.segment(a.0, a.1, b.0, b.1, weight, colour)
    }
    if random.chance(0.7) {
      let u: Float = random.chance(0.6) ? 0 : random.chance(0.5) ? 0.5 : 1
      stroke(&self, u, 0, u, 1)
    }
    for _ in 0..<1 + random.index(2) {
      switch random.index(4) {
      case 0:
        let v = Float(random.index(3)) / 2
        stroke(&self, 0, v, 1, v)
      case 1:
        stroke(&self, Float(random.index(3)) / 2, 0, Float(random.index(3)) / 2, 1)
      case 2:
        let top = Float(random.index(2)) / 2
        stroke(&self, Float(random.index(2)), top, 0.5, top + 0.5)
      default:
        let isSmall = random.chance(0.6)
        let r = isSmall ? min(width / 2, height / 4) : min(width, height) / 2
        let centre = place(isSmall ? 0.4 : 0.5, isSmall ? (random.chance(0.5) ? 0.25 : 0.75) : 0.5)
        let open = Float(random.index(4)) * .pi / 2
        let angle = Rotation(atan2(-turn.sine, turn.cosine) + open)
        bow(centre.0, centre.1, r, weight, angle, random.chance(0.3) ? .pi : random.chance(0.5) ? .pi / 2 : 2.2, colour)
      }
    }
  }
}
