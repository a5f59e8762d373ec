internal import Diffusion
internal import Foundation
internal import Networks
internal import Tensor

/// Pictures outside of training on which a run is looked at now and then, with the same noise every time.
struct Probe {
  let x, condition: Tensor
  private let epsilon: Tensor
  private let noise: NoiseStream
  private static let times = [0.2, 0.4, 0.6, 0.8]

  /// - Parameter batch: clean pictures and conditions; the first `count` are used.
  init(_ batch: ConditionedBatch, channels: Int, count: Int, noise: NoiseStream) throws {
    let count = min(count, batch.count)
    let pixels = count * batch.size * batch.size
    x = try Tensor(Array(batch.clean.prefix(pixels * 3)), shape: [count, batch.size, batch.size, 3])
    condition = try Tensor(
      Array(batch.condition.prefix(pixels * channels)), shape: [count, batch.size, batch.size, channels])
    self.noise = noise
    epsilon = NoiseStream.normal(
      (0..<count).map { noise.derived(UInt64($0)) }, draw: 1, height: batch.size, width: batch.size, channels: 3)
  }

  /// `d_x`, the mean of `‖x − x̂‖²` over four levels of noise.
  func guidance(
    _ denoise: Denoise, _ schedule: Schedule, _ form: Parameterisation, upTo latest: Double, ignoresNoise: Bool
  ) throws -> Double {
    var sum = 0.0
    let times = ignoresNoise ? [1] : Self.times.map { $0 * latest }
    for time in times {
      let t = [schedule.level(at: time)]
      let z = try diffuse(x, noise: ignoresNoise ? .zeros(x.shape) : epsilon, to: t)
      let signal = try form.signal(from: try denoise(z, t), at: z, t)
      sum += Double(try signal.squaredError(to: x).loss.scalar)
    }
    return sum / Double(times.count)
  }

  /// What samples of several seeds say: `diversity`, `contrast` and `clipped`; see ``DiagnosticsOptions``.
  /// - Parameters:
  ///   - sample: `noise`, `[N · seeds, H, W, 3]`, and conditions to pictures.
  func samples(seeds: Int, _ sample: (_ noise: Tensor, _ condition: Tensor) throws -> Tensor) throws -> [String: Double]
  {
    let (count, size) = (x.shape[0], x.shape[1])
    let each = size * size * 3
    let streams = (0..<count * seeds).map { noise.derived(UInt64($0) + 1 << 20) }
    let start = NoiseStream.normal(streams, draw: 0, height: size, width: size, channels: 3)
    let one = condition.floats()
    let row = one.count / count
    let repeated = (0..<count).flatMap { i in (0..<seeds).flatMap { _ in one[i * row..<(i + 1) * row] } }
    let all = try Tensor(repeated, shape: [count * seeds] + condition.shape.dropFirst())
    let (made, truth) = (try sample(start, all).floats(), x.floats())

    var (spread, distance) = (0.0, 0.0)
    for i in 0..<count {
      for place in 0..<each {
        let values = (0..<seeds).map { Double(made[(i * seeds + $0) * each + place]) }
        let mean = values.reduce(0, +) / Double(seeds)
        spread += values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(seeds - 1)
        let right = Double(truth[i * each + place])
        distance += values.reduce(0) { $0 + ($1 - right) * ($1 - right) } / Double(seeds)
      }
    }
    func deviation(_ values: [Float], _ channel: Int) -> Double {
      let part = stride(from: channel, to: values.count, by: 3).map { Double(values[$0]) }
      let mean = part.reduce(0, +) / Double(part.count)
      return (part.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(part.count)).squareRoot()
    }
    func outside(_ values: [Float]) -> Double {
      Double(values.count { abs($0) > 1.02 }) / Double(values.count)
    }
    return [
      "diversity": (2 * spread / max(distance, 1e-30)).squareRoot(),
      "contrast": (0..<3).map { deviation(made, $0) / max(deviation(truth, $0), 1e-6) }.max() ?? 0,
      "clipped": max(0, outside(made) - outside(truth)),
    ]
  }
}
