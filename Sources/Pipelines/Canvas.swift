internal import Tensor

/// A whole picture's values that are filled piece by piece: `[height, width, channels]`.
struct Canvas {
  private(set) var values: [Float]
  let width, height, channels: Int

  /// Zeros.
  init(width: Int, height: Int, channels: Int) {
    values = [Float](repeating: 0, count: width * height * channels)
    self.width = width
    self.height = height
    self.channels = channels
  }

  /// Writes `scale · x + offset` of full-width rows from row `y` on; what the canvas has on the right repeats the last
  /// column.
  mutating func set(_ rows: [Float], width rowWidth: Int, y: Int, scale: Float = 1, offset: Float = 0) {
    precondition(rowWidth <= width && rows.count % (rowWidth * channels) == 0, "rows of \(rowWidth) pixels")
    let (count, own) = (rowWidth * channels, width * channels)
    values.withUnsafeMutableBufferPointer { values in
      rows.withUnsafeBufferPointer { rows in
        for row in 0..<(rows.count / count) {
          let to = UnsafeMutableBufferPointer(rebasing: values[((y + row) * own)..<((y + row + 1) * own)])
          let from = UnsafeBufferPointer(rebasing: rows[(row * count)..<((row + 1) * count)])
          for i in 0..<count { to[i] = scale * from[i] + offset }
          for i in count..<own { to[i] = to[i - channels] }
        }
      }
    }
  }

  /// Repeats row `y` in every row below.
  mutating func repeatRow(_ y: Int) {
    let count = width * channels
    values.withUnsafeMutableBufferPointer { values in
      for row in (y + 1)..<max(y + 1, height) {
        for i in 0..<count { values[row * count + i] = values[y * count + i] }
      }
    }
  }

  /// Adds the region at `(x, y)`, weighed by a number for each of its columns and one for each of its rows.
  mutating func add(_ region: Tensor, x: Int, y: Int, columns: [Float], rows: [Float]) {
    precondition(region.shape == [1, rows.count, columns.count, channels], "\(region.shape)")
    let count = columns.count * channels
    // One weight for each value of a row, so that the loop below has no inner one.
    let across = columns.flatMap { [Float](repeating: $0, count: channels) }
    values.withUnsafeMutableBufferPointer { values in
      across.withUnsafeBufferPointer { across in
        region.withBytes { bytes in
          let floats = bytes.bindMemory(to: Float.self)
          for (row, weight) in rows.enumerated() {
            let start = ((y + row) * width + x) * channels
            let to = UnsafeMutableBufferPointer(rebasing: values[start..<(start + count)])
            let from = UnsafeBufferPointer(rebasing: floats[(row * count)..<((row + 1) * count)])
            for i in 0..<count { to[i] += weight * across[i] * from[i] }
          }
        }
      }
    }
  }

  /// The whole canvas as `[1, H, W, C]` float32.
  consuming func tensor() throws(TensorError) -> Tensor { try Tensor(values, shape: [1, height, width, channels]) }
}

extension Tensor {
  /// `scale · x + offset` of the top-left part of a picture `[1, H, W, C]` of float32, row after row.
  func topLeft(width: Int, height: Int, scale: Float, offset: Float) -> [Float] {
    let (own, count) = (shape[2] * shape[3], width * shape[3])
    return [Float](unsafeUninitializedCapacity: height * count) { to, initialised in
      withBytes { bytes in
        let from = bytes.bindMemory(to: Float.self)
        for row in 0..<height {
          for i in 0..<count { to[row * count + i] = scale * from[row * own + i] + offset }
        }
      }
      initialised = height * count
    }
  }
}
