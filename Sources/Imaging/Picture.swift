/// A picture as a conversion sees it: float sRGB, with everything that must survive from the source to the result.
public struct Picture: Sendable, Hashable {
  public let width: Int
  public let height: Int
  /// Colour channels: always red, green and blue.
  public var channels: Int { 3 }
  /// `[height, width, 3]`, sRGB-encoded (not linear light), 0...1.
  public var pixels: [Float]
  /// `[height, width]`, 0...1, straight (colours are not multiplied by it); `nil` for an opaque picture.
  public var alpha: [Float]?
  /// Bits per channel to write where the format allows it.
  public var bitDepth: BitDepth
  /// The source's ICC profile: on writing colours are converted back to it and it is embedded. `nil`: untagged.
  public var iccProfile: [UInt8]?
  public var metadata: Metadata

  public enum BitDepth: Int, Sendable {
    case eight = 8
    case sixteen = 16
  }

  /// What a camera or editor wrote beside the pixels, carried unread.
  public struct Metadata: Sendable, Hashable {
    public var exif: [UInt8]?
    public var xmp: [UInt8]?
    /// EXIF as libvips spells it, `name\0value\0` …: libvips writes back only what is also listed here.
    package var exifFields: [UInt8]?
    /// Pixels per millimetre, horizontally and vertically.
    package var resolution: [Double]?

    public init(exif: [UInt8]? = nil, xmp: [UInt8]? = nil) {
      self.exif = exif
      self.xmp = xmp
    }
  }

  public init(
    width: Int, height: Int, pixels: [Float], alpha: [Float]? = nil, bitDepth: BitDepth = .eight,
    iccProfile: [UInt8]? = nil, metadata: Metadata = Metadata()
  ) {
    precondition(width > 0 && height > 0 && pixels.count == width * height * 3, "pixels are [height, width, 3]")
    precondition(alpha == nil || alpha?.count == width * height, "alpha is [height, width]")
    self.width = width
    self.height = height
    self.pixels = pixels
    self.alpha = alpha
    self.bitDepth = bitDepth
    self.iccProfile = iccProfile
    self.metadata = metadata
  }

  public init(_ bitmap: Bitmap) {
    self.init(width: bitmap.width, height: bitmap.height, pixels: bitmap.pixels.map { Float($0) / 255 })
  }
}
