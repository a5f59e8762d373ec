internal import CVips
internal import Glibc

/// What a picture file's header says.
public struct PictureHeader: Sendable, Hashable {
  /// Pixels, upright: after the EXIF orientation.
  public let width: Int, height: Int
  /// Channels as stored: 1 grey, 2 grey and alpha, 3 or 4 (CMYK or alpha).
  public let bands: Int
  /// Bits per channel, 8 or 16.
  public let bitDepth: Int
  /// "jpeg", "png", "webp", "tiff", "heif", "avif" or "gif".
  public let format: String
  public let hasAlpha: Bool
  public let hasProfile: Bool
  /// Whether its rows can be decoded from top to bottom without all of it in memory.
  public let isDecodedInRows: Bool
}

/// Reads a picture's header without decoding a pixel.
public func probe(_ path: String) throws(ImagingError) -> PictureHeader {
  try checkRegularFile(path)
  return try path.withInput(maximumPixels: 0) { input, text in
    var header = cv_header()
    let status = cv_probe(&input, &header, text, errorSize)
    return (status, status == .ok ? PictureHeader(header) : nil)
  }
}

/// Decodes a picture for training or measuring: upright, sRGB, alpha flattened on white.
/// - Parameters:
///   - maximumPixels: checked against the header before anything is decoded.
///   - shrink: 1, 2, 4 or 8; JPEGs are reduced inside the decoder, which is several times faster.
public func decodeBitmap(_ bytes: [UInt8], maximumPixels: Int = 100_000_000, shrink: Int = 1) throws(ImagingError)
  -> Bitmap
{
  precondition([1, 2, 4, 8].contains(shrink), "shrink is 1, 2, 4 or 8")
  return try bytes.withInput(maximumPixels: maximumPixels) { input, text in
    decode(&input, shrink: shrink, text)
  }
}

/// Decodes the picture in a file as `decodeBitmap(_:maximumPixels:shrink:)` does.
public func readBitmap(_ path: String, maximumPixels: Int = 100_000_000, shrink: Int = 1) throws(ImagingError)
  -> Bitmap
{
  precondition([1, 2, 4, 8].contains(shrink), "shrink is 1, 2, 4 or 8")
  try checkRegularFile(path)
  return try path.withInput(maximumPixels: maximumPixels) { input, text in
    decode(&input, shrink: shrink, text)
  }
}

// MARK: - The door to C

let errorSize = 512

private typealias Body<Result> = (inout cv_input, UnsafeMutablePointer<CChar>) -> (cv_status, Result?)

extension String {
  fileprivate func withInput<Result>(maximumPixels: Int, _ body: Body<Result>) throws(ImagingError) -> Result {
    var answer: (cv_status, Result?) = (.failed, nil)
    let reason = withErrorText { text in
      withCString { path in
        var input = cv_input(path: path, bytes: nil, length: 0, maximum_pixels: Int64(maximumPixels))
        answer = body(&input, text)
      }
    }
    guard let result = answer.1 else {
      throw ImagingError(answer.0, at: self, reason, maximumPixels: maximumPixels)
    }
    return result
  }
}

extension [UInt8] {
  fileprivate func withInput<Result>(maximumPixels: Int, _ body: Body<Result>) throws(ImagingError) -> Result {
    let location = "picture in memory"
    guard !isEmpty else { throw ImagingError(.not_a_picture, at: location, "it is empty", maximumPixels: 0) }
    var answer: (cv_status, Result?) = (.failed, nil)
    let reason = withErrorText { text in
      withUnsafeBytes { bytes in
        var input = cv_input(
          path: nil, bytes: bytes.baseAddress, length: bytes.count, maximum_pixels: Int64(maximumPixels))
        answer = body(&input, text)
      }
    }
    guard let result = answer.1 else {
      throw ImagingError(answer.0, at: location, reason, maximumPixels: maximumPixels)
    }
    return result
  }
}

func withErrorText(_ body: (UnsafeMutablePointer<CChar>) -> Void) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: errorSize) { buffer in
    buffer.initialize(repeating: 0)
    guard let text = buffer.baseAddress else { return "" }
    body(text)
    return String(cString: text)
  }
}

private func decode(
  _ input: inout cv_input, shrink: Int, _ text: UnsafeMutablePointer<CChar>
) -> (cv_status, Bitmap?) {
  var raw = cv_picture()
  defer { cv_picture_free(&raw) }
  let status = cv_decode(&input, Int32(shrink), &raw, text, errorSize)
  return (status, status == .ok ? Bitmap(raw) : nil)
}

/// Folders, devices and pipes are refused before libvips opens them: a pipe would wait for ever.
func checkRegularFile(_ path: String) throws(ImagingError) {
  var status = stat()
  guard stat(path, &status) == 0 else {
    throw ImagingError(
      code: .cannotOpen, location: path, reason: "The file cannot be opened: \(String(cString: strerror(errno))).",
      remedy: "Check the path and its permissions.")
  }
  guard status.st_mode & S_IFMT == S_IFREG else {
    throw ImagingError(
      code: .cannotOpen, location: path, reason: "This is not a regular file.", remedy: "Name a picture file.")
  }
  guard status.st_size > 0 else {
    throw ImagingError(.not_a_picture, at: path, "it is empty", maximumPixels: 0)
  }
}

extension PictureHeader {
  fileprivate init(_ raw: cv_header) {
    width = Int(raw.width)
    height = Int(raw.height)
    bands = Int(raw.bands)
    bitDepth = Int(raw.bits)
    hasAlpha = raw.has_alpha != 0
    hasProfile = raw.has_profile != 0
    isDecodedInRows = raw.in_rows != 0
    format = withUnsafeBytes(of: raw.format) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}

extension Bitmap {
  fileprivate init(_ raw: borrowing cv_picture) {
    let width = Int(raw.width)
    let height = Int(raw.height)
    let pixels = UnsafeRawBufferPointer(start: raw.pixels, count: width * height * 3)
    self.init(width: width, height: height, pixels: [UInt8](pixels))
  }
}

extension ImagingError {
  init(_ status: cv_status, at location: String, _ text: String, maximumPixels: Int) {
    let text = status == .unsupported ? formatName(text) : text
    let (code, reason, remedy): (Code, String, String) =
      switch status {
      case .ok, .failed: (.unsupported, "The picture cannot be processed", "Convert it to PNG and try again.")
      case .cannot_open: (.cannotOpen, "The file cannot be opened", "Check the path and its permissions.")
      case .not_a_picture:
        (.notAPicture, "This is not a picture", "Give a JPEG, PNG, WebP, TIFF, HEIF, AVIF or GIF file.")
      case .unsupported:
        (.unsupported, "This kind of picture is not read", "Convert it to a JPEG or PNG file and try again.")
      case .too_large:
        (
          .tooLarge, "The picture is above the limit of \(maximumPixels) pixels",
          "Reduce the picture, or cut it into parts."
        )
      case .damaged: (.damaged, "The picture is truncated or damaged", "Fetch the file again or open and re-save it.")
      }
    self.init(
      code: code, location: location, reason: text.isEmpty ? "\(reason)." : "\(reason): \(text).", remedy: remedy)
  }
}
