internal import Foundation

/// Ray-cast scenes: a few solids on a floor, before a wall or under a sky, with shading, shadows and perspective, and the
/// exact depth of every pixel.
package enum Scenes {
  /// One random scene.
  /// - Parameters:
  ///   - out: `[S, S, 3]`, sRGB, −1…1.
  ///   - depth: `[S, S]`: inverse depth along the optical axis, the farthest pixel 0, the nearest 1.
  package static func draw(
    size: Int, using random: inout Philox, into out: UnsafeMutableBufferPointer<Float>,
    depth: UnsafeMutableBufferPointer<Float>
  ) {
    scene(using: &random).render(size: size, into: out, inverseDepth: depth)
    normalise(depth)
  }

  /// Stretches values to 0…1; values that are all the same become 1.
  static func normalise(_ depth: UnsafeMutableBufferPointer<Float>) {
    var (low, high) = (Float.infinity, Float(0))
    for value in depth { (low, high) = (min(low, value), max(high, value)) }
    let range = high - low
    for i in depth.indices { depth[i] = range > 1e-6 ? (depth[i] - low) / range : 1 }
  }

  private enum Layout: CaseIterable { case scattered, crowd, still, tower, row, floating }

  private static func scene(using random: inout Philox) -> Scene {
    let palette = Palette(using: &random)
    let layout = Layout.allCases[random.index(Layout.allCases.count)]
    // Things of the colours of what they stand on, or of others.
    let solids = arrange(layout, random.chance(0.5) ? palette : Palette(using: &random), using: &random)
    let camera = look(at: solids, layout, using: &random)
    var planes: [Plane] = []
    let isIndoors = layout != .floating && random.chance(0.45)
    if layout != .floating {
      planes.append(Plane(normal: SIMD4(0, 1, 0, 0), offset: 0, surface: ground(palette, using: &random)))
    }
    if isIndoors || layout == .floating && random.chance(0.4) {
      // Behind everything, facing the camera more or less.
      let back = unit(SIMD4(camera.forward.x, 0, camera.forward.z, 0))
      let yaw = Rotation(random.uniform(-0.7, 0.7))
      let (x, z) = yaw(-back.x, -back.z)
      let farthest = solids.map { dot(SIMD4(-x, 0, -z, 0), $0.centre) + $0.reach }.max() ?? 1
      let wall = ground(palette, using: &random)
      planes.append(
        Plane(normal: SIMD4(x, 0, z, 0), offset: -(farthest + random.uniform(0, 2)), surface: wall))
      if random.chance(0.4) {
        let side = solids.map { dot(SIMD4(z, 0, -x, 0), $0.centre) + $0.reach }.max() ?? 1
        planes.append(
          Plane(
            normal: SIMD4(-z, 0, x, 0), offset: -(side + random.uniform(0, 1.5)),
            surface: random.chance(0.5) ? wall : ground(palette, using: &random)))
      }
    }
    // Walls that the camera stands behind or right beside would hide all else.
    planes = planes.filter { plane in
      let distance = dot(plane.normal, camera.eye) - plane.offset
      return distance > (plane.normal.y == 1 ? 0 : 0.4 * length(camera.eye))
    }
    var scene = Scene(camera: camera, solids: solids, planes: planes)
    light(&scene, isWalled: planes.contains { $0.normal.y == 0 }, palette, using: &random)
    return scene
  }

  // MARK: - Solids

  private static func arrange(_ layout: Layout, _ palette: Palette, using random: inout Philox) -> [Solid] {
    var solids: [Solid] = []
    switch layout {
    case .scattered, .crowd:
      let count = layout == .crowd ? 7 + random.index(6) : 2 + random.index(5)
      let room = layout == .crowd ? random.uniform(2, 3.5) : random.uniform(1.5, 3)
      for _ in 0..<count {
        let size = random.uniform(0.25, 1)
        let half = extent(size, using: &random)
        for _ in 0..<6 {
          let at = SIMD4(random.uniform(-room, room), half.y, random.uniform(-room, room), 0)
          let isFree = solids.allSatisfy {
            let way = SIMD4($0.centre.x - at.x, 0, $0.centre.z - at.z, 0)
            return length(way) > 0.8 * (max($0.half.x, $0.half.z) + max(half.x, half.z))
          }
          if isFree {
            solids.append(solid(at: at, half: half, palette, using: &random))
            break
          }
        }
      }
    case .still:
      // One or two large things that fill the picture.
      let half = extent(1, using: &random)
      solids.append(solid(at: SIMD4(0, half.y, 0, 0), half: half, palette, using: &random))
      if random.chance(0.6) {
        let other = extent(random.uniform(0.3, 0.7), using: &random)
        let turn = Rotation(using: &random)
        let way = (half.x + other.x) * random.uniform(0.8, 1.3)
        solids.append(
          solid(
            at: SIMD4(turn.cosine * way, other.y, turn.sine * way, 0), half: other, palette, using: &random))
      }
    case .tower:
      var height: Float = 0
      var size = random.uniform(0.6, 1)
      for level in 0..<2 + random.index(3) {
        let half = extent(size, using: &random)
        let shift = level == 0 ? 0 : size * 0.3
        solids.append(
          solid(
            at: SIMD4(random.uniform(-shift, shift), height + half.y, random.uniform(-shift, shift), 0), half: half,
            shapes: [.box, .cylinder], palette, using: &random))
        height += 2 * half.y
        size *= random.uniform(0.6, 0.95)
      }
      let half = extent(size, using: &random)
      solids.append(
        solid(
          at: SIMD4(0, height + half.y, 0, 0), half: half, shapes: [.sphere, .cone, .box], palette, using: &random))
    case .row:
      // Equal things at equal distances, as columns, fences and trees are.
      let half = extent(random.uniform(0.3, 0.7), using: &random)
      let shape = Solid.Shape.allCases[random.index(4)]
      let turn = Rotation(using: &random)
      let gap = 2 * max(half.x, half.z) * random.uniform(1.1, 2.5)
      let surfaces = [
        patterned(palette, size: half.x, using: &random), patterned(palette, size: half.x, using: &random),
      ]
      let angle = random.uniform(0, 2 * .pi)
      let count = 4 + random.index(5)
      let isDouble = random.chance(0.4)
      for i in 0..<count {
        let along = (Float(i) - Float(count - 1) / 2) * gap
        for across in isDouble ? [-gap, gap] : [0] {
          let x = turn.cosine * along - turn.sine * across
          let z = turn.sine * along + turn.cosine * across
          solids.append(
            Solid(
              shape, at: SIMD4(x, half.y, z, 0), half: half, turn: angle, surface: surfaces[i % 2]))
        }
      }
    case .floating:
      for _ in 0..<3 + random.index(8) {
        let half = extent(random.uniform(0.2, 1), using: &random)
        let shape = Solid.Shape.allCases[random.index(4)]
        solids.append(
          Solid(
            shape, at: SIMD4(random.uniform(-2, 2), random.uniform(-2, 2), random.uniform(-2, 2), 0), half: half,
            turn: random.uniform(0, 6.2832), tilt: random.uniform(0, 6.2832),
            surface: patterned(palette, size: half.x, using: &random)))
      }
    }
    return solids
  }

  /// Half extents of something about `size` large.
  private static func extent(_ size: Float, using random: inout Philox) -> SIMD4<Float> {
    if random.chance(0.35) { return SIMD4(size, size, size, 0) }
    let depth = size * random.uniform(0.4, 1.1)
    return SIMD4(size * random.uniform(0.4, 1.1), size * random.uniform(0.4, 1.6), depth, 0)
  }

  private static func solid(
    at centre: SIMD4<Float>, half: SIMD4<Float>, shapes: [Solid.Shape] = Solid.Shape.allCases, _ palette: Palette,
    using random: inout Philox
  ) -> Solid {
    let shape = shapes[random.index(shapes.count)]
    var half = half
    // Most round things are as wide as deep.
    if shape != .box, random.chance(0.8) { half.z = half.x }
    let turn = random.uniform(0, 6.2832)
    var tilt: Float = 0
    var centre = centre
    if shape == .cylinder, random.chance(0.25) {
      // Lying down.
      tilt = .pi / 2
      centre.y += half.z - half.y
    }
    return Solid(
      shape, at: centre, half: half, turn: turn, tilt: tilt, surface: patterned(palette, size: half.x, using: &random))
  }

  private static func patterned(_ palette: Palette, size: Float, using random: inout Philox) -> Surface {
    var surface = Surface()
    surface.colours = (linear(palette.random(using: &random)), linear(palette.random(using: &random)))
    if random.chance(0.45) {
      let all = Surface.Pattern.allCases
      surface.pattern = all[random.index(all.count)]
      surface.period = size * random.uniform(0.3, 1.2)
      surface.turn = Rotation(using: &random)
      surface.phase = random.uniform()
    }
    if random.chance(0.35) {
      surface.gloss = random.uniform(0.1, 0.7)
      surface.sharpness = random.uniform(8, 80)
    }
    return surface
  }

  /// A floor's or a wall's surface: a larger pattern, no highlight.
  private static func ground(_ palette: Palette, using random: inout Philox) -> Surface {
    var surface = patterned(palette, size: random.uniform(0.6, 2), using: &random)
    surface.gloss = 0
    // Two colours far apart on everything would hide the solids.
    let calm = random.uniform(0.2, 1)
    surface.colours.1 = surface.colours.0 + (surface.colours.1 - surface.colours.0) * calm
    return surface
  }

  private static func linear(_ colour: SIMD4<Float>) -> SIMD4<Float> { colour * colour }

  // MARK: - Camera and light

  private static func look(at solids: [Solid], _ layout: Layout, using random: inout Philox) -> Scene.Camera {
    let centre = solids.reduce(SIMD4<Float>()) { $0 + $1.centre } / Float(max(1, solids.count))
    let radius = solids.map { length($0.centre - centre) + $0.reach }.max() ?? 1
    let azimuth = random.uniform(0, 2 * .pi)
    let elevation = layout == .floating ? random.uniform(-0.8, 0.8) : random.uniform(0.05, 0.9)
    let zoom = random.uniform(0.25, 0.75)
    // From close enough to be cut off by the frame to far enough to see all around it.
    let distance = radius * random.uniform(0.45, 1) / zoom + 0.25 * radius
    let away = SIMD4(sin(azimuth) * cos(elevation), sin(elevation), cos(azimuth) * cos(elevation), 0)
    let aim = SIMD4(random.uniform(-0.4, 0.4), random.uniform(-0.3, 0.3), random.uniform(-0.4, 0.4), 0) * radius
    var eye = centre + away * distance
    if layout != .floating { eye.y = max(eye.y, 0.2) }
    // Out of every solid.
    for _ in 0..<8 where solids.contains(where: { length($0.centre - eye) < $0.reach * 1.1 }) {
      eye += away * (0.25 * radius)
    }
    return Scene.Camera(
      eye: eye, target: centre + aim, zoom: zoom, roll: random.chance(0.3) ? random.uniform(-0.2, 0.2) : 0)
  }

  private static func light(
    _ scene: inout Scene, isWalled: Bool, _ palette: Palette, using random: inout Philox
  ) {
    let camera = scene.camera
    // From above, and with walls from the camera's side of them.
    func direction() -> SIMD4<Float> {
      let rise = random.uniform(0.25, 1.4)
      let turn = random.uniform(0, 2 * .pi)
      var way = SIMD4(sin(turn) * cos(rise), sin(rise), cos(turn) * cos(rise), 0)
      if isWalled, dot(way, camera.forward) > 0 { way = SIMD4(-way.x, way.y, -way.z, 0) }
      return way
    }
    let warmth = random.uniform(-0.2, 0.2)
    let tint = SIMD4(1 + warmth, 1, 1 - warmth, 0)
    let key = random.uniform(0.7, 1.5)
    let width = random.chance(0.7) ? random.uniform(0.02, 0.15) : 0
    scene.lights = [Scene.Light(direction: direction(), colour: tint * key, width: width)]
    if random.chance(0.4) {
      scene.lights.append(
        Scene.Light(direction: direction(), colour: (2 - tint) * (key * random.uniform(0.2, 0.6)), width: width))
    }
    scene.ambient = random.uniform(0.35, 1)
    let light = SIMD4(repeating: random.uniform(0.4, 1))
    let base = linear(palette.random(using: &random))
    let blue = linear(Palette.colour(hue: random.uniform(0.55, 0.68), chroma: random.uniform(0, 0.9), light: 0.6))
    let zenith = random.chance(0.5) ? blue : base
    scene.sky = (horizon: zenith + (light - zenith) * random.uniform(0.2, 0.9), zenith: zenith)
    (scene.sky.horizon.w, scene.sky.zenith.w) = (0, 0)
    if random.chance(0.3) {
      scene.haze = random.uniform(0.05, 0.6) / length(camera.eye)
    }
  }
}
