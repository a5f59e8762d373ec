internal import CVips

/// A picture that is encoded from top to bottom, on a thread of its own: what is held depends on its width, save for WebP
/// and AVIF, which are encoded as a whole.
public final class PictureWriter {
  /// What a picture is beside its pixels.
  public struct Form: Sendable {
    public var width, height: Int
    public var hasAlpha: Bool
    /// Bits per channel to write where the format allows it.
    public var bitDepth: Picture.BitDepth
    /// Colours are converted from sRGB to it, and it is embedded.
    public var iccProfile: [UInt8]?
    public var metadata: Picture.Metadata

    public init(
      width: Int, height: Int, hasAlpha: Bool = false, bitDepth: Picture.BitDepth = .eight, iccProfile: [UInt8]? = nil,
      metadata: Picture.Metadata = .init()
    ) {
      (self.width, self.height, self.hasAlpha, self.bitDepth) = (width, height, hasAlpha, bitDepth)
      (self.iccProfile, self.metadata) = (iccProfile, metadata)
    }

    init(_ picture: Picture) {
      self.init(
        width: picture.width, height: picture.height, hasAlpha: picture.alpha != nil, bitDepth: picture.bitDepth,
        iccProfile: picture.iccProfile, metadata: picture.metadata)
    }
  }

  private enum Target {
    case file(DraftFile)
    case memory
  }

  private let form: Form
  private let format: PictureFormat
  /// Bits of the rows that are handed to the encoder.
  private let bits: Int
  private let target: Target
  private let writer: OpaquePointer

  /// Starts a file that takes the name `path` when it is finished, in the format of the path's extension: png, jpg, jpeg,
  /// webp, tif, tiff or avif. JPEG and WebP have 8 bits, AVIF 8 or 12, JPEG flattens alpha on white.
  /// - Parameter quality: 1...100 for JPEG, WebP and AVIF; WebP at 100 is lossless.
  public convenience init(_ path: String, _ form: Form, quality: Int = 90) throws(ImagingError) {
    guard let format = PictureFormat(path: path) else {
      throw ImagingError(
        code: .unsupported, location: path, reason: "The file name does not say a format that can be written.",
        remedy: "End it in .png, .jpg, .webp, .tif or .avif.")
    }
    try self.init(form, format, quality: quality, to: .file(try DraftFile(for: path)))
  }

  /// Starts a file in memory.
  convenience init(_ form: Form, as format: PictureFormat, quality: Int) throws(ImagingError) {
    try self.init(form, format, quality: quality, to: .memory)
  }

  private init(_ form: Form, _ format: PictureFormat, quality: Int, to target: Target) throws(ImagingError) {
    var shown = form
    if format == .jpeg { shown.hasAlpha = false }
    let depth = format == .jpeg || format == .webp ? 8 : form.bitDepth.rawValue
    let convert = form.iccProfile.map { cv_profile_is_srgb($0, $0.count) == 0 } ?? false
    // A conversion starts from 16 bits, so that colours are rounded once.
    let bits = convert ? 16 : depth
    var raw = cv_picture()
    (raw.width, raw.height) = (Int32(clamping: form.width), Int32(clamping: form.height))
    (raw.bands, raw.bits) = (shown.hasAlpha ? 4 : 3, Int32(bits))
    (raw.x_per_mm, raw.y_per_mm) = (form.metadata.resolution?[0] ?? 0, form.metadata.resolution?[1] ?? 0)
    var opened: OpaquePointer?
    var status = cv_status.failed
    let reason = withErrorText { text in
      withBlobs([form.iccProfile, form.metadata.exif, form.metadata.xmp, form.metadata.exifFields]) { blobs in
        (raw.profile, raw.exif, raw.xmp, raw.fields) = (blobs[0], blobs[1], blobs[2], blobs[3])
        let descriptor: Int32 = if case .file(let file) = target { file.descriptor } else { -1 }
        status = cv_writer_open(
          &raw, format.raw, Int32(min(max(quality, 1), 100)), Int32(depth), convert ? 1 : 0, descriptor, &opened, text,
          errorSize)
      }
    }
    guard status == .ok, let opened else { throw Self.failure(reason, format, form, target) }
    (self.form, self.format, self.bits, self.target, writer) = (form, format, bits, target, opened)
  }

