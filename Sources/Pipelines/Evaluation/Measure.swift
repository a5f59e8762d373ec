/// One figure of a picture, or of a set of pictures: a column of a table.
public struct Measure: Sendable, Hashable {
  public enum Best: Sendable { case high, low, one }

  /// The name in manifests and JSON.
  public let key: String
  /// The name in tables.
  public let title: String
  public let digits: Int
  public let best: Best
  /// What tables multiply it with.
  public let factor: Double

  public init(_ key: String, _ title: String, digits: Int = 3, best: Best, factor: Double = 1) {
    (self.key, self.title, self.digits, self.best, self.factor) = (key, title, digits, best, factor)
  }

  /// Peak signal-to-noise ratio against the original.
  public static let psnr = Measure("psnr", "PSNR dB", digits: 2, best: .high)
  /// Structural similarity to the original.
  public static let ssim = Measure("ssim", "SSIM", best: .high)
  /// Fine detail as a share of the original's.
  public static let energy = Measure("energy-ratio", "fine detail", digits: 2, best: .one)
  /// What results of different seeds differ by.
  public static let diversity = Measure("seed-difference", "seeds, levels", digits: 2, best: .high)
  /// PSNR of the result, reduced again, against the input: how well it agrees with what the user brought.
  public static let agreement = Measure("agreement", "agreement dB", digits: 1, best: .high)
  /// Share of the known pixels that are returned to the last bit.
  public static let known = Measure("known-exact", "known pixels", digits: 4, best: .high)
  /// Balance of lines that were asked for and drawn (F1), a pixel's width of room given.
  public static let lines = Measure("lines-f1", "lines F1", best: .high)
  /// How surely a pixel at a step of the depth has more contrast than one elsewhere; ½ knows nothing of the depth.
  public static let contours = Measure("contours", "depth contours", best: .high)

  /// The key of a metric by its printed name: `PD-SqueezeNet1.1` becomes `pd-squeezenet1.1`.
  static func key(_ name: String) -> String {
    String(name.lowercased().map { $0.isLetter || $0.isNumber || $0 == "." ? $0 : "-" })
  }
}
