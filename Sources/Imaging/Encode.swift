internal import CVips

/// The file formats pictures are written in.
public enum PictureFormat: String, Sendable, CaseIterable {
  case png, jpeg, webp, tiff, avif

  /// The format a file name's extension asks for, in any case.
  public init?(path: String) {
    guard let name = path.split(separator: "/").last, let dot = name.lastIndex(of: "."), dot != name.startIndex else {
      return nil
    }
    switch name[name.index(after: dot)...].lowercased() {
    case "png": self = .png
    case "jpg", "jpeg": self = .jpeg
    case "webp": self = .webp
    case "tif", "tiff": self = .tiff
    case "avif": self = .avif
    default: return nil
    }
  }

  var raw: cv_format {
    switch self {
    case .png: .png
    case .jpeg: .jpeg
    case .webp: .webp
    case .tiff: .tiff
    case .avif: .avif
    }
  }
}

/// Encodes a bitmap as PNG; the same bitmap always gives the same bytes.
public func encodePNG(_ bitmap: Bitmap) throws(ImagingError) -> [UInt8] {
  try encode(Picture(bitmap), as: .png, quality: 100)
}

/// Encodes a bitmap as JPEG.
/// - Parameter quality: 1...100; from 90 on colours are kept at full resolution.
public func encodeJPEG(_ bitmap: Bitmap, quality: Int = 90) throws(ImagingError) -> [UInt8] {
  try encode(Picture(bitmap), as: .jpeg, quality: quality)
}

/// The version of the library that reads and writes pictures: another one may write other bytes.
public var imagingLibrary: String { "libvips " + String(cString: cv_version()) }

/// Encodes a picture with its profile and metadata; JPEG and WebP have 8 bits, AVIF 8 or 12, JPEG flattens alpha on white.
/// - Parameter quality: 1...100 for JPEG, WebP and AVIF; WebP at 100 is lossless.
public func encode(_ picture: Picture, as format: PictureFormat, quality: Int = 90) throws(ImagingError) -> [UInt8] {
  let writer = try PictureWriter(PictureWriter.Form(picture), as: format, quality: quality)
  try writer.write(picture.pixels, alpha: picture.alpha)
  return try writer.finishBytes()
}

/// Writes a picture in the format of the path's extension: png, jpg, jpeg, webp, tif, tiff or avif.
///
/// The file appears complete or not at all.
/// - Parameter quality: 1...100 for JPEG, WebP and AVIF; WebP at 100 is lossless.
public func write(_ picture: Picture, to path: String, quality: Int = 90) throws(ImagingError) {
  let writer = try PictureWriter(path, PictureWriter.Form(picture), quality: quality)
  try writer.write(picture.pixels, alpha: picture.alpha)
  try writer.finish()
}
