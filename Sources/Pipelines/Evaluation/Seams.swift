internal import Adapters
public import Imaging
internal import Networks
internal import Tensor

/// How far the borders of regions show in a result: mean steps between neighbouring pixels there, over those nearby.
public struct Seams: Sendable, Hashable {
  /// Against the steps one pixel inside.
  public let onePixelInside: Double
  /// Against the steps one cell of the network's grid inside: folding and upsampling leave steps of their own at multiples
  /// of it, which would hide or feign a border.
  public let oneCellInside: Double
  /// Borders that were looked at, and the mean step there.
  public let borders: Int
  public let step: Double

  /// - Parameters:
  ///   - pixels: `[height, width, 3]` of a result, or of its difference from another one.
  ///   - plan: how the result was cut.
  ///   - granularity: side of a cell of the network's grid.
  public init(_ pixels: [Float], width: Int, plan: RegionPlan, granularity: Int) {
    let height = pixels.count / width / 3
    func step(_ line: Int, _ isColumn: Bool) -> Double {
      let count = isColumn ? height : width
      var sum = 0.0
      for i in 0..<count {
        let a = isColumn ? i * width + line : line * width + i
        let b = isColumn ? a - 1 : a - width
        for c in 0..<3 { sum += Double(abs(pixels[3 * a + c] - pixels[3 * b + c])) }
      }
      return sum / Double(3 * count)
    }
    var (at, pixel, cell): ([Double], [Double], [Double]) = ([], [], [])
    for (starts, side, length, isColumn) in [
      (plan.columns, plan.regionWidth, width, true), (plan.rows, plan.regionHeight, height, false),
    ] {
      let lines = Set(starts + starts.map { $0 + side }).filter { $0 > 0 && $0 < length }
      func near(_ line: Int, _ distance: Int) -> [Double] {
        [line - distance, line + distance].filter { $0 > 0 && $0 < length && !lines.contains($0) }
          .map { step($0, isColumn) }
      }
      for line in lines.sorted() {
        at.append(step(line, isColumn))
        pixel += near(line, 1)
        cell += near(line, granularity)
      }
    }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
    // Differences far below a level of 16 bits are none.
    func ratio(_ near: [Double]) -> Double { (mean(at) + 1e-7) / (mean(near) + 1e-7) }
    (onePixelInside, oneCellInside, borders) = (ratio(pixel), ratio(cell), at.count)
    self.step = mean(at) + 1e-7
  }
}

/// What regions do to a result.
public struct SeamComparison: Sendable, Hashable {
  public let regions: Int
  /// In the result made of regions.
  public let cut: Seams
  /// At the same lines of the result made in one piece: what is no border, but the network's grid and the picture.
  public let uncut: Seams
  /// In the difference between the two, where neither hides a border.
  public let difference: Seams
  /// The steps at borders over those at the same lines without borders.
  public var overUncut: Double { cut.step / uncut.step }
}

extension Chain {
  /// How far regions show in what the first adapter makes of a picture.
  @Compute public func seams(of picture: Picture) throws -> SeamComparison {
    guard let converter = try converters(try settings(ItemChoices())).first else {
      throw ConversionError(.options, at: "chain", "It has no adapter.", remedy: "Name one with --adapter.")
    }
    let plan = try converter.plan(width: picture.width, height: picture.height)
    let made = try converter.convert(picture, digest: [0])
    var options = converter.options
    options.region = max(made.width, made.height) + 64
    let whole = try Converter(converter.adapter, plugin: converter.plugin, options: options)
      .convert(picture, digest: [0])
    let granularity = converter.denoiser.core.configuration.granularity
    func measure(_ pixels: [Float]) -> Seams {
      Seams(pixels, width: made.width, plan: plan, granularity: granularity)
    }
    return SeamComparison(
      regions: plan.count, cut: measure(made.pixels), uncut: measure(whole.pixels),
      difference: measure(zip(made.pixels, whole.pixels).map { $0 - $1 }))
  }
}
