/// Whole pictures at another size, with Pillow's BICUBIC: `a = −0.5`, antialiased, half-pixel centres.
public enum Resize {
  /// The bits that Pillow gives for 8-bit pictures: weights of 22 bits, rows first and then columns, each rounded to 8 bits.
  public static func bicubic(_ bitmap: Bitmap, width: Int, height: Int) -> Bitmap {
    precondition(width > 0 && height > 0, "the new size is positive")
    var wide = bitmap
    if width != bitmap.width {
      let axis = Axis(from: bitmap.width, to: width)
      wide = Bitmap(width: width, height: bitmap.height, pixels: axis.shrinkRows(of: bitmap))
    }
    if height == bitmap.height { return wide }
    return Bitmap(width: width, height: height, pixels: Axis(from: bitmap.height, to: height).shrinkColumns(of: wide))
  }

  /// The same kernel in float32, neither rounded nor clamped: `[B, H, W, C] → [B, height, width, C]`.
  /// - Parameter shape: four dimensions whose product is the number of values.
  public static func bicubic(_ values: [Float], shape: [Int], width: Int, height: Int) -> [Float] {
    precondition(shape.count == 4 && shape.reduce(1, *) == values.count, "values are [B, H, W, C]")
    precondition(width > 0 && height > 0, "the new size is positive")
    let each = shape[1] * shape[2] * shape[3]
    return (0..<shape[0]).flatMap { picture in
      ResamplingKernel.bicubic.resampled(
        Array(values[picture * each..<(picture + 1) * each]), width: shape[2], height: shape[1], channels: shape[3],
        to: (width, height))
    }
  }
}

/// What each new pixel of one axis takes from the old ones, in fixed point.
private struct Axis {
  static let bits = 22
  let taps: [(first: Int, weights: [Int32])]

  init(from size: Int, to newSize: Int) {
    let factor = Double(size) / Double(newSize)
    let widening = max(factor, 1)
    taps = (0..<newSize).map { output in
      let centre = (Double(output) + 0.5) * factor
      let first = max(0, Int(centre - 2 * widening + 0.5))
      let end = min(size, Int(centre + 2 * widening + 0.5))
      let weights = (first..<end).map { Axis.kernel((Double($0) - centre + 0.5) * (1 / widening)) }
      let sum = weights.reduce(0, +)
      // Halves go away from zero.
      return (first, weights.map { Int32(($0 / sum * Double(1 << Axis.bits)).rounded(.toNearestOrAwayFromZero)) })
    }
  }

  private static func kernel(_ position: Double) -> Double {
    let x = abs(position)
    if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0
  }

  private static func rounded(_ sum: Int32) -> UInt8 { UInt8(clamping: (sum + 1 << (bits - 1)) >> bits) }

  /// `[H, W, 3] → [H, taps.count, 3]`.
  func shrinkRows(of bitmap: Bitmap) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: bitmap.height * taps.count * 3) { out, count in
      bitmap.pixels.withUnsafeBufferPointer { pixels in
        for row in 0..<bitmap.height {
          for (column, (first, weights)) in taps.enumerated() {
            var sum = SIMD4<Int32>()
            var from = (row * bitmap.width + first) * 3
            for weight in weights {
              sum &+= weight &* SIMD4(Int32(pixels[from]), Int32(pixels[from + 1]), Int32(pixels[from + 2]), 0)
              from += 3
            }
            let to = (row * taps.count + column) * 3
            for channel in 0..<3 { out[to + channel] = Axis.rounded(sum[channel]) }
          }
        }
      }
      count = bitmap.height * taps.count * 3
    }
  }

  /// `[H, W, 3] → [taps.count, W, 3]`.
  func shrinkColumns(of bitmap: Bitmap) -> [UInt8] {
    let run = bitmap.width * 3
    return [UInt8](unsafeUninitializedCapacity: taps.count * run) { out, count in
      bitmap.pixels.withUnsafeBufferPointer { pixels in
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: run) { sums in
          for (row, (first, weights)) in taps.enumerated() {
            sums.initialize(repeating: 0)
            for (tap, weight) in weights.enumerated() {
              let from = (first + tap) * run
              for i in 0..<run { sums[i] &+= weight &* Int32(pixels[from + i]) }
            }
            for i in 0..<run { out[row * run + i] = Axis.rounded(sums[i]) }
          }
        }
      }
      count = taps.count * run
    }
  }
}
