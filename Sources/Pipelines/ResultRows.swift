internal import Bundles
internal import Registry
internal import Tensor

/// The plugin's side of a conversion from top to bottom: conditions made from input rows as they are read, and results
/// finished as soon as the network has made the rows that the plugin looks at.
final class ResultRows {
  /// Rows that are finished in one call of the plugin, at least, and so many more as come at a time.
  static let callHeight = 128

  private let plugin: TaskPlugin
  private let (halo, scale): (Int, Int)
  private let input, output: (width: Int, height: Int)
  private let write: ([Float]) throws -> Void
  /// One for each input.
  private var sources: [RowWindow]
  private var result: RowWindow
  /// Rows of the result that are written.
  private var finished = 0

  /// - Parameter write: takes the finished rows in order, `[rows, output width, 3]` in 0…1.
  init(
    _ plugin: TaskPlugin, _ manifest: Manifest, input: (width: Int, height: Int), output: (width: Int, height: Int),
    _ write: @escaping ([Float]) throws -> Void
  ) {
    self.plugin = plugin
    // Where the plugin needs the whole picture, everything is within its reach.
    halo = manifest.isWhole ? max(output.width, output.height) : manifest.geometry?.halo ?? 0
    scale = max(1, manifest.geometry?.scale ?? 1)
    (self.input, self.output, self.write) = (input, output, write)
    sources = (manifest.condition?.inputs ?? []).map { RowWindow(width: input.width, channels: $0.kind.channels) }
    result = RowWindow(width: output.width, channels: 3)
  }

  /// The condition's `rows`, `channels` values a pixel in 0…1; reads what it takes of each input.
  func condition(for rows: Range<Int>, channels: Int, read: (Int) throws -> [[Float]]) throws -> [Float] {
    let region = self.region(rows)
    let needed = inputRows(for: region)
    let held = sources.first?.rows.upperBound ?? 0
    if needed.upperBound > held {
      for (index, rows) in try read(needed.upperBound - held).enumerated() {
        sources[index].append(rows, width: input.width)
      }
    }
    return try plugin.prepare(try inputs(needed), region: region, channels: channels).values
  }

  /// Takes the next rows of the network's picture, `[1, rows, W, 3]` in −1…1 with W at least the output's width.
  func push(_ rows: Tensor) throws {
    let kept = max(0, min(rows.shape[1], output.height - result.rows.upperBound))
    try push(rows.topLeft(width: output.width, height: kept, scale: 0.5, offset: 0.5))
  }

  /// Takes the next rows of the network's picture, `[rows, output width, 3]` in 0…1.
  func push(_ rows: [Float]) throws {
    if !rows.isEmpty { result.append(rows, width: output.width) }
    let isComplete = result.rows.upperBound == output.height
    let end = isComplete ? output.height : result.rows.upperBound - halo
    // The plugin looks at rows above and below, so few calls cost less.
    guard isComplete ? end > finished : end - finished >= Self.callHeight else { return }
    let region = self.region(finished..<end)
    let seen = max(0, finished - halo)..<min(output.height, end + halo)
    try write(
      try plugin.finish(
        try inputs(inputRows(for: region)),
        result: try result.region(seen, fullHeight: output.height), region: region
      ).values)
    finished = end
    result.drop(before: max(0, end - halo))
    for index in sources.indices { sources[index].drop(before: max(0, end - halo) / scale) }
  }

  private func inputs(_ rows: Range<Int>) throws(PluginError) -> [PictureRegion] {
    var regions: [PictureRegion] = []
    for source in sources { regions.append(try source.region(rows, fullHeight: input.height)) }
    return regions
  }

  private func region(_ rows: Range<Int>) -> Region {
    Region(x: 0, y: rows.lowerBound, width: output.width, height: rows.count)
  }

  private func inputRows(for region: Region) -> Range<Int> {
    let needed = region.needed(halo: halo, scale: scale, width: input.width, height: input.height)
    return needed.y..<(needed.y + needed.height)
  }
}

extension Tensor {
  /// `scale · x + offset` of the top-left part of a picture `[1, H, W, C]` of float32, row after row.
  func topLeft(width: Int, height: Int, scale: Float, offset: Float) -> [Float] {
    let (own, count) = (shape[2] * shape[3], width * shape[3])
    return [Float](unsafeUninitializedCapacity: height * count) { to, initialised in
      withBytes { bytes in
        let from = bytes.bindMemory(to: Float.self)
        let to = to
        parallel(height, cost: count) { range in
          for row in range {
            for i in 0..<count { to[row * count + i] = scale * from[row * own + i] + offset }
          }
        }
      }
      initialised = height * count
    }
  }
}
