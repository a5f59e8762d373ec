internal import Bundles
internal import Foundation
public import Imaging
internal import Tensor

/// `PD-SqueezeNet1.1`: how differently two pictures look to a classifier. 0 for equals; lower is nearer.
///
/// The sum over LPIPS's seven taps (arXiv:1801.03924v2, Eq. 1, without its learned weights `w`) of the mean over places of
/// the squared distance, summed over channels, between features of unit length. Inputs are scaled as in LPIPS's code,
/// channels are red, green, blue. This is **not** LPIPS and its numbers are not comparable with LPIPS's. The weights are for
/// measuring only. Call it on the compute thread.
public struct PerceptualDistance: Sendable {
  public static let name = "PD-SqueezeNet1.1"
  public static let weightsFile = "squeezenet11_caffe_trunk.safetensors"
  private let network: SqueezeNet

  /// - Parameter folder: where `weightsFile` lies; `nil` is `weights/` below the environment's `CODI_TEST_DATA`.
  /// - Throws: `MetricsError` when it is not there, `BundleError` when it is not what it should be.
  public init(weightsIn folder: String? = nil) throws {
    guard let folder = folder ?? Self.dataFolder else {
      throw MetricsError(
        .missingWeights, at: Self.name, "No folder with \(Self.weightsFile) was given and CODI_TEST_DATA is not set.",
        remedy: "Pass the folder, or set CODI_TEST_DATA to the one that holds weights/.")
    }
    try self.init(weights: URL(fileURLWithPath: folder).appendingPathComponent(Self.weightsFile).path)
  }

  /// - Parameter path: a safetensors file with SqueezeNet 1.1's convolutions, `conv1.weight` to `fire9.expand3x3.bias`.
  public init(weights path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else {
      throw MetricsError(
        .missingWeights, at: Self.name, "There is no \(path).",
        remedy: "Pass the folder that holds \(Self.weightsFile); without it leave this metric out.")
    }
    network = try SqueezeNet(try SafetensorsFile(path: path))
  }

  private static var dataFolder: String? {
    ProcessInfo.processInfo.environment["CODI_TEST_DATA"].map { $0 + "/weights" }
  }

  /// The distance of two pictures of one size.
  /// - Throws: `MetricsError` when sizes differ or a side is below 25 pixels.
  public func distance(_ a: Bitmap, _ b: Bitmap) throws -> Double { try taps(a, b).reduce(0, +) }

  /// What each tap adds to the distance, fine to coarse.
  package func taps(_ a: Bitmap, _ b: Bitmap) throws -> [Double] {
    guard a.width == b.width, a.height == b.height else {
      throw MetricsError(
        .mismatch, at: Self.name, "Pictures of \(a.width) × \(a.height) and \(b.width) × \(b.height).",
        remedy: "Compare pictures of one size.")
    }
    guard min(a.width, a.height) >= SqueezeNet.smallest else {
      throw MetricsError(
        .tooSmall, at: Self.name,
        "A picture of \(a.width) × \(a.height) is below \(SqueezeNet.smallest) × \(SqueezeNet.smallest).",
        remedy: "Leave it out.")
    }
    return zip(try network.taps(try Self.scaled(a)), try network.taps(try Self.scaled(b))).map(Self.difference)
  }

  /// `[1, H, W, 3]`: −1...1, less LPIPS's shift, divided by its scale.
  private static func scaled(_ bitmap: Bitmap) throws -> Tensor {
    let shift: [Float] = [-0.030, -0.088, -0.188]
    let scale: [Float] = [0.458, 0.448, 0.450]
    let values = bitmap.pixels.indices.map { i -> Float in
      let value = Float(bitmap.pixels[i]) / 127.5 - 1
      return (value - shift[i % 3]) / scale[i % 3]
    }
    return try Tensor(values, shape: [1, bitmap.height, bitmap.width, 3])
  }

  /// Mean over places of `Σ_c (aᵢ/|a| − bᵢ/|b|)²`.
  private static func difference(_ a: Tensor, _ b: Tensor) -> Double {
    let (c, places) = (a.shape[3], a.shape[1] * a.shape[2])
    return a.withBytes { aBytes in
      b.withBytes { bBytes in
        let (x, y) = (aBytes.assumingMemoryBound(to: Float.self), bBytes.assumingMemoryBound(to: Float.self))
        var sum = 0.0
        for place in 0..<places {
          let range = place * c..<(place + 1) * c
          let (p, q) = (1 / (length(x, range) + 1e-10), 1 / (length(y, range) + 1e-10))
          var square: Float = 0
          for i in range {
            let difference = x[i] * p - y[i] * q
            square += difference * difference
          }
          sum += Double(square)
        }
        return sum / Double(places)
      }
    }
  }

  private static func length(_ x: UnsafeBufferPointer<Float>, _ range: Range<Int>) -> Float {
    var sum: Float = 0
    for i in range { sum += x[i] * x[i] }
    return sum.squareRoot()
  }
}
