internal import Adapters
internal import Diffusion
internal import Networks
public import Tensor

/// Sampling with the default core and an adapter that sees the noisy picture, on regions of 64 × 64 pixels: random weights,
/// since speed does not depend on them.
public struct SamplingBenchmark: Sendable {
  /// Wall seconds of each run after the first two.
  public let seconds: [Double]
  /// Where one more run spent its time, longest first.
  public let trace: [KernelClock.Row]
  /// Bytes that the memory pool grew by during the runs.
  public let allocated: Int

  public var median: Double { seconds.sorted()[seconds.count / 2] }

  /// - Parameter batch: regions in one call of the network.
  public static func run(
    batch: Int, steps: Int, precision: DType, runs: Int, between: () throws -> Void = {}
  ) throws -> SamplingBenchmark {
    let core = UNet(UNetConfiguration(), seed: 1)
    var configuration = ConditionEncoderConfiguration()
    (configuration.sees, configuration.blend) = (.conditionAndNoisy, .channel)
    let encoder = ConditionEncoder(configuration, core: core.configuration, seed: 1)
    for parameter in core.parameters + encoder.parameters { parameter.isTrainable = false }
    let denoiser = ConditionalDenoiser(core: core, encoder: encoder, precision: precision)
    let streams = (0..<max(1, batch)).map { NoiseStream(key: 1).derived(UInt64($0)) }
    let noise = NoiseStream.normal(streams, draw: 0, height: 64, width: 64, channels: 3)
    let condition = NoiseStream.normal(streams, draw: 1, height: 64, width: 64, channels: 3)
    let sampler = Sampler(steps: max(1, steps), start: 0.6)
    func once() throws {
      _ = try sampler.sample(noise: noise, from: condition) { try denoiser($0, condition, [$1]) }
    }
    for _ in 0..<2 {
      try between()
      try once()
    }
    let before = memoryPoolByteCount
    var seconds: [Double] = []
    for _ in 0..<max(1, runs) {
      try between()
      let start = ContinuousClock.now
      try once()
      seconds.append((ContinuousClock.now - start) / .seconds(1))
    }
    let allocated = memoryPoolByteCount - before
    return SamplingBenchmark(seconds: seconds, trace: try KernelClock.trace(once), allocated: allocated)
  }
}
