public import Tensor

/// How far two sets of features lie apart as distributions; lower is nearer.
public enum FeatureDistance: String, Sendable, CaseIterable {
  /// Between two normal distributions with the sets' means `m` and covariances `C`:
  /// `‖m₁ − m₂‖² + tr(C₁ + C₂ − 2 (C₁ C₂)^½)` (arXiv:1706.08500v6, Eq. 6). It is biased upwards, the more the smaller the
  /// sets: compare only numbers of one n, with the floor beside.
  case frechet
  /// Squared maximum mean discrepancy with the kernel `(xᵀy / d + 1)³`, the unbiased estimate (arXiv:1801.01401v5, Eq. 4 and
  /// Section 4) over all pairs: 0 on average for two sets of one distribution, so it may be negative.
  case kernel

  /// The distance of `x`, `[n, d]`, from `y`, `[m, d]`.
  /// - Throws: `MetricsError` when the widths differ or a set has fewer than two rows, `TensorError` for what is no number.
  public func value(_ x: Matrix, _ y: Matrix) throws -> Double {
    try measure(x, y)(Array(0..<x.rows), Array(0..<y.rows))
  }

  /// The distance with a 95 % interval, for other pictures of both kinds, as many as these.
  public func interval(_ x: Matrix, _ y: Matrix, resamples: Int? = nil, seed: UInt64 = 0) throws -> Interval {
    try resampled(x, y, resamples: resamples, seed: seed).interval
  }

  /// How much farther `a` is from `reference` than `b`, with a 95 % interval: row `i` of both was made of the same picture,
  /// so they are drawn in pairs. With the originals for `b` this is the distance above its floor.
  /// - Throws: as ``value(_:_:)``, and when `a` and `b` have not as many rows.
  public func difference(
    _ a: Matrix, _ b: Matrix, to reference: Matrix, resamples: Int? = nil, seed: UInt64 = 0
  ) throws -> Interval {
    try resampled(a, reference, resamples: resamples, seed: seed)
      .difference(from: try resampled(b, reference, resamples: resamples, seed: seed))
  }

  /// The distance, and distances of rows drawn from both sets with replacement: which, depends on the numbers of rows and
  /// the seed alone.
  public func resampled(
    _ x: Matrix, _ y: Matrix, resamples: Int? = nil, seed: UInt64 = 0
  ) throws -> ResampledDistance {
    let distance = try measure(x, y)
    let (n, m) = (x.rows, y.rows)
    let random = NoiseStream(key: seed)
    let drawn = try (0..<(resamples ?? (self == .frechet ? 200 : 1000))).map { resample in
      func draw(_ size: Int, _ from: Int) -> [Int] {
        (0..<size).map { i in
          min(size - 1, Int(random.uniform(UInt64(resample * (n + m) + from + i)) * Double(size)))
        }
      }
      return try distance(draw(n, 0), draw(m, n))
    }
    // One picture drawn again and again has no pairs, so no distance: such draws, met with few pictures, do not count.
    return ResampledDistance(
      value: try distance(Array(0..<n), Array(0..<m)), n: n, m: m, drawn: drawn.filter(\.isFinite))
  }

  /// The distance of any choice of rows of `x` from any of `y`.
  private func measure(_ x: Matrix, _ y: Matrix) throws -> ([Int], [Int]) throws -> Double {
    guard x.columns == y.columns, min(x.rows, y.rows) >= 2 else {
      throw MetricsError(
        x.columns == y.columns ? .tooFew : .mismatch, at: rawValue,
        "Sets of \(x.rows) and \(y.rows) pictures with \(x.columns) and \(y.columns) features.",
        remedy: "Compare at least two pictures a side, measured with one network.")
    }
    switch self {
    case .frechet: return { try Self.frechet(x.selecting($0), y.selecting($1)) }
    case .kernel:
      let (xx, yy, xy) = (Self.kernel(x, x), Self.kernel(y, y), Self.kernel(x, y))
      return { first, second in
        let (p, q) = (Self.counts(first, x.rows), Self.counts(second, y.rows))
        return Self.within(xx, p) + Self.within(yy, q) - 2 * Self.across(xy, p, q)
      }
    }
  }

