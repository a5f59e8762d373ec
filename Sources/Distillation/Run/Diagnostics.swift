internal import Foundation

/// What is watched while an adapter is trained, and from where on it is named: a recipe's `diagnostics:` section.
public struct DiagnosticsOptions: Codable, Hashable, Sendable {
  /// Samples between measurements; 0 for none.
  public var every = 25_000
  /// Conditions that are sampled, and seeds for each.
  public var conditions = 4
  public var seeds = 4
  /// Collapse, below: the spread of samples over seeds, `√2 · σ`, over their distance from the truth. It is 1 for samples of
  /// the true distribution, whose two draws are as far apart as a draw and the truth.
  public var leastDiversity = 0.05
  /// Over-saturation, above: the spread of a channel's values over that of the truth.
  public var mostContrast = 1.3
  /// Over-saturation, above: the share of values outside −1…1, beyond the truth's.
  public var mostClipped = 0.05
  /// A lost run, above: `d_x` over that of the core alone.
  public var mostGuidance = 1.1
  /// A slow run, above, after the share of the samples below: the same ratio.
  public var slowGuidance = 0.99
  public var slowAfter = 0.3
  /// An unstable run, above: the spread of the logged losses since the last measurement over their mean.
  public var mostVariation = 1.0
  /// An unstable run, above: the largest gradient norm since the last measurement over the middle one.
  public var mostGradient = 30.0
  /// An unstable run, above: the distance of the weights from their running average over their length.
  public var mostDrift = 0.3
  /// An unstable run, above: the largest mean |μ|.
  public var mostBlend = 0.9

  public init() {}

  /// What is wrong, in a sentence.
  var problem: String? {
    if every < 0 { return "every must not be negative, found \(every)" }
    if !(1...64).contains(conditions) || !(2...64).contains(seeds) {
      return "conditions must be from 1 to 64 and seeds from 2 to 64, found \(conditions) and \(seeds)"
    }
    let limits = [
      leastDiversity, mostContrast, mostClipped, mostGuidance, slowGuidance, slowAfter, mostVariation, mostGradient,
      mostDrift, mostBlend,
    ]
    if !limits.allSatisfy({ $0 >= 0 && $0.isFinite }) { return "limits must be numbers that are not negative" }
    return nil
  }

  /// What the losses and gradients since the last measurement say.
  func ofLosses(_ lines: some Sequence<MetricsLine>) -> [String: Double] {
    var values: [String: Double] = [:]
    let losses = lines.compactMap { $0.values["loss"] }
    if losses.count > 2 {
      let mean = losses.reduce(0, +) / Double(losses.count)
      let variance = losses.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(losses.count - 1)
      values["loss-variation"] = mean > 0 ? variance.squareRoot() / mean : 0
    }
    let norms = lines.compactMap { $0.values["gradient-norm"] }.sorted()
    if norms.count > 2, let largest = norms.last {
      values["gradient-peak"] = largest / max(norms[norms.count / 2], 1e-30)
    }
    return values
  }

  /// What is to be said of a measurement.
  /// - Parameter share: of the samples that are done.
  func findings(_ values: [String: Double], share: Double) -> [Finding] {
    var found: [Finding] = []
    func check(_ trouble: Finding.Trouble, _ key: String, below low: Double? = nil, above high: Double? = nil) {
      guard let value = values[key] else { return }
      if let low, value < low { found.append(Finding(trouble, key, value, low, isBelow: true)) }
      if let high, !(value <= high) { found.append(Finding(trouble, key, value, high, isBelow: false)) }
    }
    check(.collapse, "diversity", below: leastDiversity)
    check(.oversaturation, "contrast", above: mostContrast)
    check(.oversaturation, "clipped", above: mostClipped)
    check(.lost, "guidance-ratio", above: mostGuidance)
    if share >= slowAfter, values["guidance-ratio"].map({ $0 <= mostGuidance }) == true {
      check(.slow, "guidance-ratio", above: slowGuidance)
    }
    check(.unstable, "loss-variation", above: mostVariation)
    check(.unstable, "gradient-peak", above: mostGradient)
    check(.unstable, "drift", above: mostDrift)
    check(.unstable, "mu-largest", above: mostBlend)
    return found
  }

  /// The measurements that are drawn, each with the limit that it may not cross.
  var plotted: [(key: String, limit: Double)] {
    [
      ("guidance-ratio", mostGuidance), ("diversity", leastDiversity), ("contrast", mostContrast),
      ("clipped", mostClipped), ("loss-variation", mostVariation), ("gradient-peak", mostGradient),
      ("drift", mostDrift), ("mu-largest", mostBlend),
    ]
  }
}

/// A trouble that a run is in.
public struct Finding: Sendable, Hashable, CustomStringConvertible {
  public enum Trouble: String, Sendable, CaseIterable {
    /// All seeds make the same picture.
    case collapse
    case oversaturation = "over-saturation"
    /// Worse than the core alone: the network slides towards agreeing with itself and nothing else.
    case lost = "being lost"
    case slow = "slow convergence"
    case unstable = "unstable convergence"
  }
  public let trouble: Trouble
  /// What was measured, and the limit that it crossed.
  public let measurement: String
  public let value, limit: Double
  private let isBelow: Bool

  init(_ trouble: Trouble, _ measurement: String, _ value: Double, _ limit: Double, isBelow: Bool) {
    (self.trouble, self.measurement, self.value, self.limit, self.isBelow) = (
      trouble, measurement, value, limit, isBelow
    )
  }

  public var description: String {
    String(format: "%@: %@ is %.3g, %@ %.3g", trouble.rawValue, measurement, value, isBelow ? "below" : "above", limit)
  }
}

/// The measurements of a run over its samples, one small curve each, with its limit.
enum DiagnosticsPlot {
  static func svg(_ lines: [MetricsLine], _ options: DiagnosticsOptions, title: String) -> String {
    let (width, height, columns) = (300.0, 150.0, 2)
    let panels = options.plotted.enumerated().map { place, panel -> String in
      let points = lines.compactMap { line in
        line.values[panel.key].flatMap { $0.isFinite ? (Double(line.samples), $0) : nil }
      }
      let right = max(1, points.last?.0 ?? 1)
      let top = max(panel.limit, points.map(\.1).max() ?? 0) * 1.1
      func y(_ value: Double) -> Double { 24 + (height - 44) * (1 - value / max(top, 1e-30)) }
      let line = points.map { String(format: "%.1f,%.1f", 44 + (width - 56) * $0.0 / right, y($0.1)) }
      return """
        <g transform="translate(\(Double(place % columns) * width) \(24 + Double(place / columns) * height))">
        <text x="44" y="16">\(panel.key)\(points.last.map { String(format: ", now %.3g", $0.1) } ?? ", not measured")</text>
        <line x1="44" x2="\(width - 12)" y1="\(y(0))" y2="\(y(0))" stroke="#999"/>
        <line x1="44" x2="\(width - 12)" y1="\(y(panel.limit))" y2="\(y(panel.limit))" stroke="#c33" stroke-dasharray="4 3"/>
        <text x="40" y="\(y(panel.limit) + 4)" text-anchor="end" fill="#c33">\(String(format: "%.3g", panel.limit))</text>
        <polyline fill="none" stroke="#1f5f99" stroke-width="1.5" points="\(line.joined(separator: " "))"/>
        </g>
        """
    }
    let rows = (panels.count + columns - 1) / columns
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(Double(columns) * width)" height="\(24 + Double(rows) * height)" \
      font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>
      <text x="44" y="18" font-size="14">\(title)</text>
      \(panels.joined(separator: "\n"))
      </svg>

      """
  }
}
