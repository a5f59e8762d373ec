import Distillation
import Foundation
import Testing

@Suite struct SceneTests {
  typealias Vector = SIMD4<Float>

  /// From five units before the origin, level.
  let camera = Scene.Camera(eye: Vector(0, 0, -5, 0), target: Vector(), zoom: 0.5)

  func inverseDepth(_ scene: Scene, size: Int = 32) -> [Float] {
    var pixels = [Float](repeating: 0, count: size * size * 3)
    return [Float](unsafeUninitializedCapacity: size * size) { depth, count in
      pixels.withUnsafeMutableBufferPointer { scene.render(size: size, into: $0, inverseDepth: depth) }
      count = size * size
    }
  }

  /// The mean of `value` over the four rays of a pixel; x to the right and y up, −1…1.
  func meaned(_ i: Int, size: Int, _ value: (_ x: Double, _ y: Double) -> Double) -> Double {
    var sum = 0.0
    for dy in [0.25, 0.75] {
      for dx in [0.25, 0.75] {
        sum += value((Double(i % size) + dx) / Double(size) * 2 - 1, 1 - (Double(i / size) + dy) / Double(size) * 2)
      }
    }
    return sum / 4
  }

  @Test("depth of a sphere is the quadratic's nearer root, and the sky's inverse is zero")
  func sphere() {
    let ball = Solid(.sphere, at: Vector(0.3, -0.2, 0, 0), half: Vector(0.8, 0.8, 0.8, 0), turn: 0.7, tilt: 1.1)
    for (i, found) in inverseDepth(Scene(camera: camera, solids: [ball])).enumerated() {
      let expected = meaned(i, size: 32) { x, y in
        // |(x/2, y/2, 1) t + (0, 0, −5) − centre|² = 0.64
        let a = x * x / 4 + y * y / 4 + 1
        let b = x / 2 * -0.3 + y / 2 * 0.2 - 5
        let root = b * b - a * (0.09 + 0.04 + 25 - 0.64)
        return root > 0 ? a / (-b - root.squareRoot()) : 0
      }
      // A ray that grazes the edge may fall on either side of it in float32.
      #expect(abs(Double(found) - expected) < (expected > 0.18 || expected == 0 ? 1e-4 : 0.06), "pixel \(i)")
    }
  }

  @Test("inverse depth of a plane is linear in the picture")
  func plane() {
    let floor = Plane(normal: Vector(0, 1, 0, 0), offset: -1)
    for (i, found) in inverseDepth(Scene(camera: camera, solids: [], planes: [floor])).enumerated() {
      // −1 = y/2 · t
      #expect(abs(Double(found) - meaned(i, size: 32) { _, y in max(0, -y / 2) }) < 1e-5, "pixel \(i)")
    }
  }

  @Test(
    "every solid is entered where its equation holds, and its ball holds all of it", arguments: Solid.Shape.allCases)
  func solids(shape: Solid.Shape) {
    let (half, turn, tilt) = (Vector(0.7, 1.2, 0.4, 0), Float(0.4), Float(-0.8))
    let centre = Vector(0.2, 0.1, -0.3, 0)
    let solid = Solid(shape, at: centre, half: half, turn: turn, tilt: tilt)
    func inside(_ p: Vector) -> Float {
      let o = p - centre
      // Back by the turn about y, then by the tilt about x.
      let (x, a) = (cos(turn) * o.x - sin(turn) * o.z, sin(turn) * o.x + cos(turn) * o.z)
      let (y, z) = (cos(tilt) * o.y + sin(tilt) * a, cos(tilt) * a - sin(tilt) * o.y)
      let q = Vector(x, y, z, 0) / Vector(half.x, half.y, half.z, 1)
      let r = (q.x * q.x + q.z * q.z).squareRoot()
      return switch shape {
      case .sphere: (r * r + q.y * q.y).squareRoot() - 1
      case .box: max(abs(q.x), abs(q.y), abs(q.z)) - 1
      case .cylinder: max(r, abs(q.y)) - 1
      case .cone: max(r - (1 - q.y) / 2, -q.y - 1)
      }
    }
    var hits = 0
    for i in 0..<900 {
      let x = Float(i % 30) / 15 - 1
      let y = Float(i / 30) / 15 - 1
      let origin = Vector(4 * sin(Float(i)), 2 * cos(Float(i) * 0.7), -4, 0)
      let direction = centre + Vector(x, y, x - y, 0) * 1.4 - origin
      let t = solid.entry(origin: origin, direction: direction)
      // Marched: the first of 2,000 steps inside.
      let marched = (1...2000).first { inside(origin + direction * (Float($0) / 1000)) < -1e-3 }
      if t.isFinite {
        hits += 1
        #expect(abs(inside(origin + direction * t)) < 2e-4)
        if let marched { #expect(abs(t - Float(marched) / 1000) < 0.02) }
      } else {
        #expect(marched == nil)
      }
    }
    #expect(hits > 100)
  }

  @Test("depth is 0 at the farthest pixel and 1 at the nearest, and differs between scenes")
  func normalised() {
    var seen: Set<[Float]> = []
    for sample in 0..<64 {
      let (_, depth) = drawn(sample)
      #expect(depth.min() == 0 && depth.max() == 1)
      seen.insert(depth)
    }
    #expect(seen.count == 64)
  }

  @Test("a scene is a function of its key, and its picture the same with and without the depth")
  func deterministic() {
    for sample in 0..<8 {
      let (picture, depth) = drawn(sample)
      let (again, depthAgain) = drawn(sample)
      #expect(picture == again && depth == depthAgain)
      var random = Philox(seed: 7, step: 0, sample: sample)
      var alone = picture.map { _ in Float.nan }
      alone.withUnsafeMutableBufferPointer { CropFeed.synthetic(.scenes, size: 64, using: &random, into: $0) }
      #expect(alone == picture)
    }
  }

  func drawn(_ sample: Int, size: Int = 64) -> (picture: [Float], depth: [Float]) {
    var random = Philox(seed: 7, step: 0, sample: sample)
    var picture = [Float](repeating: 0, count: size * size * 3)
    var depth = [Float](repeating: 0, count: size * size)
    picture.withUnsafeMutableBufferPointer { picture in
      depth.withUnsafeMutableBufferPointer { Scenes.draw(size: size, using: &random, into: picture, depth: $0) }
    }
    return (picture, depth)
  }

  @Test("a scene of 64 by 64 pixels takes a few milliseconds of one core")
  func quick() {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) * 1e-6
    }
    // The best of ten, for what else the machine does.
    let each = (0..<10).map { round in
      let start = now()
      for sample in 0..<16 { _ = drawn(16 * round + sample) }
      return (now() - start) / 16
    }
    #expect(each.min() ?? 99 < 5, "a scene: \(each) ms")
  }
}
