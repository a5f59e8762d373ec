import Metrics
import Tensor
import Testing

@Suite("Bootstrap intervals") struct BootstrapTests {
  @Test("for many normal values the interval is mean ± 1.96 s / √n")
  func normal() {
    let values = NoiseStream(key: 5).normal(draw: 0, height: 1, width: 400, channels: 1).floats().map {
      Double($0) * 2 + 7
    }
    let interval = Bootstrap.mean(values)
    let mean = values.reduce(0, +) / 400
    let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 400).squareRoot()
    #expect(interval.mean == mean && interval.n == 400)
    #expect(abs((interval.high - mean) / (1.96 * deviation / 20) - 1) < 0.06)
    #expect(abs((mean - interval.low) / (1.96 * deviation / 20) - 1) < 0.06)
  }

  @Test("one seed gives one interval, another seed nearly the same")
  func seeds() {
    let values = [25.1, 27.9, 30.2, 22.4, 26.6, 28.0, 24.9, 31.5]
    #expect(Bootstrap.mean(values) == Bootstrap.mean(values))
    let (a, b) = (Bootstrap.mean(values, seed: 1), Bootstrap.mean(values, seed: 2))
    #expect(a != b && abs(a.low - b.low) < 0.2 && abs(a.high - b.high) < 0.2)
  }

  @Test("no spread, no interval")
  func constant() {
    let interval = Bootstrap.mean([3, 3, 3])
    #expect(interval.low == 3 && interval.high == 3)
    #expect(Bootstrap.mean([4]).low == 4)
  }

  @Test("pairs show a small difference that the pictures' own spread hides")
  func pairs() throws {
    let a = (0..<24).map { 20 + Double($0 % 7) * 1.7 }
    let b = a.enumerated().map { $1 - 0.1 - ($0.isMultiple(of: 2) ? 0.05 : 0) }
    let difference = try Bootstrap.difference(a, b)
    #expect(abs(difference.mean - 0.125) < 1e-9 && difference.low > 0.1 && difference.high < 0.15)
    #expect(Bootstrap.mean(a).low < Bootstrap.mean(b).high)
    let error = #expect(throws: MetricsError.self) { try Bootstrap.difference([1, 2], [1]) }
    #expect(error?.code == .mismatch)
  }
}
