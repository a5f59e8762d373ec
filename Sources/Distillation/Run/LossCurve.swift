internal import Foundation

/// A run's losses as a small SVG: every logged value faint, a running median strong, log scale.
enum LossCurve {
  static func svg(_ lines: [MetricsLine], key: String = "loss", title: String) -> String {
    let points = lines.compactMap { line in
      line.values[key].flatMap { $0 > 0 && $0.isFinite ? (Double(line.samples), log10($0)) : nil }
    }
    let (width, height, left, bottom) = (720.0, 360.0, 56.0, 36.0)
    guard let last = points.last, points.count > 1 else {
      return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\"/>\n"
    }
    let low = points.map(\.1).min() ?? 0
    let high = max(points.map(\.1).max() ?? 1, low + 0.1)
    func at(_ p: (Double, Double)) -> String {
      let x = left + (width - left - 12) * p.0 / max(1, last.0)
      let y = 28 + (height - 28 - bottom) * (high - p.1) / (high - low)
      return String(format: "%.1f,%.1f", x, y)
    }
    let window = max(1, points.count / 60)
    let smooth = stride(from: 0, to: points.count, by: max(1, window / 2)).map { i in
      let part = points[max(0, i - window)...min(points.count - 1, i + window)]
      return (points[i].0, part.map(\.1).sorted()[part.count / 2])
    }
    let thin = stride(from: 0, to: points.count, by: max(1, points.count / 1500)).map { points[$0] }
    let ticks = stride(from: (low * 5).rounded(.up) / 5, through: high, by: 0.2).map { tick in
      let y = 28 + (height - 28 - bottom) * (high - tick) / (high - low)
      return """
        <line x1="\(left)" x2="\(width - 12)" y1="\(y)" y2="\(y)" stroke="#ddd"/>\
        <text x="\(left - 6)" y="\(y + 4)" text-anchor="end">\(String(format: "%.3g", pow(10, tick)))</text>
        """
    }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>
      <text x="\(left)" y="18" font-size="14">\(title)</text>
      \(ticks.joined(separator: "\n"))
      <text x="\(width - 12)" y="\(height - 12)" text-anchor="end">\(Int(last.0)) samples</text>
      <polyline fill="none" stroke="#9cc3e6" stroke-width="0.7" points="\(thin.map(at).joined(separator: " "))"/>
      <polyline fill="none" stroke="#1f5f99" stroke-width="2" points="\(smooth.map(at).joined(separator: " "))"/>
      </svg>

      """
  }
}
