internal import CVips

/// A picture that is decoded from top to bottom, as a conversion sees it: upright, sRGB, 8 or 16 bits, alpha apart.
///
/// What is held depends on the picture's width; a picture that must be turned (EXIF orientation), and formats that have no
/// rows (WebP, HEIF, AVIF, progressive JPEG, interlaced PNG), are decoded as a whole.
public final class PictureReader {
  public let path: String
  public let width, height: Int
  public let hasAlpha: Bool
  public let bitDepth: Picture.BitDepth
  /// The source's ICC profile; `nil`: untagged.
  public let iccProfile: [UInt8]?
  public let metadata: Picture.Metadata
  private let reader: OpaquePointer
  private var next = 0

  /// Reads the header.
  /// - Parameter maximumPixels: checked against the header before anything is decoded; a quarter of it where the picture
  ///   must be decoded as a whole.
  /// - Throws: `ImagingError` for what is no picture, or none that can be read.
  public init(_ path: String, maximumPixels: Int = 500_000_000) throws(ImagingError) {
    try checkRegularFile(path)
    var raw = cv_picture()
    defer { cv_picture_free(&raw) }
    var opened: OpaquePointer?
    var status = cv_status.failed
    let reason = withErrorText { text in
      path.withCString { cPath in
        var input = cv_input(path: cPath, bytes: nil, length: 0, maximum_pixels: Int64(maximumPixels))
        status = cv_reader_open(&input, &opened, &raw, text, errorSize)
      }
    }
    guard status == .ok, let opened else {
      throw ImagingError(status, at: path, reason, maximumPixels: maximumPixels)
    }
    reader = opened
    self.path = path
    (width, height) = (Int(raw.width), Int(raw.height))
    hasAlpha = raw.bands == 4
    bitDepth = raw.bits == 16 ? .sixteen : .eight
    iccProfile = [UInt8](raw.profile)
    metadata = Picture.Metadata(raw)
  }

  deinit { cv_reader_close(reader) }

  /// The next rows: `[count, width, 3]` in 0…1, and `[count, width]` of alpha where the picture has it.
  /// - Throws: `ImagingError` when the file is truncated or damaged.
  public func read(_ count: Int) throws(ImagingError) -> (pixels: [Float], alpha: [Float]?) {
    precondition(count >= 0 && next + count <= height, "rows \(next)…\(next + count) of \(height)")
    let bands = hasAlpha ? 4 : 3
    let size = count * width * bands * (bitDepth.rawValue / 8)
    var answer: (status: cv_status, pixels: [Float], alpha: [Float]?) = (.failed, [], nil)
    let reason = withErrorText { text in
      withUnsafeTemporaryAllocation(byteCount: max(1, size), alignment: 16) { bytes in
        answer.status = cv_reader_rows(reader, Int32(count), bytes.baseAddress, text, errorSize)
        guard answer.status == .ok else { return }
        switch bitDepth {
        case .eight: (answer.pixels, answer.alpha) = Self.split(bytes.bindMemory(to: UInt8.self), count * width, bands)
        case .sixteen:
          (answer.pixels, answer.alpha) = Self.split(bytes.bindMemory(to: UInt16.self), count * width, bands)
        }
      }
    }
    guard answer.status == .ok else { throw ImagingError(answer.status, at: path, reason, maximumPixels: 0) }
    next += count
    return (answer.pixels, answer.alpha)
  }

  private static func split<Value: FixedWidthInteger & UnsignedInteger>(
    _ values: UnsafeMutableBufferPointer<Value>, _ count: Int, _ bands: Int
  ) -> ([Float], [Float]?) {
    let maximum = Float(Value.max)
    let pixels = [Float](unsafeUninitializedCapacity: count * 3) { to, initialised in
      for i in 0..<count {
        for c in 0..<3 { to[3 * i + c] = Float(values[bands * i + c]) / maximum }
      }
      initialised = count * 3
    }
    return (pixels, bands == 4 ? (0..<count).map { Float(values[4 * $0 + 3]) / maximum } : nil)
  }
}

/// Decodes a picture for conversion: upright, sRGB, alpha apart, 16 bits kept, with its profile and metadata.
/// - Parameter maximumPixels: checked against the header before anything is decoded.
public func readPicture(_ path: String, maximumPixels: Int = 500_000_000) throws(ImagingError) -> Picture {
  let reader = try PictureReader(path, maximumPixels: maximumPixels)
  let (pixels, alpha) = try reader.read(reader.height)
  return Picture(
    width: reader.width, height: reader.height, pixels: pixels, alpha: alpha, bitDepth: reader.bitDepth,
    iccProfile: reader.iccProfile, metadata: reader.metadata)
}

extension Picture.Metadata {
  fileprivate init(_ raw: borrowing cv_picture) {
    self.init(exif: [UInt8](raw.exif), xmp: [UInt8](raw.xmp))
    exifFields = [UInt8](raw.fields)
    resolution = [raw.x_per_mm, raw.y_per_mm]
  }
}

extension [UInt8] {
  fileprivate init?(_ blob: cv_blob) {
    guard let bytes = blob.bytes, blob.length > 0 else { return nil }
    self.init(UnsafeRawBufferPointer(start: bytes, count: blob.length))
  }
}