  /// Distance between the normal distributions of two sets.
  private static func frechet(_ x: Matrix, _ y: Matrix) throws -> Double {
    let (mx, my) = (x.mean, y.mean)
    let (fx, fy) = (try factor(x, mean: mx), try factor(y, mean: my))
    func trace(_ factor: Matrix) -> Double { factor.values.reduce(0) { $0 + $1 * $1 } }
    return zip(mx, my).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } + trace(fx) + trace(fy)
      - 2 * (try fx.times(fy).singularValues().reduce(0, +))
  }

  /// `A` with `AᵀA` the covariance: then `tr (C₁ C₂)^½` is the sum of the singular values of `A₁ A₂ᵀ`, without a root of
  /// a matrix. With fewer pictures than features `A` is the centred rows, else `Λ^½ Vᵀ` of the covariance `V Λ Vᵀ`.
  private static func factor(_ x: Matrix, mean: [Double]) throws -> Matrix {
    let scale = 1 / Double(x.rows - 1).squareRoot()
    var centred = x
    for row in 0..<x.rows {
      for i in 0..<x.columns {
        let at = row * x.columns + i
        centred.values[at] = (centred.values[at] - mean[i]) * scale
      }
    }
    guard x.rows > x.columns else { return centred }
    var (values, vectors) = try centred.times(centred, transposingFirst: true).symmetricEigen()
    for row in 0..<vectors.rows {
      // Rounding may leave the smallest below zero.
      values[row] = max(0, values[row]).squareRoot()
      for i in 0..<vectors.columns { vectors.values[row * vectors.columns + i] *= values[row] }
    }
    return vectors
  }

  /// `(xᵀy / d + 1)³` of all pairs.
  private static func kernel(_ x: Matrix, _ y: Matrix) -> Matrix {
    var out = x.times(y)
    let d = Double(x.columns)
    for i in out.values.indices {
      let base = out.values[i] / d + 1
      out.values[i] = base * base * base
    }
    return out
  }

  /// How often each row was drawn.
  private static func counts(_ drawn: [Int], _ rows: Int) -> [Double] {
    var counts = [Double](repeating: 0, count: rows)
    for row in drawn { counts[row] += 1 }
    return counts
  }

  /// Mean over pairs of different pictures; a picture drawn twice is no pair.
  private static func within(_ k: Matrix, _ counts: [Double]) -> Double {
    var (sum, pairs) = (0.0, 0.0)
    let all = counts.reduce(0, +)
    for i in 0..<k.rows where counts[i] > 0 {
      var row = 0.0
      for j in 0..<k.columns { row += counts[j] * k.values[i * k.columns + j] }
      sum += counts[i] * (row - counts[i] * k.values[i * k.columns + i])
      pairs += counts[i] * (all - counts[i])
    }
    return sum / pairs
  }

  private static func across(_ k: Matrix, _ p: [Double], _ q: [Double]) -> Double {
    var sum = 0.0
    for i in 0..<k.rows where p[i] > 0 {
      var row = 0.0
      for j in 0..<k.columns { row += q[j] * k.values[i * k.columns + j] }
      sum += p[i] * row
    }
    return sum / (p.reduce(0, +) * q.reduce(0, +))
  }
}

/// A distance between two sets, and what it is for sets drawn from them.
public struct ResampledDistance: Sendable {
  public let value: Double
  /// Rows of the first set and of the second.
  public let n: Int, m: Int
  let drawn: [Double]

  /// The value with a 95 % interval. What the drawing adds to the distance on average is taken off again: a set with
  /// repeated rows is a smaller one, and the Fréchet distance would say so.
  public var interval: Interval {
    let shift = value - drawn.reduce(0, +) / Double(drawn.count)
    let rising = drawn.sorted()
    return Interval(
      mean: value, low: Bootstrap.quantile(0.025, of: rising) + shift,
      high: Bootstrap.quantile(0.975, of: rising) + shift, n: n)
  }

  /// This value less another one's, drawn in pairs.
  /// - Throws: `MetricsError` when the sets have not as many rows, or were not drawn as often.
  public func difference(from other: ResampledDistance) throws(MetricsError) -> Interval {
    guard n == other.n, m == other.m, drawn.count == other.drawn.count else {
      throw MetricsError(
        .mismatch, at: "Bootstrap", "\(n) pictures against \(m) cannot be paired with \(other.n) against \(other.m).",
        remedy: "Measure both methods on the same pictures.")
    }
    return ResampledDistance(
      value: value - other.value, n: n, m: m, drawn: zip(drawn, other.drawn).map { $0 - $1 }
    ).interval
  }
}
