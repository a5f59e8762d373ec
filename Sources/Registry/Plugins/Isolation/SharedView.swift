internal import CSandbox
internal import Glibc

/// A picture on its way into or out of shared memory.
struct SharedView {
  /// What is laid down of the source, or the region that is written; in the whole picture's coordinates.
  var region: Region
  var channels: Int
  var fullWidth: Int, fullHeight: Int
  /// Pictures of a batch.
  var count = 1
  /// The values; without them the memory is filled with `fill`.
  var source: PictureRegion?
  var fill: Float = 0
  /// Floats between the rows that belong to nobody.
  var padding = 0
  /// What the plugin is told instead of the truth; conformance tests only.
  var lie: (@Sendable (inout ch_view) -> Void)?

  /// A part of `picture`, to be read.
  init(_ picture: PictureRegion, part: Region? = nil) {
    self.init(writing: part ?? picture.region, of: picture)
    source = picture
  }

  /// A region to be written, of a picture as large as `picture`.
  init(writing region: Region, of picture: PictureRegion) {
    self.region = region
    channels = picture.channels
    (fullWidth, fullHeight) = (picture.fullWidth, picture.fullHeight)
  }

  /// A batch of whole pictures.
  init(batch count: Int, width: Int, height: Int, channels: Int) {
    region = Region(x: 0, y: 0, width: width, height: height)
    (self.channels, self.count, fullWidth, fullHeight) = (channels, count, width, height)
  }

  private var row: Int { region.width * channels }
  private var stride: Int { row + padding }
  private var rows: Int { region.height * count }
  var valueCount: Int { row * rows }
  private var bytes: Int { (stride * (rows - 1) + row) * MemoryLayout<Float>.stride }

  func place(in memory: SharedMemory) throws(PluginError) -> ch_view {
    var view = ch_view(
      area: try memory.take(bytes), row_stride: Int64(stride), width: Int32(clamping: region.width),
      height: Int32(clamping: region.height), channels: Int32(clamping: channels), x: Int32(clamping: region.x),
      y: Int32(clamping: region.y), full_width: Int32(clamping: fullWidth), full_height: Int32(clamping: fullHeight),
      count: Int32(clamping: count))
    lie?(&view)
    return view
  }

  /// Lays the values down, with canaries around them.
  func write(_ area: ch_area, in memory: SharedMemory) {
    memory.guardSurroundings(area, bytes: bytes)
    let data = memory.data(area).assumingMemoryBound(to: Float.self)
    for index in 0..<rows {
      let target = data + index * stride
      if let source {
        source.values.withUnsafeBufferPointer { values in
          let from =
            ((region.y + index - source.region.y) * source.region.width + region.x - source.region.x) * channels
          guard let base = values.baseAddress, from >= 0, from + row <= values.count else { return }
          target.update(from: base + from, count: row)
        }
      } else {
        target.update(repeating: fill, count: row)
      }
      if padding > 0, index + 1 < rows { SharedMemory.fillCanary(target + row, padding * MemoryLayout<Float>.stride) }
    }
  }

  /// Lays down what is no picture region: the values of a batch.
  func write(_ values: [Float], _ area: ch_area, in memory: SharedMemory) {
    memory.guardSurroundings(area, bytes: bytes)
    let data = memory.data(area).assumingMemoryBound(to: Float.self)
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { data.update(from: base, count: min(source.count, valueCount)) }
    }
  }

  /// The values that the plugin left; `contract` when it wrote beside them.
  func read(_ area: ch_area, in memory: SharedMemory, at location: String) throws(PluginError) -> [Float] {
    let data = memory.data(area).assumingMemoryBound(to: Float.self)
    let values = [Float](unsafeUninitializedCapacity: valueCount) { buffer, count in
      if let base = buffer.baseAddress {
        for index in 0..<rows { (base + index * row).initialize(from: data + index * stride, count: row) }
      }
      count = valueCount
    }
    let alive = memory.surroundings(area, bytes: bytes)
    var place: String?
    if !alive.before { place = "before the first" }
    if !alive.behind { place = "behind the last" }
    if padding > 0, place == nil {
      for index in 0..<rows - 1
      where !SharedMemory.isCanary(data + index * stride + row, padding * MemoryLayout<Float>.stride) {
        place = "between the rows, not among the"
      }
    }
    guard let place else { return values }
    throw PluginError(
      .contract, at: location, "It wrote \(place) value of its output.", remedy: PluginError.publisher)
  }
}
