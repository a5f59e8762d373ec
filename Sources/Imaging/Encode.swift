internal import CVips

/// The file formats pictures are written in.
public enum PictureFormat: String, Sendable, CaseIterable {
  case png, jpeg, webp, tiff

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
    default: return nil
    }
  }

  var raw: cv_format {
    switch self {
    case .png: .png
    case .jpeg: .jpeg
    case .webp: .webp
    case .tiff: .tiff
    }
  }
}

/// Encodes a bitmap as PNG; the same bitmap always gives the same bytes.
public func encodePNG(_ bitmap: Bitmap) throws(ImagingError) -> [UInt8] {
  try encode(bitmap, .png, quality: 100)
}

/// Encodes a bitmap as JPEG.
/// - Parameter quality: 1...100; from 90 on colours are kept at full resolution.
public func encodeJPEG(_ bitmap: Bitmap, quality: Int = 90) throws(ImagingError) -> [UInt8] {
  try encode(bitmap, .jpeg, quality: quality)
}

/// Encodes a picture with its profile and metadata; JPEG and WebP have 8 bits, JPEG flattens alpha on white.
/// - Parameter quality: 1...100 for JPEG and WebP; WebP at 100 is lossless.
public func encode(_ picture: Picture, as format: PictureFormat, quality: Int = 90) throws(ImagingError) -> [UInt8] {
  let flat = format == .jpeg ? picture.flattenedOnWhite() : picture
  let bits = format == .jpeg || format == .webp ? 8 : picture.bitDepth.rawValue
  let convert = flat.iccProfile.map { cv_profile_is_srgb($0, $0.count) == 0 } ?? false
  var raw = cv_picture()
  raw.width = Int32(flat.width)
  raw.height = Int32(flat.height)
  raw.bands = flat.alpha == nil ? 3 : 4
  // A conversion starts from 16 bits, so that colours are rounded once.
  raw.bits = convert ? 16 : Int32(bits)
  raw.x_per_mm = flat.metadata.resolution?[0] ?? 0
  raw.y_per_mm = flat.metadata.resolution?[1] ?? 0
  let pixels = flat.interleaved(bits: Int(raw.bits))
  return try withBlobs([flat.iccProfile, flat.metadata.exif, flat.metadata.xmp, flat.metadata.exifFields, pixels]) {
    (blobs) throws(ImagingError) in
    (raw.profile, raw.exif, raw.xmp, raw.fields) = (blobs[0], blobs[1], blobs[2], blobs[3])
    raw.pixels = blobs[4].bytes
    return try encode(raw, format, quality: quality, bits: bits, convert: convert)
  }
}

/// Writes a picture in the format of the path's extension: png, jpg, jpeg, webp, tif or tiff.
///
/// The file appears complete or not at all: the bytes go to a temporary file in the same folder, which then takes
/// the name.
/// - Parameter quality: 1...100 for JPEG and WebP; WebP at 100 is lossless.
public func write(_ picture: Picture, to path: String, quality: Int = 90) throws(ImagingError) {
  guard let format = PictureFormat(path: path) else {
    throw ImagingError(
      code: .unsupported, location: path, reason: "The file name does not say a format that can be written.",
      remedy: "End it in .png, .jpg, .webp or .tif.")
  }
  try StagedFile(encode(picture, as: format, quality: quality), for: path).publish()
}

// MARK: - The door to C

private func encode(_ bitmap: Bitmap, _ format: PictureFormat, quality: Int) throws(ImagingError) -> [UInt8] {
  try withBlobs([bitmap.pixels]) { (blobs) throws(ImagingError) in
    var raw = cv_picture()
    raw.width = Int32(bitmap.width)
    raw.height = Int32(bitmap.height)
    raw.bands = 3
    raw.bits = 8
    raw.pixels = blobs[0].bytes
    return try encode(raw, format, quality: quality, bits: 8, convert: false)
  }
}

private func encode(_ raw: cv_picture, _ format: PictureFormat, quality: Int, bits: Int, convert: Bool)
  throws(ImagingError) -> [UInt8]
{
  var raw = raw
  var bytes: UnsafeMutableRawPointer?
  var length = 0
  var status = cv_status.failed
  let reason = withErrorText { text in
    status = cv_encode(
      &raw, format.raw, Int32(min(max(quality, 1), 100)), Int32(bits), convert ? 1 : 0, &bytes, &length, text,
      errorSize)
  }
  guard status == .ok, let bytes else {
    throw ImagingError(
      code: .cannotWrite, location: "\(format.rawValue) picture of \(raw.width) x \(raw.height)",
      reason: "It cannot be encoded: \(reason).", remedy: "Try another format or a smaller picture.")
  }
  defer { cv_bytes_free(bytes) }
  return [UInt8](UnsafeRawBufferPointer(start: bytes, count: length))
}

/// Calls `body` with one blob per array; `nil` and empty arrays give empty blobs.
private func withBlobs<Result>(
  _ arrays: [[UInt8]?], _ done: [cv_blob] = [], _ body: ([cv_blob]) throws(ImagingError) -> Result
) throws(ImagingError) -> Result {
  guard let first = arrays.first else { return try body(done) }
  var answer: Swift.Result<Result, ImagingError>?
  (first ?? []).withUnsafeBytes { bytes in
    let blob = cv_blob(bytes: UnsafeMutableRawPointer(mutating: bytes.baseAddress), length: bytes.count)
    do throws(ImagingError) {
      answer = .success(try withBlobs(Array(arrays.dropFirst()), done + [blob], body))
    } catch { answer = .failure(error) }
  }
  guard let answer else { preconditionFailure("the closure has run") }
  return try answer.get()
}

extension Picture {
  /// The picture without alpha, seen in front of white.
  public func flattenedOnWhite() -> Picture {
    guard let alpha else { return self }
    var flat = self
    flat.alpha = nil
    for i in 0..<alpha.count {
      for c in 3 * i..<3 * i + 3 { flat.pixels[c] = pixels[c] * alpha[i] + 1 - alpha[i] }
    }
    return flat
  }

  /// Three or four channels in native byte order, rounded half up and clamped.
  fileprivate func interleaved(bits: Int) -> [UInt8] {
    let count = width * height
    let bands = alpha == nil ? 3 : 4
    func value(_ i: Int) -> Float {
      let (pixel, band) = (i / bands, i % bands)
      guard band == 3, let alpha else { return pixels[3 * pixel + band] }
      return alpha[pixel]
    }
    guard bits == 16 else { return (0..<count * bands).map { quantised(value($0)) } }
    return [UInt8](unsafeUninitializedCapacity: count * bands * 2) { bytes, used in
      for i in 0..<count * bands {
        let level = UInt16(min(max(0, value(i) * 65535 + 0.5), 65535))
        UnsafeMutableRawBufferPointer(bytes).storeBytes(of: level, toByteOffset: 2 * i, as: UInt16.self)
      }
      used = count * bands * 2
    }
  }
}
