internal import Registry
internal import Tensor

/// Consecutive rows of a picture that is made from top to bottom, `[rows, width, channels]` float32. Rows are appended at
/// the bottom, and dropped at the top when nobody needs them any more.
struct RowWindow {
  let width, channels: Int
  /// Numbers of the rows that are held, in the whole picture.
  private(set) var rows: Range<Int> = 0..<0
  private var values: [Float] = []
  /// Dropped rows at the front of `values` that have not been removed yet.
  private var dropped = 0

  init(width: Int, channels: Int) {
    self.width = width
    self.channels = channels
  }

  private var rowCount: Int { width * channels }

  /// Appends `scale · x + offset` of rows of `rowWidth` pixels; what this window has on the right repeats the last pixel.
  mutating func append(_ new: [Float], width rowWidth: Int, scale: Float = 1, offset: Float = 0) {
    let count = rowWidth * channels
    precondition(rowWidth <= width && new.count % count == 0, "rows of \(rowWidth) pixels")
    let added = new.count / count
    makeRoom(for: added)
    let (start, rowCount) = (values.count, rowCount)
    values.append(contentsOf: repeatElement(0, count: added * rowCount))
    values.withUnsafeMutableBufferPointer { values in
      new.withUnsafeBufferPointer { new in
        let (values, channels) = (values, channels)
        parallel(added, cost: rowCount) { range in
          for row in range {
            let to = UnsafeMutableBufferPointer(
              rebasing: values[(start + row * rowCount)..<(start + (row + 1) * rowCount)])
            let from = UnsafeBufferPointer(rebasing: new[(row * count)..<((row + 1) * count)])
            for i in 0..<count { to[i] = scale * from[i] + offset }
            for i in count..<rowCount { to[i] = to[i - channels] }
          }
        }
      }
    }
    rows = rows.lowerBound..<(rows.upperBound + added)
  }

  /// Appends `[1, rows, width, channels]` float32.
  mutating func append(_ new: Tensor) {
    precondition(new.shape.count == 4 && new.shape[2] == width && new.shape[3] == channels, "\(new.shape)")
    makeRoom(for: new.shape[1])
    new.withBytes { values.append(contentsOf: $0.bindMemory(to: Float.self)) }
    rows = rows.lowerBound..<(rows.upperBound + new.shape[1])
  }

  /// Appends rows of zeros until row `end` is the first one that is not held.
  mutating func appendZeros(upTo end: Int) {
    guard end > rows.upperBound else { return }
    makeRoom(for: end - rows.upperBound)
    values.append(contentsOf: repeatElement(0, count: (end - rows.upperBound) * rowCount))
    rows = rows.lowerBound..<end
  }

  /// Appends the last row again and again, until row `end` is the first one that is not held.
  mutating func repeatLastRow(upTo end: Int) {
    makeRoom(for: max(0, end - rows.upperBound))
    while rows.upperBound < end {
      values.append(contentsOf: values.suffix(rowCount))
      rows = rows.lowerBound..<(rows.upperBound + 1)
    }
  }

  /// Forgets the rows above row `y`.
  mutating func drop(before y: Int) {
    let count = min(y, rows.upperBound) - rows.lowerBound
    guard count > 0 else { return }
    rows = (rows.lowerBound + count)..<rows.upperBound
    dropped += count
    // Moving what is left costs no more than appending it did.
    if dropped >= rows.count {
      values.removeFirst(dropped * rowCount)
      dropped = 0
    }
  }

  /// So much room and no more: an array that grows by itself doubles. Dropped rows go first; moving what is left costs
  /// little beside what made it.
  private mutating func makeRoom(for added: Int) {
    let count = added * rowCount
    guard values.count + count > values.capacity else { return }
    values.removeFirst(dropped * rowCount)
    dropped = 0
    if values.count + count > values.capacity { values.reserveCapacity(values.count + count) }
  }

  /// Where row `y` begins in `values`.
  private func start(of y: Int) -> Int { (y - rows.lowerBound + dropped) * rowCount }

  /// `[1, height, width, channels]` float32 at `(x, y)`.
  func tensor(x: Int = 0, y: Int, width: Int, height: Int) throws(TensorError) -> Tensor {
    try Tensor(piece(x: x, y: y, width: width, height: height), shape: [1, height, width, channels])
  }

  /// `scale · x + offset` of a part, row after row.
  func piece(x: Int = 0, y: Int, width: Int, height: Int, scale: Float = 1, offset: Float = 0) -> [Float] {
    precondition(y >= rows.lowerBound && y + height <= rows.upperBound && x + width <= self.width, "rows \(rows)")
    let count = width * channels
    return [Float](unsafeUninitializedCapacity: height * count) { to, initialised in
      values.withUnsafeBufferPointer { values in
        let to = to
        parallel(height, cost: count) { range in
          for row in range {
            let from = UnsafeBufferPointer(rebasing: values[(start(of: y + row) + x * channels)...].prefix(count))
            for i in 0..<count { to[row * count + i] = scale * from[i] + offset }
          }
        }
      }
      initialised = height * count
    }
  }

  /// Full-width rows as a plugin sees them: part of a picture of this width.
  func region(_ rows: Range<Int>, fullHeight: Int) throws(PluginError) -> PictureRegion {
    try PictureRegion(
      piece(y: rows.lowerBound, width: width, height: rows.count), channels: channels,
      region: Region(x: 0, y: rows.lowerBound, width: width, height: rows.count), fullWidth: width,
      fullHeight: fullHeight)
  }

  /// Adds the region at `(x, y)`, weighed by a number for each of its columns and one for each of its rows.
  mutating func add(_ region: Tensor, x: Int, y: Int, columns: [Float], rows weights: [Float]) {
    precondition(region.shape == [1, weights.count, columns.count, channels], "\(region.shape)")
    precondition(y >= rows.lowerBound && y + weights.count <= rows.upperBound, "rows \(rows)")
    let count = columns.count * channels
    // One weight for each value of a row, so that the loop below has no inner one.
    let across = columns.flatMap { [Float](repeating: $0, count: channels) }
    let (first, rowCount) = (start(of: y) + x * channels, rowCount)
    values.withUnsafeMutableBufferPointer { values in
      across.withUnsafeBufferPointer { across in
        region.withBytes { bytes in
          let floats = bytes.bindMemory(to: Float.self)
          let values = values
          parallel(weights.count, cost: count) { range in
            for row in range {
              let weight = weights[row]
              let to = UnsafeMutableBufferPointer(rebasing: values[(first + row * rowCount)...].prefix(count))
              let from = UnsafeBufferPointer(rebasing: floats[(row * count)..<((row + 1) * count)])
              for i in 0..<count { to[i] += weight * across[i] * from[i] }
            }
          }
        }
      }
    }
  }
}