  deinit { cv_writer_close(writer) }

  /// The next rows: `[rows, width, 3]` in 0…1, and `[rows, width]` of alpha where the form has it. Waits while the encoder
  /// is far behind.
  public func write(_ pixels: [Float], alpha: [Float]? = nil) throws(ImagingError) {
    let count = pixels.count / (3 * form.width)
    precondition(pixels.count == count * 3 * form.width, "rows are [rows, width, 3]")
    precondition((alpha != nil) == form.hasAlpha && alpha.map { $0.count == count * form.width } ?? true, "alpha")
    let bytes: [UInt8]
    if let alpha, format == .jpeg {
      bytes = interleaved(onWhite(pixels, alpha), nil, bits: bits)
    } else {
      bytes = interleaved(pixels, alpha, bits: bits)
    }
    var status = cv_status.failed
    let reason = withErrorText { text in status = cv_writer_rows(writer, bytes, Int32(count), text, errorSize) }
    guard status == .ok else { throw failure(reason) }
  }

  /// After the last row: the file is complete and has its name.
  public func finish() throws(ImagingError) { try stage()?.publish() }

  /// After the last row: the file is complete; it gets its name when it is published. `nil` for a file in memory.
  public func stage() throws(ImagingError) -> StagedFile? {
    try complete()
    guard case .file(let draft) = target else { return nil }
    return try StagedFile(draft)
  }

  /// After the last row of a file in memory: its bytes.
  func finishBytes() throws(ImagingError) -> [UInt8] {
    try complete()
    var length = 0
    guard let bytes = cv_writer_take_bytes(writer, &length) else { return [] }
    defer { cv_bytes_free(bytes) }
    return [UInt8](UnsafeRawBufferPointer(start: bytes, count: length))
  }

  private func complete() throws(ImagingError) {
    var status = cv_status.failed
    let reason = withErrorText { text in status = cv_writer_finish(writer, text, errorSize) }
    guard status == .ok else { throw failure(reason) }
  }

  private func failure(_ reason: String) -> ImagingError { Self.failure(reason, format, form, target) }

  private static func failure(
    _ reason: String, _ format: PictureFormat, _ form: Form, _ target: Target
  ) -> ImagingError {
    let size = "\(format.rawValue) picture of \(form.width) x \(form.height)"
    switch target {
    case .memory:
      return ImagingError(
        code: .cannotWrite, location: size, reason: "It cannot be encoded: \(reason).",
        remedy: "Try another format or a smaller picture.")
    case .file(let file):
      return ImagingError(
        code: .cannotWrite, location: file.path, reason: "The \(size) cannot be written: \(reason).",
        remedy: "Check that the disk has room and that the format allows this size.")
    }
  }
}

/// Colours seen in front of white.
func onWhite(_ pixels: [Float], _ alpha: [Float]) -> [Float] {
  var flat = pixels
  for i in 0..<alpha.count {
    for c in 3 * i..<3 * i + 3 { flat[c] = pixels[c] * alpha[i] + 1 - alpha[i] }
  }
  return flat
}

/// Three or four channels in native byte order, rounded half up and clamped.
private func interleaved(_ pixels: [Float], _ alpha: [Float]?, bits: Int) -> [UInt8] {
  let bands = alpha == nil ? 3 : 4
  let count = pixels.count / 3
  func value(_ i: Int) -> Float {
    guard let alpha else { return pixels[i] }
    let (pixel, band) = (i / 4, i % 4)
    return band == 3 ? alpha[pixel] : pixels[3 * pixel + band]
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

/// Calls `body` with one blob per array; `nil` and empty arrays give empty blobs.
private func withBlobs(_ arrays: [[UInt8]?], _ done: [cv_blob] = [], _ body: ([cv_blob]) -> Void) {
  guard let first = arrays.first else { return body(done) }
  (first ?? []).withUnsafeBytes { bytes in
    let blob = cv_blob(bytes: UnsafeMutableRawPointer(mutating: bytes.baseAddress), length: bytes.count)
    withBlobs(Array(arrays.dropFirst()), done + [blob], body)
  }
}
