internal import Foundation

/// How a picture is cut into overlapping regions of one size for the network.
///
/// Regions are equal and their sides come from a short list, so that prepared kernels serve many pictures. Where regions
/// overlap, predictions are averaged with weights that fall towards a region's border, because a network sees zeros
/// beyond it.
public struct RegionPlan: Sendable, Hashable {
  /// Side of the picture after padding.
  public let width, height: Int
  public let regionWidth, regionHeight: Int
  /// Left edges and top edges of the regions: rising, multiples of the granularity.
  public let columns, rows: [Int]

  /// - Parameters:
  ///   - width: the picture's side in pixels, at least 1.
  ///   - granularity: sides of regions must be multiples of it.
  ///   - region: largest side of a region; rounded down to the granularity.
  ///   - overlap: pixels that neighbours share at least; less than a region.
  public init(width: Int, height: Int, granularity: Int, region: Int, overlap: Int) {
    let g = max(1, granularity)
    let largest = max(g, region / g * g)
    let shared = min(largest - g, max(0, overlap).rounded(upTo: g))
    (self.width, regionWidth, columns) = Self.cut(width, g, largest, shared)
    (self.height, regionHeight, rows) = Self.cut(height, g, largest, shared)
  }

  /// Number of regions.
  public var count: Int { columns.count * rows.count }

  /// As few regions as cover `length`, no larger than that takes, spread evenly on the grid.
  private static func cut(
    _ length: Int, _ g: Int, _ largest: Int, _ overlap: Int
  ) -> (length: Int, region: Int, starts: [Int]) {
    if length <= largest {
      let region = side(for: length, step: length <= 32 ? 32 : 64, g, largest)
      return (region, region, [0])
    }
    let padded = length.rounded(upTo: g)
    let n = 1 + (padded - largest).divided(roundingUpBy: largest - overlap)
    let region = side(for: (padded + (n - 1) * overlap).divided(roundingUpBy: n), step: 32, g, largest)
    let slack = (padded - region) / g
    return (padded, region, (0..<n).map { $0 * slack / (n - 1) * g })
  }

  /// The next multiple of `step` that is on the grid. Thousands of pictures of every size then need a handful of prepared
  /// kernels instead of one set each; where a picture takes many regions the list is finer, for the sake of their area.
  private static func side(for length: Int, step: Int, _ g: Int, _ largest: Int) -> Int {
    min(largest, length.rounded(upTo: step).rounded(upTo: g))
  }

  /// The weights along a region's width, for each of `columns`.
  package var columnWeights: [[Float]] { Self.weights(columns, regionWidth, width) }
  /// The weights along a region's height, for each of `rows`.
  package var rowWeights: [[Float]] { Self.weights(rows, regionHeight, height) }

  /// Weights of the pixels of each region, 1 inside, falling as sin² over what a neighbour shares; those of all regions
  /// add up to 1 at every pixel.
  private static func weights(_ starts: [Int], _ region: Int, _ length: Int) -> [[Float]] {
    var sums = [Double](repeating: 0, count: length)
    let windows = starts.indices.map { index -> [Double] in
      let start = starts[index]
      let before = index == 0 ? 0 : starts[index - 1] + region - start
      let after = index == starts.count - 1 ? 0 : start + region - starts[index + 1]
      let window = (0..<region).map { rise($0, over: before) * rise(region - 1 - $0, over: after) }
      for i in 0..<region { sums[start + i] += window[i] }
      return window
    }
    return zip(starts, windows).map { start, window in
      window.enumerated().map { Float($0.element / sums[start + $0.offset]) }
    }
  }

  private static func rise(_ i: Int, over length: Int) -> Double {
    guard i < length else { return 1 }
    let sine = sin(.pi / 2 * (Double(i) + 0.5) / Double(length))
    return sine * sine
  }
}

extension Int {
  fileprivate func divided(roundingUpBy n: Int) -> Int { (self + n - 1) / n }
  /// The next multiple of `n`.
  fileprivate func rounded(upTo n: Int) -> Int { divided(roundingUpBy: n) * n }
}
