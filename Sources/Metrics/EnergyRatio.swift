public import Imaging

/// Fine detail of a picture as a share of its original's: 1 is as much, 0 is none.
///
/// Energy is the mean square of what BT.601 luma loses when each 2 × 2 block takes its mean, so of frequencies above half
/// of the highest. It tells blur (below 1) from invented or noisy detail (above 1), not good detail from bad.
public enum EnergyRatio {
  /// - Returns: `nil` where the original has next to no fine detail (below a hundredth of a level squared), or where a side
  ///   is a single pixel.
  /// - Precondition: one size.
  public static func of(_ result: Bitmap, original: Bitmap) -> Double? {
    precondition(
      result.width == original.width && result.height == original.height, "EnergyRatio: pictures of one size")
    guard let whole = energy(original), let found = energy(result), whole >= 0.01 else { return nil }
    return found / whole
  }

  private static func energy(_ bitmap: Bitmap) -> Double? {
    let (w, h) = (bitmap.width / 2, bitmap.height / 2)
    guard w > 0, h > 0 else { return nil }
    func luma(_ x: Int, _ y: Int) -> Double {
      let i = (y * bitmap.width + x) * 3
      let (red, green, blue) = (bitmap.pixels[i], bitmap.pixels[i + 1], bitmap.pixels[i + 2])
      return 0.299 * Double(red) + 0.587 * Double(green) + 0.114 * Double(blue)
    }
    var sum = 0.0
    for y in 0..<h {
      for x in 0..<w {
        let block = [
          luma(2 * x, 2 * y), luma(2 * x + 1, 2 * y), luma(2 * x, 2 * y + 1), luma(2 * x + 1, 2 * y + 1),
        ]
        let mean = (block[0] + block[1] + block[2] + block[3]) / 4
        for value in block { sum += (value - mean) * (value - mean) }
      }
    }
    return sum / Double(4 * w * h)
  }
}
