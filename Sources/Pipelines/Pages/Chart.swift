internal import Foundation

/// A line chart as SVG.
struct Chart {
  struct Point {
    let x: Double, y: Double
    var low: Double?, high: Double?
  }
  struct Line {
    let name: String
    let points: [Point]
    /// Every point faint, with a running median strong, for values that scatter.
    var isNoisy = false
  }

  let title: String
  let lines: [Line]
  /// What the x axis counts.
  let x: String
  var isLogX = false
  var isLogY = false
  /// Horizontal lines with a name, such as a baseline's figure.
  var levels: [(name: String, y: Double)] = []

  private static let colours = ["#1f5f99", "#b5562b", "#4c7a34", "#7a4b94", "#8a7a2e", "#3f8a8a", "#a03a5a"]
  private static let size = (width: 340.0, height: 210.0, left: 44.0, right: 8.0, top: 28.0, bottom: 36.0)

  /// Empty where there is nothing to draw.
  var svg: String {
    let all = lines.flatMap(\.points).filter { $0.x.isFinite && $0.y.isFinite && (!isLogY || $0.y > 0) }
    guard !all.isEmpty else { return "" }
    let xs = Axis(all.map(\.x), isLog: isLogX, isExact: true)
    let ys = Axis(all.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] } + levels.map(\.y), isLog: isLogY)
    let s = Self.size
    func px(_ x: Double) -> Double { s.left + (s.width - s.left - s.right) * xs.place(x) }
    func py(_ y: Double) -> Double { s.top + (s.height - s.top - s.bottom) * (1 - ys.place(y)) }
    func number(_ value: Double) -> String { String(format: "%.1f", value) }
    var parts = ["<text class=\"title\" x=\"0\" y=\"14\">\(Page.escaped(title))</text>"]
    for tick in ys.ticks {
      parts.append(
        "<line x1=\"\(s.left)\" x2=\"\(s.width - s.right)\" y1=\"\(number(py(tick)))\" y2=\"\(number(py(tick)))\" stroke=\"#ded9d0\"/>"
          + "<text x=\"\(s.left - 6)\" y=\"\(number(py(tick) + 4))\" text-anchor=\"end\">\(Self.label(tick))</text>")
    }
    let marks = isLogX ? Array(Set(all.map(\.x))).sorted() : xs.ticks
    for mark in marks.count <= 8 ? marks : [marks[0], marks[marks.count - 1]] {
      parts.append(
        "<text x=\"\(number(px(mark)))\" y=\"\(s.height - s.bottom + 15)\" text-anchor=\"middle\">\(Self.label(mark))</text>"
      )
    }
    parts.append("<text x=\"\(s.width - s.right)\" y=\"\(s.height - 2)\" text-anchor=\"end\">\(Page.escaped(x))</text>")
    for level in levels {
      parts.append(
        "<line x1=\"\(s.left)\" x2=\"\(s.width - s.right)\" y1=\"\(number(py(level.y)))\" y2=\"\(number(py(level.y)))\" "
          + "stroke=\"#6f6a62\" stroke-dasharray=\"4 3\"/><text x=\"\(s.width - s.right)\" y=\"\(number(py(level.y) - 4))\" "
          + "text-anchor=\"end\">\(Page.escaped(level.name))</text>")
    }
    for (index, line) in lines.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let points = line.points.filter { $0.x.isFinite && $0.y.isFinite && (!isLogY || $0.y > 0) }
      func path(_ points: [Point]) -> String {
        points.map { "\(number(px($0.x))),\(number(py($0.y)))" }.joined(separator: " ")
      }
      if line.isNoisy {
        let thin = stride(from: 0, to: points.count, by: max(1, points.count / 600)).map { points[$0] }
        parts.append(
          "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-opacity=\".3\" stroke-width=\".7\" points=\"\(path(thin))\"/>"
        )
      }
      let drawn = line.isNoisy ? Self.medians(points) : points
      parts.append(
        "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.8\" stroke-linejoin=\"round\" points=\"\(path(drawn))\"/>"
      )
      for point in points where !line.isNoisy && points.count <= 20 {
        if let low = point.low, let high = point.high {
          let x = number(px(point.x))
          parts.append(
            "<line x1=\"\(x)\" x2=\"\(x)\" y1=\"\(number(py(low)))\" y2=\"\(number(py(high)))\" stroke=\"\(colour)\" stroke-opacity=\".5\"/>"
          )
        }
        parts.append(
          "<circle cx=\"\(number(px(point.x)))\" cy=\"\(number(py(point.y)))\" r=\"3\" fill=\"\(colour)\"/>")
      }
    }
    if lines.count > 1 {
      var at = s.width - s.right
      for (index, line) in lines.enumerated().reversed() {
        parts.append(
          "<text x=\"\(number(at))\" y=\"14\" text-anchor=\"end\" style=\"fill: \(Self.colours[index % Self.colours.count])\">"
            + "\(Page.escaped(line.name))</text>")
        at -= 10 + 6.4 * Double(line.name.count)
      }
    }
    return "<svg viewBox=\"0 0 \(Int(s.width)) \(Int(s.height))\" role=\"img\" aria-label=\"\(Page.escaped(title))\">\n"
      + parts.joined(separator: "\n") + "\n</svg>"
  }

  private static func medians(_ points: [Point]) -> [Point] {
    let window = max(1, points.count / 60)
    return stride(from: 0, to: points.count, by: max(1, window / 2)).map { i in
      let part = points[max(0, i - window)...min(points.count - 1, i + window)].map(\.y).sorted()
      return Point(x: points[i].x, y: part[part.count / 2])
    }
  }

  /// Short: `1.5M`, `200k`, `0.05`.
  private static func label(_ value: Double) -> String {
    switch abs(value) {
    case 1_000_000...: String(format: "%.3gM", value / 1_000_000)
    case 10_000...: String(format: "%.3gk", value / 1000)
    default: String(format: "%.4g", value)
    }
  }
}

/// From values to 0…1, with ticks at round numbers.
private struct Axis {
  private let low: Double, high: Double
  private let isLog: Bool
  let ticks: [Double]

  /// - Parameter isExact: no room at the ends.
  init(_ values: [Double], isLog: Bool, isExact: Bool = false) {
    let scaled = isLog ? values.map { log10($0) } : values
    let (least, most) = (scaled.min() ?? 0, scaled.max() ?? 1)
    let range = most > least ? most - least : max(abs(most) * 0.1, 1e-6)
    let room = isExact ? 0 : 0.08 * range
    (low, high, self.isLog) = (least - room, least + range + room, isLog)
    let rough = (high - low) / 4
    let power = pow(10, floor(log10(rough)))
    let step = ([1, 2, 2.5, 5, 10].first { $0 * power >= rough } ?? 10) * power
    let rounded = stride(from: (low / step).rounded(.up) * step, through: high, by: step).map {
      abs($0) < step / 1e6 ? 0 : $0
    }
    ticks = isLog ? rounded.map { pow(10, $0) } : rounded
  }

  func place(_ value: Double) -> Double { ((isLog ? log10(value) : value) - low) / (high - low) }
}
