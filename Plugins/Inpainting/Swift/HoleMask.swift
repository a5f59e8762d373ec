import CPluginABI
import Glibc
import PluginKit

/// Masks to train on: free-form brush strokes, as one paints over what shall go, or boxes.
struct HoleMask {
  let boxShare: Float

  /// The share of the picture that is marked reaches a number drawn from here, or a little more.
  private static let cover: ClosedRange<Float> = 0.04...0.45
  private static let mostShapes = 8
  private static let corners: ClosedRange<Float> = 2...6
  /// Of the picture's shorter side.
  private static let brush: ClosedRange<Float> = 0.03...0.09
  private static let stride: ClosedRange<Float> = 0.1...0.4
  private static let box: ClosedRange<Float> = 0.12...0.6

  /// Fills `mask`, one channel, with 1 in the holes and 0 elsewhere.
  func draw(into mask: codi_view, _ random: inout Random) {
    let count = Int(mask.width) * Int(mask.height)
    for i in 0..<count { mask.data[i] = 0 }
    let isBoxes = random.uniform() < boxShare
    let wanted = random.uniform(in: Self.cover) * Float(count)
    for _ in 0..<Self.mostShapes {
      if isBoxes { drawBox(mask, &random) } else { drawStroke(mask, &random) }
      var marked: Float = 0
      for i in 0..<count { marked += mask.data[i] }
      if marked >= wanted { break }
    }
  }

  private func drawBox(_ mask: codi_view, _ random: inout Random) {
    let (width, height) = (Int(mask.width), Int(mask.height))
    func span(_ length: Int) -> Range<Int> {
      let size = max(1, Int(random.uniform(in: Self.box) * Float(min(width, height)) + 0.5))
      let first = min(length - 1, Int(random.uniform() * Float(max(1, length - size + 1))))
      return first..<min(length, first + size)
    }
    let columns = span(width)
    for y in span(height) {
      for x in columns { mask.data[y * width + x] = 1 }
    }
  }

  /// A line through some corners, turning a little at each, as wide as a brush with a round end.
  private func drawStroke(_ mask: codi_view, _ random: inout Random) {
    let side = Float(min(mask.width, mask.height))
    let radius = max(0.8, random.uniform(in: Self.brush) * side)
    var x = random.uniform() * Float(mask.width)
    var y = random.uniform() * Float(mask.height)
    var angle = random.uniform() * 2 * Float.pi
    for _ in 0..<Int(random.uniform(in: Self.corners)) {
      angle += random.uniform(in: -1.2...1.2)
      let step = random.uniform(in: Self.stride) * side
      var (nextX, nextY) = (x + step * cosf(angle), y + step * sinf(angle))
      if nextX < 0 || nextY < 0 || nextX > Float(mask.width) || nextY > Float(mask.height) {
        // Back into the picture instead of along its border.
        angle += Float.pi
        (nextX, nextY) = (x + step * cosf(angle), y + step * sinf(angle))
      }
      drawLine(mask, x, y, nextX, nextY, radius)
      (x, y) = (nextX, nextY)
    }
  }

  /// Marks the pixels whose centres are within `radius` of a segment.
  private func drawLine(_ mask: codi_view, _ ax: Float, _ ay: Float, _ bx: Float, _ by: Float, _ radius: Float) {
    let (dx, dy) = (bx - ax, by - ay)
    let square = max(1e-6, dx * dx + dy * dy)
    for row in 0..<Int(mask.height) {
      for column in 0..<Int(mask.width) {
        let (px, py) = (Float(column) + 0.5 - ax, Float(row) + 0.5 - ay)
        let along = min(max((px * dx + py * dy) / square, 0), 1)
        let (ex, ey) = (px - along * dx, py - along * dy)
        if ex * ex + ey * ey <= radius * radius { mask.data[row * Int(mask.width) + column] = 1 }
      }
    }
  }
}
