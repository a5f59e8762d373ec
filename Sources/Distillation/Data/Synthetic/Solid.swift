/// A convex body: a unit shape in coordinates of its own, turned, stretched and moved into the scene.
///
/// Points and directions are the first three lanes; y is up. A ray's parameter is the same in both coordinates, since the
/// way between them is affine.
package struct Solid: Sendable {
  package enum Shape: CaseIterable, Sendable {
    /// Radius 1.
    case sphere
    /// −1…1 along each axis.
    case box
    /// Radius 1 around the y axis, −1…1 along it.
    case cylinder
    /// Apex at y = 1, base of radius 1 at y = −1.
    case cone
  }

  let shape: Shape
  let centre: SIMD4<Float>
  /// Half the extent along each of the body's own axes.
  let half: SIMD4<Float>
  /// The body lies within this distance of its centre.
  let reach: Float
  let surface: Surface
  /// Columns of the matrix from the scene's offsets to the unit shape's.
  private let columns: (SIMD4<Float>, SIMD4<Float>, SIMD4<Float>)

  /// - Parameters:
  ///   - turn: about the vertical axis, in radians.
  ///   - tilt: about the body's own x axis, before the turn.
  package init(
    _ shape: Shape, at centre: SIMD4<Float>, half: SIMD4<Float>, turn: Float = 0, tilt: Float = 0,
    surface: Surface = Surface()
  ) {
    self.shape = shape
    self.centre = centre
    self.half = half
    self.surface = surface
    let (a, b) = (Rotation(turn), Rotation(tilt))
    // The body's axes in the scene: rows of the matrix to its own coordinates.
    let x = SIMD4(a.cosine, 0, -a.sine, 0)
    let y = SIMD4(b.sine * a.sine, b.cosine, b.sine * a.cosine, 0)
    let z = SIMD4(b.cosine * a.sine, -b.sine, b.cosine * a.cosine, 0)
    columns = (
      SIMD4(x.x, y.x, z.x, 0) / Solid.filled(half), SIMD4(x.y, y.y, z.y, 0) / Solid.filled(half),
      SIMD4(x.z, y.z, z.z, 0) / Solid.filled(half)
    )
    reach =
      switch shape {
      case .sphere: max(half.x, half.y, half.z)
      case .box: length(half)
      case .cylinder, .cone: (max(half.x, half.z) * max(half.x, half.z) + half.y * half.y).squareRoot()
      }
  }

  /// With a divisor in the unused lane.
  private static func filled(_ half: SIMD4<Float>) -> SIMD4<Float> { SIMD4(half.x, half.y, half.z, 1) }

  /// An offset in the scene, in the unit shape's coordinates.
  @inline(__always) func own(_ offset: SIMD4<Float>) -> SIMD4<Float> {
    columns.0 * offset.x + columns.1 * offset.y + columns.2 * offset.z
  }

  /// The outward normal, of length 1, at a point of the surface in the unit shape's coordinates.
  func normal(at p: SIMD4<Float>) -> SIMD4<Float> {
    let n: SIMD4<Float>
    switch shape {
    case .sphere: n = p
    case .box:
      let size = SIMD4(abs(p.x), abs(p.y), abs(p.z), 0)
      if size.x >= max(size.y, size.z) {
        n = SIMD4(p.x, 0, 0, 0)
      } else {
        n = size.y >= size.z ? SIMD4(0, p.y, 0, 0) : SIMD4(0, 0, p.z, 0)
      }
    case .cylinder:
      n = p.y * p.y > p.x * p.x + p.z * p.z ? SIMD4(0, p.y, 0, 0) : SIMD4(p.x, 0, p.z, 0)
    case .cone:
      n = p.y < -0.9999 ? SIMD4(0, -1, 0, 0) : SIMD4(p.x, (1 - p.y) / 4, p.z, 0)
    }
    // Normals go with the transposed matrix.
    return unit(SIMD4(dot(columns.0, n), dot(columns.1, n), dot(columns.2, n), 0))
  }

  /// The parameter at which the ray `origin + t · direction` enters the body, `t > 0`; infinite where it does not.
  @inline(__always) package func entry(origin: SIMD4<Float>, direction: SIMD4<Float>) -> Float {
    let offset = origin - centre
    // The ball around the body first: most rays miss it.
    let dd = dot(direction, direction)
    let along = dot(offset, direction)
    if along * along < dd * (dot(offset, offset) - reach * reach) { return .infinity }
    return Solid.entry(shape, own(offset), own(direction))
  }

  private static func entry(_ shape: Shape, _ o: SIMD4<Float>, _ d: SIMD4<Float>) -> Float {
    switch shape {
    case .sphere:
      let a = dot(d, d)
      let b = dot(o, d)
      let root = b * b - a * (dot(o, o) - 1)
      guard root > 0 else { return .infinity }
      let t = (-b - root.squareRoot()) / a
      return t > 0 ? t : .infinity
    case .box:
      let one = SIMD4<Float>(1, 1, 1, 1)
      let inverse = 1 / d
      let low = (-one - o) * inverse
      let high = (one - o) * inverse
      let near = pointwiseMin(low, high)
      let far = pointwiseMax(low, high)
      let t = max(near.x, near.y, near.z)
      return t > 0 && t <= min(far.x, far.y, far.z) ? t : .infinity
    case .cylinder:
      var first = Float.infinity
      let a = d.x * d.x + d.z * d.z
      let b = o.x * d.x + o.z * d.z
      let root = b * b - a * (o.x * o.x + o.z * o.z - 1)
      if a > 0, root > 0 {
        let t = (-b - root.squareRoot()) / a
        if t > 0, abs(o.y + t * d.y) <= 1 { first = t }
      }
      // The end that faces the ray.
      let t = ((d.y < 0 ? 1 : -1) - o.y) / d.y
      let (x, z) = (o.x + t * d.x, o.z + t * d.z)
      if t > 0, t < first, x * x + z * z <= 1 { first = t }
      return first
    case .cone:
      // x² + z² = ((1 − y) / 2)², as a quadratic in t.
      var first = Float.infinity
      let (w, v) = ((1 - o.y) / 2, -d.y / 2)
      let a = d.x * d.x + d.z * d.z - v * v
      let b = o.x * d.x + o.z * d.z - w * v
      let c = o.x * o.x + o.z * o.z - w * w
      let root = b * b - a * c
      if root > 0, a != 0 {
        let s = root.squareRoot()
        // Which root comes first depends on the sign of `a`; the other half of the double cone fails the test of y.
        let (t, u) = ((-b - s) / a, (-b + s) / a)
        if t > 0, abs(o.y + t * d.y) <= 1 { first = t }
        if u > 0, u < first, abs(o.y + u * d.y) <= 1 { first = u }
      }
      if d.y > 0 {
        let t = (-1 - o.y) / d.y
        let (x, z) = (o.x + t * d.x, o.z + t * d.z)
        if t > 0, t < first, x * x + z * z <= 1 { first = t }
      }
      return first
    }
  }
}

