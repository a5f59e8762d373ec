internal import Foundation

/// A square of colours that shapes are painted on, at a multiple of the final resolution.
///
/// Coordinates are canvas pixels. Colours are sRGB 0...1 in the first three lanes.
struct Canvas {
  /// Canvas pixels per final pixel, horizontally and vertically.
  static let oversampling = 2

  let side: Int
  var pixels: [SIMD4<Float>]

  init(size: Int) {
    side = size * Canvas.oversampling
    pixels = [SIMD4<Float>](repeating: SIMD4(), count: side * side)
  }

  /// Sets every pixel.
  @inline(__always) mutating func fill(_ colour: (_ x: Float, _ y: Float) -> SIMD4<Float>) {
    pixels.withUnsafeMutableBufferPointer { pixels in
      for y in 0..<side {
        for x in 0..<side { pixels[y * side + x] = colour(Float(x) + 0.5, Float(y) + 0.5) }
      }
    }
  }

  /// Paints the inside of a shape over what is there.
  /// - Parameters:
  ///   - reach: the shape lies within this distance of (`x`, `y`).
  ///   - edge: width of the transition from outside to inside; 1 is antialiased and hard.
  ///   - distance: signed, negative inside; colour and distance are asked at offsets from the centre.
  @inline(__always) mutating func paint(
    x cx: Float, y cy: Float, reach: Float, edge: Float = 1, distance: (_ dx: Float, _ dy: Float) -> Float,
    colour: (_ dx: Float, _ dy: Float) -> SIMD4<Float>
  ) {
    let limit = Float(side)
    let margin = reach + edge
    let left = Int(min(max(0, cx - margin), limit))
    let right = Int(min(max(0, cx + margin + 1), limit))
    let top = Int(min(max(0, cy - margin), limit))
    let bottom = Int(min(max(0, cy + margin + 1), limit))
    let inverse = 1 / edge
    pixels.withUnsafeMutableBufferPointer { pixels in
      for y in top..<max(top, bottom) {
        let dy = Float(y) + 0.5 - cy
        for x in left..<max(left, right) {
          let dx = Float(x) + 0.5 - cx
          let cover = 0.5 - distance(dx, dy) * inverse
          if cover <= 0 { continue }
          let i = y * side + x
          let new = colour(dx, dy)
          pixels[i] = cover >= 1 ? new : pixels[i] + (new - pixels[i]) * cover
        }
      }
    }
  }

  /// Blurs with a Gaussian of standard deviation `sigma` canvas pixels, as a lens out of focus would.
  mutating func blur(_ sigma: Float) {
    let radius = min(side - 1, Int((2.5 * sigma).rounded(.up)))
    guard radius > 0 else { return }
    var kernel = (-radius...radius).map { exp(-Float($0 * $0) / (2 * sigma * sigma)) }
    let sum = kernel.reduce(0, +)
    for i in kernel.indices { kernel[i] /= sum }
    var other = pixels
    // Twice: along rows into the transposed place.
    for _ in 0..<2 {
      pixels.withUnsafeBufferPointer { from in
        other.withUnsafeMutableBufferPointer { to in
          for y in 0..<side {
            for x in 0..<side {
              var value = SIMD4<Float>()
              for k in 0...2 * radius {
                value += kernel[k] * from[y * side + min(max(0, x + k - radius), side - 1)]
              }
              to[x * side + y] = value
            }
          }
        }
      }
      swap(&pixels, &other)
    }
  }

  /// The mean of each block of canvas pixels, as `[S, S, 3]`, −1...1.
  func finish(into out: UnsafeMutableBufferPointer<Float>) {
    let k = Canvas.oversampling
    let size = side / k
    let scale = 2 / Float(k * k)
    pixels.withUnsafeBufferPointer { pixels in
      for y in 0..<size {
        for x in 0..<size {
          var sum = SIMD4<Float>()
          for j in 0..<k {
            for i in 0..<k {
              sum += pixels[(y * k + j) * side + x * k + i]
            }
          }
          let value = (sum * scale - 1).clamped(lowerBound: SIMD4(repeating: -1), upperBound: SIMD4(repeating: 1))
          let at = (y * size + x) * 3
          (out[at], out[at + 1], out[at + 2]) = (value.x, value.y, value.z)
        }
      }
    }
  }
}

/// A rotation of the plane.
struct Rotation {
  let cosine: Float, sine: Float

  init(_ angle: Float) { (cosine, sine) = (cos(angle), sin(angle)) }

  /// Any direction, equally likely.
  init(using random: inout Philox) { self.init(random.uniform(0, 2 * .pi)) }

  @inline(__always) func callAsFunction(_ x: Float, _ y: Float) -> (Float, Float) {
    (cosine * x + sine * y, cosine * y - sine * x)
  }
}
