internal import Foundation
public import Imaging

/// Peak signal-to-noise ratio in dB over all pixels and channels: `10 log₁₀(peak² / mean((a − b)²))`; infinite for equals.
public enum PSNR {
  /// Of 8-bit pictures, red, green and blue together.
  /// - Precondition: one size.
  public static func rgb(_ a: Bitmap, _ b: Bitmap) -> Double {
    precondition(a.width == b.width && a.height == b.height, "PSNR: pictures of one size")
    var sum = 0
    for i in a.pixels.indices {
      let difference = Int(a.pixels[i]) - Int(b.pixels[i])
      sum += difference * difference
    }
    return decibels(Double(sum) / Double(a.pixels.count), peak: 255)
  }

  /// Of any values; `peak` is the distance from black to white: 1 for 0...1, 2 for −1...1.
  /// - Precondition: as many of one as of the other, and not none.
  public static func of(_ a: [Float], _ b: [Float], peak: Double = 1) -> Double {
    precondition(a.count == b.count && !a.isEmpty, "PSNR: \(a.count) values against \(b.count)")
    let sum = zip(a, b).reduce(0.0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
    return decibels(sum / Double(a.count), peak: peak)
  }

  private static func decibels(_ meanSquare: Double, peak: Double) -> Double { 10 * log10(peak * peak / meanSquare) }
}
