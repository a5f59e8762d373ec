import CPluginABI
import PluginKit

/// Where a drawing has ink, 0...1, whatever it was drawn with.
struct Ink {
  /// Lines are darker than the ground, or lighter.
  enum Lines { case automatic, dark, light }

  private let ground, factor: Float

  /// - Parameter input: one channel; what is not a number is left out.
  init(of input: codi_view, _ lines: Lines) {
    var (low, high, sum, count) = (Float.infinity, -Float.infinity, Float(0), Float(0))
    for row in input.rows {
      let line = input.start(ofRow: row)
      for column in 0..<Int(input.width) where line[column] > -1e6 && line[column] < 1e6 {
        (low, high) = (min(low, line[column]), max(high, line[column]))
        sum += line[column]
        count += 1
      }
    }
    let isDark: Bool
    switch lines {
    case .dark: isDark = true
    case .light: isDark = false
    // There is more ground than line.
    case .automatic: isDark = sum >= count * (low + high) / 2
    }
    // The strongest line is full ink; lines thinned by making a large drawing small count as much as thick ones. An empty
    // sheet has none.
    let range = high - low
    let scale = range > 0.05 ? 1 / range : 0
    (ground, factor) = isDark ? (high, -scale) : (low, scale)
  }

  func apply(_ input: codi_view, into output: codi_view) {
    for row in input.rows {
      let (from, to) = (input.start(ofRow: row), output.start(ofRow: row))
      for column in 0..<Int(input.width) {
        let value = (from[column] - ground) * factor
        to[column] = value > 0 ? (value < 1 ? value : 1) : 0
      }
    }
  }
}