/// An endless flat side: a floor or a wall, seen from where its normal points.
package struct Plane: Sendable {
  let normal: SIMD4<Float>
  /// `normal · p = offset` on the plane.
  let offset: Float
  let surface: Surface
  /// Two directions within the plane, for its pattern.
  private let axes: (SIMD4<Float>, SIMD4<Float>)

  /// - Parameter normal: of length 1.
  package init(normal: SIMD4<Float>, offset: Float, surface: Surface = Surface()) {
    (self.normal, self.offset, self.surface) = (normal, offset, surface)
    let first = unit(abs(normal.y) > 0.9 ? SIMD4(1, 0, 0, 0) : cross(SIMD4(0, 1, 0, 0), normal))
    axes = (first, cross(normal, first))
  }

  @inline(__always) package func entry(origin: SIMD4<Float>, direction: SIMD4<Float>) -> Float {
    let speed = dot(normal, direction)
    guard speed < 0 else { return .infinity }
    let t = (offset - dot(normal, origin)) / speed
    return t > 0 ? t : .infinity
  }

  func place(_ p: SIMD4<Float>) -> SIMD4<Float> { SIMD4(dot(axes.0, p), 0, dot(axes.1, p), 0) }
}

/// What a surface looks like before light falls on it.
package struct Surface: Sendable {
  enum Pattern: CaseIterable, Sendable { case plain, checks, stripes, clouds, bands, dots }

  /// Linear light reflected, two colours of one pattern.
  var colours: (SIMD4<Float>, SIMD4<Float>) = (SIMD4(0.5, 0.5, 0.5, 0), SIMD4(0.5, 0.5, 0.5, 0))
  var pattern = Pattern.plain
  /// Length of the pattern's period in the scene.
  var period: Float = 1
  var turn = Rotation(0)
  /// Where the pattern begins.
  var phase: Float = 0
  /// Strength of the highlight, and its sharpness.
  var gloss: Float = 0
  var sharpness: Float = 20

  package init() {}

  /// Colour at a place in the scene's lengths.
  /// - Parameter width: of what one ray stands for; a pattern finer than that fades into its mean.
  func colour(at p: SIMD4<Float>, width: Float) -> SIMD4<Float> {
    guard pattern != .plain else { return colours.0 }
    let detail = min(1, max(0, 2 - 4 * width / period))
    guard detail > 0 else { return (colours.0 + colours.1) * 0.5 }
    let (u, w) = turn(p.x, p.z)
    let scale = 1 / period
    let q = SIMD4(u * scale + phase, p.y * scale + phase, w * scale, 0)
    let mix: Float
    switch pattern {
    case .plain: mix = 0
    case .checks: mix = (floored(q.x) + floored(q.y + 0.01) + floored(q.z)) & 1 == 0 ? 0 : 1
    case .stripes: mix = q.x + q.y - (q.x + q.y).rounded(.down) < 0.5 ? 0 : 1
    case .bands: mix = 0.5 + 0.5 * ripple((q.x + 0.6 * q.y) * 6.2832)
    case .dots:
      let r = q - q.rounded(.down) - SIMD4(0.5, 0.5, 0.5, 0)
      // On a plane y stands still, at a place that would cut every dot away.
      mix = r.x * r.x + r.z * r.z < 0.09 ? 1 : 0
    case .clouds: mix = min(1, max(0, 0.5 + 0.9 * (noise(q) + 0.5 * noise(q * 2.1 + 7.3))))
    }
    return colours.0 + (colours.1 - colours.0) * (0.5 + (mix - 0.5) * detail)
  }

  private func floored(_ x: Float) -> Int { Int(x.rounded(.down)) }

  /// Random values on the integer lattice, joined linearly along smoothed fractions; −0.5…0.5.
  private func noise(_ p: SIMD4<Float>) -> Float {
    let low = p.rounded(.down)
    let f = p - low
    let s = f * f * (3 - 2 * f)
    let (x, y, z) = (Int32(low.x), Int32(low.y), Int32(low.z))
    func corner(_ i: Int32, _ j: Int32, _ k: Int32) -> Float {
      var h = UInt32(bitPattern: (x &+ i) &* 374_761_393 &+ (y &+ j) &* 668_265_263 &+ (z &+ k) &* 1_274_126_177)
      h = (h ^ (h >> 13)) &* 1_274_126_177
      return Float((h ^ (h >> 16)) & 0xffff) / 65_536 - 0.5
    }
    func along(_ j: Int32, _ k: Int32) -> Float {
      let a = corner(0, j, k)
      return a + (corner(1, j, k) - a) * s.x
    }
    func across(_ k: Int32) -> Float {
      let a = along(0, k)
      return a + (along(1, k) - a) * s.y
    }
    let a = across(0)
    return a + (across(1) - a) * s.z
  }
}

@inline(__always) func dot(_ a: SIMD4<Float>, _ b: SIMD4<Float>) -> Float { (a * b).sum() }
@inline(__always) func length(_ a: SIMD4<Float>) -> Float { dot(a, a).squareRoot() }
@inline(__always) func unit(_ a: SIMD4<Float>) -> SIMD4<Float> { a / length(a) }
@inline(__always) func cross(_ a: SIMD4<Float>, _ b: SIMD4<Float>) -> SIMD4<Float> {
  SIMD4(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x, 0)
}
