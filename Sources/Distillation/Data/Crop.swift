internal import Foundation
package import Imaging

/// A square of a picture, to be resampled to `S×S` pixels.
public struct Crop: Hashable, Sendable {
  /// The square's top left corner and side, in pixels of the picture; fractions count.
  public var x: Float, y: Float, side: Float
  public var isFlipped: Bool

  public init(x: Float, y: Float, side: Float, isFlipped: Bool = false) {
    self.x = x
    self.y = y
    self.side = side
    self.isFlipped = isFlipped
  }

  /// A random square of a `width×height` picture for a crop of `size` pixels: its side log-uniform from `size` (the
  /// picture's own pixels) to the shorter side, its place uniform, flipped half of the time.
  package init(size: Int, width: Int, height: Int, using random: inout Philox) {
    let largest = max(1, Float(min(width, height)) / Float(size))
    let side = min(Float(size) * pow(largest, random.uniform()), Float(min(width, height)))
    self.init(
      x: random.uniform() * (Float(width) - side), y: random.uniform() * (Float(height) - side), side: side,
      isFlipped: random.chance(0.5))
  }

  /// Resamples the square with an antialiased bicubic into `[size, size, 3]`, −1...1.
  package func render(_ picture: Bitmap, size: Int, into out: UnsafeMutableBufferPointer<Float>) {
    precondition(out.count == size * size * 3, "the crop is [size, size, 3]")
    let columns = BicubicAxis(from: x, length: side, count: size, limit: picture.width)
    let rows = BicubicAxis(from: y, length: side, count: size, limit: picture.height)
    let first = columns.starts[0]
    let last = columns.starts[size - 1] + columns.taps
    let n = (last - first) * 3
    picture.pixels.withUnsafeBufferPointer { pixels in
      // Rows first: whole rows are added up, which the compiler vectorises.
      withUnsafeTemporaryAllocation(of: Float.self, capacity: n) { line in
        for row in 0..<size {
          line.initialize(repeating: 0)
          for tap in 0..<rows.taps {
            let weight = rows.weights[row * rows.taps + tap]
            if weight == 0 { continue }
            let source =
              pixels.baseAddress.unsafelyUnwrapped
              + ((rows.starts[row] + tap) * picture.width + first) * 3
            for i in 0..<n { line[i] += weight * Float(source[i]) }
          }
          for column in 0..<size {
            var sum = SIMD4<Float>()
            var i = (columns.starts[column] - first) * 3
            for tap in 0..<columns.taps {
              sum += columns.weights[column * columns.taps + tap] * SIMD4(line[i], line[i + 1], line[i + 2], 0)
              i += 3
            }
            let value = (sum / 127.5 - 1).clamped(lowerBound: SIMD4(repeating: -1), upperBound: SIMD4(repeating: 1))
            let at = (row * size + (isFlipped ? size - 1 - column : column)) * 3
            (out[at], out[at + 1], out[at + 2]) = (value.x, value.y, value.z)
          }
        }
      }
    }
  }
}

/// Weights of one axis of an antialiased bicubic in Pillow's convention: `a = −0.5`, support 2 times the reduction,
/// half-pixel centres, weights renormalised where the kernel leaves the picture.
struct BicubicAxis {
  /// First source pixel per output pixel; all `taps` from there are inside the picture.
  let starts: [Int]
  /// `[count, taps]`; zero where a kernel is narrower than `taps`.
  let weights: [Float]
  let taps: Int

  init(from origin: Float, length: Float, count: Int, limit: Int) {
    let scale = length / Float(count)
    let filter = max(1, scale)
    let support = 2 * filter
    let taps = min(limit, Int(support.rounded(.up)) * 2 + 1)
    var starts = [Int](repeating: 0, count: count)
    var weights = [Float](repeating: 0, count: count * taps)
    for i in 0..<count {
      let centre = origin + (Float(i) + 0.5) * scale
      let low = max(0, Int((centre - support + 0.5).rounded(.down)))
      let high = min(limit, Int((centre + support + 0.5).rounded(.down)))
      let start = min(low, limit - taps)
      starts[i] = start
      var sum: Float = 0
      for j in low..<max(low, high) {
        let weight = BicubicAxis.kernel((Float(j) + 0.5 - centre) / filter)
        weights[i * taps + j - start] = weight
        sum += weight
      }
      for k in i * taps..<(i + 1) * taps { weights[k] /= sum }
    }
    (self.starts, self.weights, self.taps) = (starts, weights, taps)
  }

  private static func kernel(_ distance: Float) -> Float {
    let x = abs(distance)
    if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
    if x < 2 { return ((-0.5 * x + 2.5) * x - 4) * x + 2 }
    return 0
  }
}
