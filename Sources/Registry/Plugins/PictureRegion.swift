/// A rectangle of pixels in a picture.
public struct Region: Sendable, Hashable {
  public var x: Int, y: Int, width: Int, height: Int

  public init(x: Int, y: Int, width: Int, height: Int) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }

  /// This region of an output picture widened by `halo` output pixels, divided by `scale` outwards, and clamped to a
  /// picture of `width` × `height`: what `prepare` and `finish` need of an input; of the result with scale 1.
  public func needed(halo: Int, scale: Int, width: Int, height: Int) -> Region {
    func range(_ start: Int, _ count: Int, _ size: Int) -> Range<Int> {
      let low = min(size, max(0, start - halo) / scale)
      return low..<max(low, min(size, (start + count + halo + scale - 1) / scale))
    }
    let columns = range(x, self.width, width)
    let rows = range(y, self.height, height)
    return Region(x: columns.lowerBound, y: rows.lowerBound, width: columns.count, height: rows.count)
  }
}

/// Values of a region of one picture: `[height, width, channels]`, contiguous, sRGB-coded 0...1.
public struct PictureRegion: Sendable, Hashable {
  public var values: [Float]
  public let channels: Int
  /// The region's place in the whole picture.
  public let region: Region
  /// The whole picture's size.
  public let fullWidth: Int, fullHeight: Int

  /// - Throws: `region` when the region is empty, leaves its picture, or does not fit the number of values.
  public init(
    _ values: [Float], channels: Int, region: Region, fullWidth: Int, fullHeight: Int
  ) throws(PluginError) {
    let limit = 1 << 30
    guard region.width > 0, region.height > 0, region.x >= 0, region.y >= 0, channels > 0, channels <= 1024,
      (1...limit).contains(fullWidth), (1...limit).contains(fullHeight), region.x <= fullWidth - region.width,
      region.y <= fullHeight - region.height, region.width * channels <= limit,
      values.count == region.width * channels * region.height
    else {
      throw PluginError(
        .region, at: "picture region",
        "\(region.width) x \(region.height) x \(channels) at (\(region.x), \(region.y)) of "
          + "\(fullWidth) x \(fullHeight) does not fit \(values.count) values.",
        remedy: "Give a region inside its picture and as many values as it has.")
    }
    self.values = values
    self.channels = channels
    self.region = region
    self.fullWidth = fullWidth
    self.fullHeight = fullHeight
  }

  /// A whole picture.
  public init(_ values: [Float], width: Int, height: Int, channels: Int = 3) throws(PluginError) {
    try self.init(
      values, channels: channels, region: Region(x: 0, y: 0, width: width, height: height), fullWidth: width,
      fullHeight: height)
  }

  /// The part of this region that `part` names, in the whole picture's coordinates.
  public func cropped(to part: Region) throws(PluginError) -> PictureRegion {
    guard part.x >= region.x, part.y >= region.y, part.width > 0, part.height > 0,
      part.x + part.width <= region.x + region.width, part.y + part.height <= region.y + region.height
    else {
      throw PluginError(
        .region, at: "picture region", "\(part) is not inside \(region).", remedy: "Crop inside what is there.")
    }
    var cropped: [Float] = []
    cropped.reserveCapacity(part.width * part.height * channels)
    for row in part.y..<part.y + part.height {
      let start = ((row - region.y) * region.width + part.x - region.x) * channels
      cropped += values[start..<start + part.width * channels]
    }
    return try PictureRegion(
      cropped, channels: channels, region: part, fullWidth: fullWidth, fullHeight: fullHeight)
  }
}
