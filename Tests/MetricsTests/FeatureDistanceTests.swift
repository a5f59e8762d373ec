import Metrics
import Tensor
import Testing

@Suite("Fréchet and kernel distances") struct FeatureDistanceTests {
  /// `±aᵢ eᵢ` around `mean`: the covariance is exactly `2 aᵢ² / (2k − 1)` on the diagonal for k values.
  private func axes(_ a: [Double], mean: [Double]) -> Matrix {
    Matrix(
      rows: a.indices.flatMap { i in
        [1.0, -1.0].map { sign in
          mean.indices.map { mean[$0] + ($0 == i ? sign * a[i] : 0) }
        }
      })
  }

  @Test("Fréchet in closed form: squared distance of the means, and of the deviations", arguments: [3, 12])
  func gaussians(width: Int) throws {
    // Six pictures of 3 features, and of 12: both ways to the root of the covariance.
    let zeros = [Double](repeating: 0, count: width)
    var shifted = zeros
    (shifted[0], shifted[2]) = (2, -1)
    let (a, b) = ([1.0, 2, 3], [2.0, 0.5, 3])
    let deviations = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) * 2 / 5 }
    let found = try FeatureDistance.frechet.value(axes(a, mean: zeros), axes(b, mean: shifted))
    #expect(abs(found - (5 + deviations)) < 1e-9)
    #expect(abs(try FeatureDistance.frechet.value(axes(a, mean: zeros), axes(a, mean: shifted)) - 5) < 1e-9)
  }

  @Test("covariances that do not commute: pytorch-fid's distance and numpy's kernel distance")
  func reference() throws {
    let golden = try Golden(Golden.networks)
    let (x, y) = (try golden.matrix("frechet.x"), try golden.matrix("frechet.y"))
    #expect(abs(try FeatureDistance.frechet.value(x, y) - (try golden.values("frechet.value")[0])) < 2e-6)
    #expect(abs(try FeatureDistance.frechet.value(y, x) - (try golden.values("frechet.value")[0])) < 2e-6)
    #expect(abs(try FeatureDistance.kernel.value(x, y) - (try golden.values("kernel.value")[0])) < 1e-6)
  }

  @Test("large samples of two normal distributions are as far apart as the distributions")
  func largeSamples() throws {
    let (x, y) = (normal(4000, 4, key: 1), normal(4000, 4, key: 2, scale: 2, shift: 1))
    // Four means 1 apart, four deviations 1 apart.
    #expect(abs(try FeatureDistance.frechet.value(x, y) - 8) < 0.4)
  }

  @Test("the kernel distance is unbiased: 0 on average for one distribution, the true value for two")
  func unbiased() throws {
    var (same, apart): ([Double], [Double]) = ([], [])
    for draw in 0..<400 {
      let x = normal(8, 2, key: UInt64(3 * draw + 1))
      let y = normal(8, 2, key: UInt64(3 * draw + 2))
      same.append(try FeatureDistance.kernel.value(x, y))
      // One feature: ±1 against 0. E k(x, x') = (2³ + 0) / 2, k(0, 0) = 1, k(x, 0) = 1.
      let signs = x.values.prefix(8).map { $0 < 0 ? -1.0 : 1 }
      let zeros = Matrix([Double](repeating: 0, count: 5), rows: 5, columns: 1)
      apart.append(try FeatureDistance.kernel.value(Matrix(signs, rows: 8, columns: 1), zeros))
    }
    for (values, truth) in [(same, 0.0), (apart, 3.0)] {
      let mean = values.reduce(0, +) / 400
      let error = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 399 / 400).squareRoot()
      #expect(abs(mean - truth) < 4 * error, "\(mean) ± \(error)")
    }
  }

  @Test("about 95 of 100 intervals of the kernel distance hold the true value")
  func coverage() throws {
    // 1 seven times of ten, else −1, against 0: E k(x, x') = 0.58 · 2³.
    let truth = 0.58 * 8 + 1 - 2
    let zeros = Matrix([Double](repeating: 0, count: 20), rows: 20, columns: 1)
    let held = try (0..<100).filter { draw in
      let values = (0..<40).map { NoiseStream(key: UInt64(draw) + 500).uniform(UInt64($0)) < 0.3 ? -1.0 : 1 }
      let interval = try FeatureDistance.kernel.interval(
        Matrix(values, rows: 40, columns: 1), zeros, resamples: 300, seed: UInt64(draw))
      return (interval.low...interval.high).contains(truth)
    }
    #expect((86...100).contains(held.count), "\(held.count)")
  }

  @Test("the interval holds the distance, repeats with its seed and narrows with n")
  func intervals() throws {
    for distance in FeatureDistance.allCases {
      let (x, y) = (normal(60, 8, key: 1), normal(50, 8, key: 2, scale: 1.5, shift: 0.5))
      let few = try distance.interval(x.selecting(Array(0..<15)), y.selecting(Array(0..<15)), resamples: 100)
      let many = try distance.interval(x, y, resamples: 100)
      #expect(many == (try distance.interval(x, y, resamples: 100)))
      #expect(many != (try distance.interval(x, y, resamples: 100, seed: 1)))
      #expect(many.low < many.mean && many.mean < many.high && many.n == 60)
      #expect(many.mean == (try distance.value(x, y)))
      #expect(many.high - many.low < few.high - few.low)
    }
  }

  @Test("pairs show a small difference that the sets' own spread hides")
  func pairs() throws {
    let (originals, reference) = (normal(40, 6, key: 1), normal(40, 6, key: 2))
    var worse = originals
    for i in worse.values.indices { worse.values[i] += 0.35 }
    for distance in FeatureDistance.allCases {
      let same = try distance.difference(originals, originals, to: reference, resamples: 50)
      #expect(same.mean == 0 && same.low == 0 && same.high == 0)
      let found = try distance.difference(worse, originals, to: reference, resamples: 100)
      let alone = try distance.interval(worse, reference, resamples: 100)
      #expect(found.mean > 0 && found.high - found.low < alone.high - alone.low)
    }
  }

  @Test("what cannot be compared is refused")
  func refusals() {
    func code(_ body: () throws -> Void) -> MetricsError.Code? {
      #expect(throws: MetricsError.self) { try body() }?.code
    }
    let (x, y) = (normal(4, 3, key: 1), normal(4, 2, key: 1))
    #expect(code { _ = try FeatureDistance.kernel.value(x, y) } == .mismatch)
    #expect(code { _ = try FeatureDistance.frechet.value(x.selecting([0]), x) } == .tooFew)
    #expect(code { _ = try FeatureDistance.frechet.difference(x, x.selecting([0, 1]), to: x) } == .mismatch)
  }

  private func normal(_ rows: Int, _ columns: Int, key: UInt64, scale: Double = 1, shift: Double = 0) -> Matrix {
    let values = NoiseStream(key: key).normal(draw: 0, height: rows, width: columns, channels: 1).floats()
    return Matrix(values.map { Double($0) * scale + shift }, rows: rows, columns: columns)
  }
}
