internal import Bundles
internal import Foundation
public import Imaging
internal import Tensor

/// How differently two pictures look to a classifier. 0 for equals; lower is nearer.
///
/// The sum over a network's taps of the mean over places of the squared distance between features of unit length, summed
/// over channels with the weights `w` of learned heads (LPIPS, arXiv:1801.03924v2, Eq. 1), or without them. Inputs are scaled
/// as in LPIPS's code, channels are red, green, blue. The weights are for measuring only. Call it on the compute thread.
///
/// `PD-SqueezeNet1.1`, from its own weights and without heads, is **not** LPIPS, and its numbers are not comparable with
/// LPIPS's. The name LPIPS is for the original trunk with the original heads.
public struct PerceptualDistance: Sendable {
  public static let weightsFile = "squeezenet11_caffe_trunk.safetensors"
  /// `PD-SqueezeNet1.1`, or `LPIPS-` and the trunk.
  public let name: String
  /// SHA-256 of the weights file; with heads, of that and theirs.
  public let digests: [String]
  private let trunk: any Trunk
  /// For each tap, a weight for each channel.
  private let heads: [[Float]]?

  /// `PD-SqueezeNet1.1`.
  /// - Parameter folder: where ``weightsFile`` lies; `nil` is `weights/` below the environment's `CODI_TEST_DATA`.
  /// - Throws: `MetricsError` when it is not there, `BundleError` when it is not what it should be.
  public init(weightsIn folder: String? = nil) throws {
    guard let folder = folder ?? Self.dataFolder else {
      throw MetricsError(
        .missingWeights, at: Self.plainName,
        "No folder with \(Self.weightsFile) was given and CODI_TEST_DATA is not set.",
        remedy: "Pass the folder, or set CODI_TEST_DATA to the one that holds weights/.")
    }
    try self.init(weights: URL(fileURLWithPath: folder).appendingPathComponent(Self.weightsFile).path)
  }

  /// `PD-SqueezeNet1.1`.
  /// - Parameter path: a safetensors file with SqueezeNet 1.1's convolutions, `conv1.weight` to `fire9.expand3x3.bias`.
  public init(weights path: String) throws {
    let file = try Self.open(path, for: Self.plainName)
    (name, trunk, heads) = (Self.plainName, try SqueezeNet(caffe: file), nil)
    digests = [try SHA256.hex(ofFile: path)]
  }

  /// LPIPS v0.1.
  /// - Parameters:
  ///   - path: torchvision's AlexNet, VGG 16 or SqueezeNet 1.1 as a safetensors file, `features.0.weight` and so on; which
  ///     of them it is, its tensors tell.
  ///   - folder: where the heads lie, `lpips_v0.1_lin_alex.safetensors` for AlexNet, `…vgg…` and `…squeeze…` for the others,
  ///     with the tensors `lin0.model.1.weight` and so on.
  public init(lpips path: String, headsIn folder: String) throws {
    let file = try Self.open(path, for: "LPIPS")
    let (short, long): (String, String)
    if file["features.3.squeeze.weight"] != nil {
      (short, long, trunk) = ("squeeze", "SqueezeNet", try SqueezeNet(torchvision: file))
    } else if file["features.28.weight"] != nil {
      (short, long, trunk) = ("vgg", "VGG", try VGG(file))
    } else {
      (short, long, trunk) = ("alex", "AlexNet", try AlexNet(file))
    }
    name = "LPIPS-\(long)"
    let lin = try Self.open("\(folder)/lpips_v0.1_lin_\(short).safetensors", for: name)
    heads = try (0..<lin.names.count).map { tap in
      let entry = try lin.entry("lin\(tap).model.1.weight")
      guard entry.dtype == .f32 else {
        throw BundleError(
          .wrongShape, at: "\(lin.path): \(entry.name)", "The tensor is \(entry.dtype.rawValue), expected F32.",
          remedy: "Convert it.")
      }
      return try entry.withBytes { try Tensor(copying: $0, shape: entry.shape, dtype: .f32) }.floats()
    }
    digests = [try SHA256.hex(ofFile: path), try SHA256.hex(ofFile: lin.path)]
  }

  private static let plainName = "PD-SqueezeNet1.1"

  private static func open(_ path: String, for name: String) throws -> SafetensorsFile {
    guard FileManager.default.fileExists(atPath: path) else {
      throw MetricsError(
        .missingWeights, at: name, "There is no \(path).",
        remedy: "Name the file or the folder with these weights; without them leave this metric out.")
    }
    return try SafetensorsFile(path: path)
  }

  private static var dataFolder: String? {
    ProcessInfo.processInfo.environment["CODI_TEST_DATA"].map { $0 + "/weights" }
  }

  /// The distance of two pictures of one size.
  /// - Throws: `MetricsError` when sizes differ or a side is too small for the network.
  public func distance(_ a: Bitmap, _ b: Bitmap) throws -> Double { try taps(a, b).reduce(0, +) }

  /// What each tap adds to the distance, fine to coarse.
  package func taps(_ a: Bitmap, _ b: Bitmap) throws -> [Double] {
    guard a.width == b.width, a.height == b.height else {
      throw MetricsError(
        .mismatch, at: name, "Pictures of \(a.width) × \(a.height) and \(b.width) × \(b.height).",
        remedy: "Compare pictures of one size.")
    }
    let smallest = type(of: trunk).smallest
    guard min(a.width, a.height) >= smallest else {
      throw MetricsError(
        .tooSmall, at: name,
        "A picture of \(a.width) × \(a.height) is below \(smallest) × \(smallest).",
        remedy: "Leave it out.")
    }
    let (first, second) = (try trunk.taps(try Self.scaled(a)), try trunk.taps(try Self.scaled(b)))
    let widths = first.map { $0.shape[3] }
    guard heads == nil || heads?.map(\.count) == widths else {
      throw MetricsError(
        .mismatch, at: name, "Heads for \(heads?.map(\.count) ?? []) channels do not fit taps of \(widths).",
        remedy: "Use the heads that belong to these weights.")
    }
    return first.indices.map { tap in
      Self.difference(first[tap], second[tap], heads?[tap] ?? [Float](repeating: 1, count: widths[tap]))
    }
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

  /// Mean over places of `Σ_c w_c (a_c/|a| − b_c/|b|)²`.
  private static func difference(_ a: Tensor, _ b: Tensor, _ weights: [Float]) -> Double {
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
            square += difference * difference * weights[i - range.lowerBound]
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
