/// A banded matrix along one axis: how each of `outputs` is weighed from the pixels of an axis of `size`.
///
/// Rows are numbered by absolute positions and do not depend on the range asked for, so whatever is computed through
/// bands gives the same bits in any region.
struct Band {
  let size: Int
  let outputs: Range<Int>
  private(set) var inputs: Range<Int>
  private(set) var firsts: [Int] = []
  private(set) var counts: [Int] = []
  /// `stride` weights per output, unused ones zero.
  private(set) var weights: [Float] = []
  private(set) var stride: Int

  /// Bicubic resampling (a = -0.5) from `size` to `newSize` pixels: half-pixel centres, widened when reducing, weights
  /// renormalised at the edges, as in Pillow.
  static func bicubic(from size: Int, to newSize: Int, outputs: Range<Int>) -> Band {
    let factor = Double(size) / Double(newSize)
    let widening = max(factor, 1)
    var band = Band(size: size, outputs: outputs, stride: Int((2 * widening).rounded(.up)) * 2 + 1)
    for output in outputs {
      let centre = (Double(output) + 0.5) * factor
      let first = max(0, Int(centre - 2 * widening + 0.5))
      let end = min(size, Int(centre + 2 * widening + 0.5))
      let row = (first..<end).map { cubic((Double($0) - centre + 0.5) / widening) }
      let sum = row.reduce(0, +)
      band.append(first: first, row.map { Float($0 / sum) })
    }
    return band
  }

  /// The product `outer · inner`; `inner` must have the rows that `outer` reads.
  static func product(_ outer: Band, _ inner: Band) -> Band {
    var rows: [(first: Int, row: [Float])] = []
    for output in 0..<outer.outputs.count {
      let used = outer.firsts[output]..<outer.firsts[output] + outer.counts[output]
      var first = inner.size
      var end = 0
      for index in used {
        let place = index - inner.outputs.lowerBound
        first = min(first, inner.firsts[place])
        end = max(end, inner.firsts[place] + inner.counts[place])
      }
      var row = [Double](repeating: 0, count: end - first)
      for (tap, index) in used.enumerated() {
        let place = index - inner.outputs.lowerBound
        let weight = Double(outer.weights[output * outer.stride + tap])
        for innerTap in 0..<inner.counts[place] {
          row[inner.firsts[place] + innerTap - first] += weight * Double(inner.weights[place * inner.stride + innerTap])
        }
      }
      rows.append((first, row.map { Float($0) }))
    }
    var band = Band(size: inner.size, outputs: outer.outputs, stride: 0)
    for row in rows { band.stride = max(band.stride, row.row.count) }
    for row in rows { band.append(first: row.first, row.row) }
    return band
  }

  private init(size: Int, outputs: Range<Int>, stride: Int) {
    self.size = size
    self.outputs = outputs
    self.stride = stride
    inputs = size..<size
  }

  private mutating func append(first: Int, _ row: [Float]) {
    let end = first + row.count
    inputs = firsts.isEmpty ? first..<end : min(inputs.lowerBound, first)..<max(inputs.upperBound, end)
    firsts.append(first)
    counts.append(row.count)
    for tap in 0..<stride { weights.append(tap < row.count ? row[tap] : 0) }
  }

  private static func cubic(_ position: Double) -> Double {
    let x = abs(position)
    if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
    if x < 2 { return -0.5 * (((x - 5) * x + 8) * x - 4) }
    return 0
  }
}
