internal import Foundation

/// Solids and planes under lights, as one camera sees them.
package struct Scene: Sendable {
  /// A pinhole: a ray through (x, y), −1…1 to the right and up, goes along `forward + zoom · (x right + y up)`, so that a
  /// ray's parameter is its depth along the optical axis.
  package struct Camera: Sendable {
    let eye: SIMD4<Float>
    let forward: SIMD4<Float>, right: SIMD4<Float>, up: SIMD4<Float>
    /// Tangent of half the angle of view.
    let zoom: Float

    package init(eye: SIMD4<Float>, target: SIMD4<Float>, zoom: Float, roll: Float = 0) {
      self.eye = eye
      self.zoom = zoom
      forward = unit(target - eye)
      let side = unit(cross(SIMD4(0, 1, 0, 0), forward))
      let above = cross(forward, side)
      let (c, s) = (cos(roll), sin(roll))
      right = side * c + above * s
      up = above * c - side * s
    }

    package func direction(_ x: Float, _ y: Float) -> SIMD4<Float> { forward + right * (zoom * x) + up * (zoom * y) }
  }

  /// Light from far away.
  struct Light: Sendable {
    /// Towards the light, of length 1.
    let direction: SIMD4<Float>
    let colour: SIMD4<Float>
    /// Offsets that the four rays of a pixel aim at: a wide light casts soft shadows.
    let width: Float
  }

  package var camera: Camera
  package var solids: [Solid]
  package var planes: [Plane]
  var lights: [Light] = []
  /// Light from everywhere: linear, at the horizon's height and above.
  var sky = (horizon: SIMD4<Float>(0.5, 0.5, 0.5, 0), zenith: SIMD4<Float>(0.5, 0.5, 0.5, 0))
  var ambient: Float = 0.3
  /// Of every unit of depth, so much is lost to the horizon's colour.
  var haze: Float = 0

  package init(camera: Camera, solids: [Solid], planes: [Plane] = []) {
    (self.camera, self.solids, self.planes) = (camera, solids, planes)
  }

  /// Renders the scene.
  /// - Parameters:
  ///   - out: `[S, S, 3]`, sRGB, −1…1.
  ///   - inverseDepth: `[S, S]`: one over the depth along the optical axis, meaned over the pixel's rays, 0 for the sky.
  package func render(
    size: Int, into out: UnsafeMutableBufferPointer<Float>, inverseDepth: UnsafeMutableBufferPointer<Float>
  ) {
    var canvas = Canvas(size: size)
    let side = canvas.side
    let k = Canvas.oversampling
    let half = Float(side) / 2
    let spread = camera.zoom / half
    inverseDepth.initialize(repeating: 0)
    solids.withUnsafeBufferPointer { solids in
      canvas.pixels.withUnsafeMutableBufferPointer { pixels in
        for y in 0..<side {
          for x in 0..<side {
            let direction = camera.direction((Float(x) + 0.5) / half - 1, 1 - (Float(y) + 0.5) / half)
            let (depth, colour) = look(along: direction, spread: spread, corner: y % k * k + x % k, solids)
            pixels[y * side + x] = colour
            inverseDepth[y / k * size + x / k] += 1 / depth
          }
        }
      }
    }
    let share = 1 / Float(k * k)
    for i in inverseDepth.indices { inverseDepth[i] *= share }
    canvas.finish(into: out)
  }

  /// Depth and sRGB colour of what a ray from the camera meets.
  @inline(__always) private func look(
    along direction: SIMD4<Float>, spread: Float, corner: Int, _ solids: UnsafeBufferPointer<Solid>
  ) -> (depth: Float, colour: SIMD4<Float>) {
    var depth = Float.infinity
    var solid = -1
    for i in solids.indices {
      let t = solids[i].entry(origin: camera.eye, direction: direction)
      if t < depth { (depth, solid) = (t, i) }
    }
    var plane = -1
    for i in planes.indices {
      let t = planes[i].entry(origin: camera.eye, direction: direction)
      if t < depth { (depth, plane) = (t, i) }
    }
    let view = unit(direction)
    guard depth.isFinite else { return (depth, Scene.coded(background(view))) }
    let p = camera.eye + direction * depth
    let surface: Surface
    let normal: SIMD4<Float>
    let place: SIMD4<Float>
    if plane >= 0 {
      (surface, normal, place) = (planes[plane].surface, planes[plane].normal, planes[plane].place(p))
    } else {
      let own = solids[solid].own(p - solids[solid].centre)
      (surface, normal, place) = (solids[solid].surface, solids[solid].normal(at: own), own * solids[solid].half)
    }
    let facing = max(0.05, -dot(normal, view))
    let albedo = surface.colour(at: place, width: spread * depth / facing)
    var light = (sky.horizon + (sky.zenith - sky.horizon) * (0.5 + 0.5 * normal.y)) * ambient
    light *= openness(p, normal, except: plane >= 0 ? -1 : solid, solids)
    var shine = SIMD4<Float>()
    let start = p + normal * (1e-3 * max(1, depth * 0.1))
    for source in lights {
      let slope = dot(normal, source.direction)
      guard slope > 0, !isShadowed(start, source, corner, solids) else { continue }
      light += source.colour * slope
      guard surface.gloss > 0 else { continue }
      let between = dot(normal, unit(source.direction - view))
      if between > 0 { shine += source.colour * (surface.gloss * pow(between, surface.sharpness)) }
    }
    var colour = albedo * light + shine
    if haze > 0 { colour = sky.horizon + (colour - sky.horizon) * exp(-haze * depth) }
    return (depth, Scene.coded(colour))
  }

  private func background(_ view: SIMD4<Float>) -> SIMD4<Float> {
    let t = min(1, max(0, view.y * 1.6))
    return sky.horizon + (sky.zenith - sky.horizon) * t
  }

  /// Whether a solid stands between a point and a light, for one of the pixel's four rays.
  private func isShadowed(
    _ point: SIMD4<Float>, _ light: Light, _ corner: Int, _ solids: UnsafeBufferPointer<Solid>
  ) -> Bool {
    // Aims in a square, turned so that neither rows nor columns of it coincide.
    let (a, b) = corner & 1 == 0 ? (Float(-1), Float(0.4)) : (1, -0.4)
    let aim = corner & 2 == 0 ? SIMD4(a, b, b, 0) : SIMD4(-b, a, -a, 0)
    let direction = light.direction + aim * light.width
    for solid in solids where solid.entry(origin: point, direction: direction) < .infinity { return true }
    return false
  }

  /// How much of the sky a point sees past the solids, each taken for a ball: 1 is all of it.
  private func openness(
    _ point: SIMD4<Float>, _ normal: SIMD4<Float>, except own: Int, _ solids: UnsafeBufferPointer<Solid>
  ) -> Float {
    var open: Float = 1
    for i in solids.indices where i != own {
      let way = solids[i].centre - point
      let square = dot(way, way)
      let rise = dot(normal, way)
      if rise <= 0 { continue }
      let radius = min(solids[i].half.x, solids[i].half.y, solids[i].half.z)
      open *= 1 - min(0.7, rise * radius * radius / (square * square.squareRoot()))
    }
    return open
  }

  /// sRGB of linear light, by its square root, which is near enough.
  private static func coded(_ linear: SIMD4<Float>) -> SIMD4<Float> {
    linear.clamped(lowerBound: SIMD4(), upperBound: SIMD4(repeating: 1)).squareRoot()
  }
}
