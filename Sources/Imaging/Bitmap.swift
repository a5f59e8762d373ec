/// An opaque picture of 8-bit sRGB, interleaved.
public struct Bitmap: Sendable, Hashable {
  public let width: Int
  public let height: Int
  /// `[height, width, 3]`.
  public var pixels: [UInt8]

  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == width * height * 3, "pixels are [height, width, 3]")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// One flat colour.
  public init(width: Int, height: Int, red: UInt8, green: UInt8, blue: UInt8) {
    var pixels = [UInt8](repeating: red, count: width * height * 3)
    for i in stride(from: 0, to: pixels.count, by: 3) {
      pixels[i + 1] = green
      pixels[i + 2] = blue
    }
    self.init(width: width, height: height, pixels: pixels)
  }

  /// The picture's colours rounded half up to 8 bits; alpha is dropped, not flattened.
  public init(_ picture: Picture) {
    self.init(width: picture.width, height: picture.height, pixels: picture.pixels.map { quantised($0) })
  }
}

/// 0...1 to 0...255, rounded half up; what lies outside is clamped and NaN becomes 0.
@inlinable public func quantised(_ value: Float) -> UInt8 {
  // `max` with the number second returns 0 for NaN.
  UInt8(min(max(0, value * 255 + 0.5), 255))
}

extension Bitmap {
  /// The part whose top-left pixel is `(x, y)`.
  /// - Precondition: it lies inside.
  public func cropped(x: Int, y: Int, width: Int, height: Int) -> Bitmap {
    precondition(x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height, "the part lies inside")
    var part: [UInt8] = []
    part.reserveCapacity(width * height * 3)
    for row in y..<(y + height) {
      let from = (row * self.width + x) * 3
      part += pixels[from..<(from + width * 3)]
    }
    return Bitmap(width: width, height: height, pixels: part)
  }
}
