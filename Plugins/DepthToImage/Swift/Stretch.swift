import CPluginABI
import PluginKit

/// The line through a depth's extremes that brings them to 0 and 1: depths have no unit, whoever made them.
struct Stretch {
  private let offset, factor: Float

  /// - Parameter input: one channel; what is not a number is left out.
  init(of input: codi_view, isInverted: Bool) {
    var (low, high) = (Float.infinity, -Float.infinity)
    for row in input.rows {
      let line = input.start(ofRow: row)
      for column in 0..<Int(input.width) {
        if line[column] < low { low = line[column] }
        if line[column] > high { high = line[column] }
      }
    }
    let range = high - low
    if !(range > 1e-4 && range < .infinity) {
      // All of it is as near: nothing to stretch.
      (offset, factor) = (1, 0)
    } else {
      (offset, factor) = isInverted ? (high / range, -1 / range) : (-low / range, 1 / range)
    }
  }

  func apply(_ input: codi_view, into output: codi_view) {
    for row in input.rows {
      let (from, to) = (input.start(ofRow: row), output.start(ofRow: row))
      for column in 0..<Int(input.width) {
        let value = factor == 0 ? offset : from[column] * factor + offset
        to[column] = value > 0 ? (value < 1 ? value : 1) : 0
      }
    }
  }
}
