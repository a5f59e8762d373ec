internal import Foundation
public import Imaging

/// Structural similarity (Wang et al., IEEE Transactions on Image Processing 13(4), 2004, Eq. 13) as in its authors' code:
/// Gaussian window of 11 × 11 with σ = 1.5, K₁ = 0.01, K₂ = 0.03, L = 255, mean over the windows that lie inside.
///
/// It looks at BT.601 luma, `0.299 R + 0.587 G + 0.114 B` of the 8-bit values, unrounded and from 0 to 255. Super-resolution
/// papers that use Matlab's `rgb2ycbcr` (16 to 235) print slightly higher numbers.
public enum SSIM {
  /// Mean over the picture, at most 1.
  /// - Precondition: one size.
  /// - Throws: `MetricsError` when a side is below 11 pixels.
  public static func luma(_ a: Bitmap, _ b: Bitmap) throws(MetricsError) -> Double {
    precondition(a.width == b.width && a.height == b.height, "SSIM: pictures of one size")
    guard min(a.width, a.height) >= window.count else {
      throw MetricsError(
        .tooSmall, at: "SSIM", "A picture of \(a.width) × \(a.height) holds no window of 11 × 11.",
        remedy: "Leave it out.")
    }
    let (x, y) = (luma(a), luma(b))
    func filtered(_ value: (Int) -> Double) -> [Double] {
      blurred(x.indices.map(value), width: a.width, height: a.height)
    }
    let (mx, my) = (filtered { x[$0] }, filtered { y[$0] })
    let (xx, yy, xy) = (filtered { x[$0] * x[$0] }, filtered { y[$0] * y[$0] }, filtered { x[$0] * y[$0] })
    let (c1, c2) = (0.01 * 255 * (0.01 * 255), 0.03 * 255 * (0.03 * 255))
    var sum = 0.0
    for i in mx.indices {
      let (p, pp) = (mx[i] * my[i], mx[i] * mx[i] + my[i] * my[i])
      sum += (2 * p + c1) * (2 * (xy[i] - p) + c2) / ((pp + c1) * (xx[i] + yy[i] - pp + c2))
    }
    return sum / Double(mx.count)
  }

  private static let window: [Double] = {
    let weights = (-5...5).map { exp(-Double($0 * $0) / (2 * 1.5 * 1.5)) }
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }()

  private static func luma(_ bitmap: Bitmap) -> [Double] {
    stride(from: 0, to: bitmap.pixels.count, by: 3).map { i in
      let (red, green, blue) = (bitmap.pixels[i], bitmap.pixels[i + 1], bitmap.pixels[i + 2])
      return 0.299 * Double(red) + 0.587 * Double(green) + 0.114 * Double(blue)
    }
  }

  /// `[H, W] → [H − 10, W − 10]`, rows and then columns.
  private static func blurred(_ values: [Double], width: Int, height: Int) -> [Double] {
    let (w, h) = (width - 10, height - 10)
    var lines = [Double](repeating: 0, count: height * w)
    var out = [Double](repeating: 0, count: h * w)
    for (tap, weight) in window.enumerated() {
      for row in 0..<height {
        for i in 0..<w { lines[row * w + i] += weight * values[row * width + i + tap] }
      }
    }
    for (tap, weight) in window.enumerated() {
      for i in 0..<(h * w) { out[i] += weight * lines[i + tap * w] }
    }
    return out
  }
}
