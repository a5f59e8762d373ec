internal import Diffusion
internal import Networks
public import Tensor

/// Two small cores trained side by side on the same crops and the same noise, one with activations in bfloat16, one in
/// float32: whether mixed precision learns as well.
public struct PrecisionComparison: Sendable {
  /// Mean loss of consecutive runs of `window` steps.
  public let low, full: [Double]
  public let window: Int

  /// Mean of `low / full − 1` over the windows, and its standard deviation: how far bfloat16 is off, and how much of that
  /// is noise.
  public var difference: (mean: Double, deviation: Double) {
    let ratios = zip(low, full).map { $0 / $1 - 1 }
    let mean = ratios.reduce(0, +) / Double(max(1, ratios.count))
    let variance = ratios.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(max(1, ratios.count - 1))
    return (mean, variance.squareRoot())
  }

  /// - Parameters:
  ///   - steps: of 16 drawn crops of 32 × 32; a multiple of `window`.
  ///   - between: called before every step; throw to stop.
  public static func run(
    steps: Int, window: Int = 100, between: () throws -> Void = {}
  ) throws -> PrecisionComparison {
    var shape = UNetConfiguration()
    (shape.channels, shape.blocks, shape.embedding, shape.nativeSize) = ([16, 32], [1, 1], 32, 32)
    var drawn = CropFeedOptions()
    drawn.sizes = [.init(size: 32, weight: 1, batch: 16)]
    let feed = try CropFeed(drawn, photographs: nil)
    let noise = NoiseStream(seed: 1, digest: Array("precision".utf8))
    let networks = [DType.bf16, .f32].map { precision in
      let network = UNet(shape, seed: 1)
      return (network, precision, AdamW(network.parameters, .init()))
    }
    var sums: [[Double]] = [[], []]
    for step in 0..<steps {
      try between()
      let batch = feed.batch(step: step)
      let x = try Tensor(batch.pixels, shape: [batch.count, batch.size, batch.size, 3])
      let draw = StepNoise(noise, step: step, like: x)
      let levels = draw.times().map(shape.schedule.level(at:))
      let z = try diffuse(x, noise: draw.epsilon, to: levels)
      let target = try shape.parameterisation.target(signal: x, noise: draw.epsilon, levels)
      for (i, (network, precision, optimiser)) in networks.enumerated() {
        let (loss, gradients) = try withGradients {
          try network(z, levels, precision: precision).squaredError(to: target).loss
        }
        try optimiser.update(gradients, rate: 1e-3 * min(1, Float(step + 1) / 100), averageDecay: 0.999)
        if step % window == 0 { sums[i].append(0) }
        sums[i][sums[i].count - 1] += Double(loss.scalar) / Double(window)
      }
    }
    return PrecisionComparison(low: sums[0], full: sums[1], window: window)
  }
}
