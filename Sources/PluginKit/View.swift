public import CPluginABI

extension codi_view {
  /// A whole picture in memory of the plugin's own: `[height, width, channels]`, contiguous.
  public init(picture data: UnsafeMutablePointer<Float>, width: Int, height: Int, channels: Int) {
    self.init(
      data: data, row_stride: Int64(width * channels), width: Int32(width), height: Int32(height),
      channels: Int32(channels), x: 0, y: 0, full_width: Int32(width), full_height: Int32(height))
  }

  /// Columns of the whole picture that the region holds.
  public var columns: Range<Int> { Int(x)..<Int(x) + Int(width) }

  /// Rows of the whole picture that the region holds.
  public var rows: Range<Int> { Int(y)..<Int(y) + Int(height) }

  /// Channel 0 of the region's first pixel in row `row` of the whole picture.
  public func start(ofRow row: Int) -> UnsafeMutablePointer<Float> { data + (row - Int(y)) * Int(row_stride) }

  /// Throws `CODI_BAD_REGION` unless the region has `channels`, sits inside its picture and holds what is wanted.
  public func require(
    _ name: StaticString, channels: Int, columns: Range<Int>? = nil, rows: Range<Int>? = nil
  ) throws(PluginError) {
    guard data != nil, self.channels == channels else { throw .region("The \(name) must have \(channels) channels.") }
    guard width > 0, height > 0, x >= 0, y >= 0, self.columns.upperBound <= Int(full_width),
      self.rows.upperBound <= Int(full_height), row_stride >= Int64(width) * Int64(channels)
    else { throw .region("The \(name) is empty or reaches over its picture.") }
    if let columns, columns.lowerBound < Int(x) || columns.upperBound > self.columns.upperBound {
      throw .region("The \(name) lacks columns of the halo: \(columns.lowerBound)..<\(columns.upperBound) are needed.")
    }
    if let rows, rows.lowerBound < Int(y) || rows.upperBound > self.rows.upperBound {
      throw .region("The \(name) lacks rows of the halo: \(rows.lowerBound)..<\(rows.upperBound) are needed.")
    }
  }
}

extension codi_batch {
  /// Floats of one sample.
  public var sampleCount: Int { Int(height) * Int(width) * Int(channels) }

  /// Sample `index` as a whole picture.
  public func sample(_ index: Int) -> codi_view {
    codi_view(picture: data + index * sampleCount, width: Int(width), height: Int(height), channels: Int(channels))
  }
}
