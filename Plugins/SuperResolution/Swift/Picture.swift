import CPluginABI
import PluginKit

/// Memory of our own for a region of a three-channel picture, in the shape the host's views have.
final class Picture {
  let view: codi_view

  /// Zeros for a region of the picture that `whole` is a region of.
  init(columns: Range<Int>, rows: Range<Int>, of whole: codi_view) {
    let data = UnsafeMutablePointer<Float>.allocate(capacity: max(1, columns.count * rows.count * 3))
    data.initialize(repeating: 0, count: columns.count * rows.count * 3)
    view = codi_view(
      data: data, row_stride: Int64(columns.count * 3), width: Int32(columns.count), height: Int32(rows.count),
      channels: 3, x: Int32(columns.lowerBound), y: Int32(rows.lowerBound), full_width: whole.full_width,
      full_height: whole.full_height)
  }

  /// Zeros for a whole picture.
  init(width: Int, height: Int) {
    let data = UnsafeMutablePointer<Float>.allocate(capacity: max(1, width * height * 3))
    data.initialize(repeating: 0, count: width * height * 3)
    view = codi_view(picture: data, width: width, height: height, channels: 3)
  }

  deinit { view.data.deallocate() }

  /// All values, row after row.
  var values: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: view.data, count: Int(view.width) * Int(view.height) * 3)
  }

  /// Fills the region from `source`, which holds at least as much, limited to 0...1 (not a number becomes 0).
  func copyClamped(_ source: codi_view) {
    for row in view.rows {
      let from = source.start(ofRow: row) + (Int(view.x) - Int(source.x)) * 3
      let to = view.start(ofRow: row)
      for index in 0..<Int(view.width) * 3 {
        let value = from[index]
        to[index] = value > 0 ? (value < 1 ? value : 1) : 0
      }
    }
  }

  /// `self = source - self` over this region, which `source` holds.
  func subtract(from source: codi_view) {
    for row in view.rows {
      let from = source.start(ofRow: row) + (Int(view.x) - Int(source.x)) * 3
      let to = view.start(ofRow: row)
      for index in 0..<Int(view.width) * 3 { to[index] = from[index] - to[index] }
    }
  }

  /// `self += other` over this region, which `other` holds.
  func add(_ other: Picture) {
    for row in view.rows {
      let from = other.view.start(ofRow: row) + (Int(view.x) - Int(other.view.x)) * 3
      let to = view.start(ofRow: row)
      for index in 0..<Int(view.width) * 3 { to[index] += from[index] }
    }
  }
}

/// Fills `target` from `source` (both three-channel) by `columns` along x and `rows` along y.
///
/// `target` is the bands' outputs; `source` holds at least their inputs.
func resample(_ source: codi_view, columns: Band, rows: Band, into target: codi_view) {
  let width = columns.inputs.count * 3
  let offset = (columns.inputs.lowerBound - Int(source.x)) * 3
  let line = UnsafeMutablePointer<Float>.allocate(capacity: width)
  defer { line.deallocate() }
  for (index, row) in target.rows.enumerated() {
    for tap in 0..<rows.counts[index] {
      let from = source.start(ofRow: rows.firsts[index] + tap) + offset
      let weight = rows.weights[index * rows.stride + tap]
      if tap == 0 {
        for i in 0..<width { line[i] = weight * from[i] }
      } else {
        for i in 0..<width { line[i] += weight * from[i] }
      }
    }
    let to = target.start(ofRow: row)
    columns.weights.withUnsafeBufferPointer { weights in
      for column in 0..<columns.outputs.count {
        let from = line + (columns.firsts[column] - columns.inputs.lowerBound) * 3
        let start = column * columns.stride
        var red: Float = 0
        var green: Float = 0
        var blue: Float = 0
        for tap in 0..<columns.counts[column] {
          let weight = weights[start + tap]
          red += weight * from[3 * tap]
          green += weight * from[3 * tap + 1]
          blue += weight * from[3 * tap + 2]
        }
        to[3 * column] = red
        to[3 * column + 1] = green
        to[3 * column + 2] = blue
      }
    }
  }
}
