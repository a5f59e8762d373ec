internal import Foundation

extension TimeEmbedding {
  /// From 1 down to 1/10,000 over the features.
  static func frequency(_ i: Int, of half: Int) -> Double { exp(-log(10_000) * Double(i) / Double(max(1, half))) }
  static func sine(_ x: Double) -> Double { sin(x) }
  static func cosine(_ x: Double) -> Double { cos(x) }
}
