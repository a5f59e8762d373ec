public import Bundles
internal import Foundation
public import Imaging
public import Registry

/// A picture that training has not seen.
public struct CleanPicture: Sendable {
  public let name: String
  public let bitmap: Bitmap
  /// `[height, width]`, 0…1, 1 near, for tasks that are about depth.
  public let depth: [Float]?

  public init(name: String, bitmap: Bitmap, depth: [Float]? = nil) {
    (self.name, self.bitmap, self.depth) = (name, bitmap, depth)
  }

  /// Its middle square, reduced or enlarged to `side`.
  public func square(_ side: Int) -> CleanPicture {
    if bitmap.width == side && bitmap.height == side { return self }
    let shorter = min(bitmap.width, bitmap.height)
    let part = bitmap.cropped(
      x: (bitmap.width - shorter) / 2, y: (bitmap.height - shorter) / 2, width: shorter, height: shorter)
    return CleanPicture(name: name, bitmap: Resize.bicubic(part, width: side, height: side))
  }
}

/// A clean picture and what a user would have brought of it.
public struct EvaluationPair: Sendable {
  public struct Input: Sendable, Hashable {
    public let width: Int, height: Int, channels: Int
    /// `[height, width, channels]`, 0…1.
    public let values: [Float]

    public init(width: Int, height: Int, channels: Int, values: [Float]) {
      precondition(values.count == width * height * channels, "an input is [height, width, channels]")
      (self.width, self.height, self.channels, self.values) = (width, height, channels, values)
    }

    /// The values rounded to 8 bits, one channel as grey.
    public var bitmap: Bitmap {
      let rounded = values.map { quantised($0) }
      let pixels = channels == 1 ? rounded.flatMap { [$0, $0, $0] } : rounded
      return Bitmap(width: width, height: height, pixels: pixels)
    }
  }

  public let name: String
  public let original: Bitmap
  public let depth: [Float]?
  public let inputs: [Input]
  let key: SampleKey

  /// Stands for the source file's digest in the noise.
  public var digest: [UInt8] {
    SHA256.digest(of: Data(inputs.flatMap { $0.values.map { quantised($0) } }))
  }

  package init(name: String, original: Bitmap, depth: [Float]? = nil, inputs: [Input]) {
    (self.name, self.original, self.depth, self.inputs) = (name, original, depth, inputs)
    key = SampleKey(low: 0, high: 0)
  }

  /// Reduced `scale` times with Pillow's BICUBIC (antialiased, 8 bit), after cutting to a multiple of the scale.
  public init(reducing picture: CleanPicture, scale: Int) {
    let (width, height) = (picture.bitmap.width / scale * scale, picture.bitmap.height / scale * scale)
    let original = picture.bitmap.cropped(x: 0, y: 0, width: width, height: height)
    let small = Resize.bicubic(original, width: width / scale, height: height / scale)
    let input = Input(
      width: small.width, height: small.height, channels: 3, values: small.pixels.map { Float($0) / 255 })
    self.init(name: picture.name, original: original, inputs: [input])
  }

  /// As the task's plugin makes pairs to train on, with a key that is the picture's number.
  /// - Parameter picture: as large as the pair shall be, its sides multiples of the manifest's scale.
  public init(degrading picture: CleanPicture, number: Int, with plugin: TaskPlugin, _ manifest: Manifest) throws {
    name = picture.name
    original = picture.bitmap
    depth = picture.depth
    // Keys of training have its noise in the lower half; this constant is none of them but by an accident of 2⁻⁶⁴.
    key = SampleKey(low: 0x65_7661_6C75_6174, high: UInt64(number))
    inputs = try Self.degrade(original, depth: depth, key: key, with: plugin, manifest)
  }

  static func degrade(
    _ bitmap: Bitmap, depth: [Float]?, key: SampleKey, with plugin: TaskPlugin, _ manifest: Manifest
  ) throws -> [Input] {
    let scale = manifest.geometry?.scale ?? 1
    var clean = bitmap.pixels.map { Float($0) / 255 }
    if let depth {
      clean = depth.indices.flatMap { [clean[3 * $0], clean[3 * $0 + 1], clean[3 * $0 + 2], depth[$0]] }
    }
    let sizes = (manifest.condition?.inputs ?? []).map {
      (width: bitmap.width / scale, height: bitmap.height / scale, channels: $0.kind == .rgb ? 3 : 1)
    }
    let made = try plugin.degrade(clean, width: bitmap.width, height: bitmap.height, keys: [key], inputs: sizes)
    return zip(sizes, made).map { Input(width: $0.width, height: $0.height, channels: $0.channels, values: $1) }
  }
}
