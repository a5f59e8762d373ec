/// Decodes a picture as `readPicture(_:maximumPixels:)` does, and gives up when it is told to: asked every few million
/// pixels, save for what is decoded as a whole (`PictureReader`).
/// - Returns: nil when it gave up.
public func readPicture(
  _ path: String, maximumPixels: Int = 500_000_000, shouldStop: () -> Bool
) throws(ImagingError) -> Picture? {
  let reader = try PictureReader(path, maximumPixels: maximumPixels)
  var pixels: [Float] = []
  var alpha: [Float]? = reader.hasAlpha ? [] : nil
  pixels.reserveCapacity(reader.width * reader.height * 3)
  alpha?.reserveCapacity(reader.width * reader.height)
  let band = max(1, (1 << 21) / max(1, reader.width))
  for start in stride(from: 0, to: reader.height, by: band) {
    if shouldStop() { return nil }
    let rows = try reader.read(min(band, reader.height - start))
    pixels += rows.pixels
    if let more = rows.alpha { alpha?.append(contentsOf: more) }
  }
  return Picture(
    width: reader.width, height: reader.height, pixels: pixels, alpha: alpha, bitDepth: reader.bitDepth,
    iccProfile: reader.iccProfile, metadata: reader.metadata)
}
