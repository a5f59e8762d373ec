internal import Tensor

/// A mean with a 95 % interval.
public struct Interval: Sendable, Hashable, Codable {
  public let mean: Double
  public let low: Double
  public let high: Double
  /// Number of values.
  public let n: Int

  /// Every value times `factor`, which is positive.
  public func scaled(by factor: Double) -> Interval {
    Interval(mean: mean * factor, low: low * factor, high: high * factor, n: n)
  }
}

/// Percentile bootstrap (Efron, Annals of Statistics 7(1), 1979): how far a mean over other pictures of the kind might lie.
public enum Bootstrap {
  /// Mean of `values` with its 95 % interval; the same numbers for the same seed.
  /// - Precondition: there are values.
  public static func mean(_ values: [Double], resamples: Int = 10_000, seed: UInt64 = 0) -> Interval {
    precondition(!values.isEmpty && resamples > 0, "Bootstrap: no values")
    let n = values.count
    let random = NoiseStream(key: seed)
    var means = (0..<resamples).map { resample in
      var sum = 0.0
      for i in 0..<n {
        // The product may round up to n.
        sum += values[min(n - 1, Int(random.uniform(UInt64(resample * n + i)) * Double(n)))]
      }
      return sum / Double(n)
    }
    means.sort()
    return Interval(
      mean: values.reduce(0, +) / Double(n), low: quantile(0.025, of: means), high: quantile(0.975, of: means), n: n)
  }

  /// Between the two nearest of rising values.
  static func quantile(_ q: Double, of values: [Double]) -> Double {
    let place = q * Double(values.count - 1)
    let (i, fraction) = (Int(place), place - place.rounded(.down))
    return values[i] + fraction * (values[min(i + 1, values.count - 1)] - values[i])
  }

  /// Mean of `aᵢ − bᵢ` with its 95 % interval: two methods on the same pictures, which are drawn in pairs. An interval
  /// without 0 means that they differ.
  /// - Throws: `MetricsError` when there are not as many of one as of the other, or none.
  public static func difference(
    _ a: [Double], _ b: [Double], resamples: Int = 10_000, seed: UInt64 = 0
  ) throws(MetricsError) -> Interval {
    guard a.count == b.count, !a.isEmpty else {
      throw MetricsError(
        .mismatch, at: "Bootstrap", "\(a.count) values cannot be paired with \(b.count).",
        remedy: "Measure both methods on the same pictures.")
    }
    return mean(zip(a, b).map { $0 - $1 }, resamples: resamples, seed: seed)
  }
}
