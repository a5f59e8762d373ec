public import Bundles
internal import Foundation
public import Imaging
public import Metrics

/// Four-times super-resolution against known originals: each picture is reduced with Pillow's BICUBIC (antialiased, 8 bit),
/// converted, and compared with itself.
public struct SuperResolutionSuite: Sendable {
  /// One picture's figures for one method.
  public struct Row: Sendable {
    public let picture: String
    /// `bicubic`, or the number of steps.
    public let method: String
    public let psnr: Double
    /// PD-SqueezeNet1.1; `nil` without its weights.
    public let distance: Double?
    /// PSNR of the result, reduced again, against the input: how well it agrees with what the user brought.
    public let agreement: Double
    /// Seconds of the conversion.
    public let seconds: Double
  }

  public let name: String
  public let scale = 4
  private let perceptual: PerceptualDistance?

  public init(name: String, perceptual: PerceptualDistance?) {
    self.name = name
    self.perceptual = perceptual
  }

  /// The picture, cut to a multiple of the scale, and what a user would have brought.
  public func pair(_ picture: Bitmap) -> (original: Bitmap, input: Bitmap) {
    let (width, height) = (picture.width / scale * scale, picture.height / scale * scale)
    let original = picture.cropped(x: 0, y: 0, width: width, height: height)
    return (original, Resize.bicubic(original, width: width / scale, height: height / scale))
  }

  /// Compares a result, or plain enlargement where it is `nil`.
  public func compare(
    _ result: Bitmap?, picture: String, method: String, original: Bitmap, input: Bitmap, seconds: Double
  ) throws -> Row {
    let made = result ?? Resize.bicubic(input, width: original.width, height: original.height)
    return Row(
      picture: picture, method: method, psnr: PSNR.rgb(made, original),
      distance: try perceptual?.distance(made, original),
      agreement: PSNR.rgb(Resize.bicubic(made, width: input.width, height: input.height), input), seconds: seconds)
  }

  /// Means over the pictures with bootstrap intervals, as a manifest's metrics: `psnr`, `pd-squeezenet1.1`, `agreement`.
  /// - Parameter steps: 0 stands for plain enlargement.
  public func summary(_ rows: [Row], steps: Int) -> [Manifest.Metric] {
    func metric(_ key: String, _ values: [Double]) -> Manifest.Metric? {
      guard !values.isEmpty, values.allSatisfy(\.isFinite) else { return nil }
      let interval = Bootstrap.mean(values)
      return .init(
        suite: name, steps: steps, name: key, value: interval.mean, ci95: [interval.low, interval.high], n: values.count
      )
    }
    return [
      metric("psnr", rows.map(\.psnr)), metric("pd-squeezenet1.1", rows.compactMap(\.distance)),
      metric("agreement", rows.map(\.agreement)),
    ].compactMap { $0 }
  }
}
