internal import Adapters
internal import Diffusion
internal import Networks
public import Tensor

/// One training step's cost, measured on random pictures with random weights: speed does not depend on either.
public struct TrainingBenchmark: Sendable {
  /// Wall seconds of each step after the first two.
  public let seconds: [Double]
  /// Share of that time spent outside oneDNN.
  public let outside: Double
  public let samplesPerStep: Int
  /// What oneDNN did in one more step, longest first.
  public let trace: [KernelClock.Row]

  public var median: Double { seconds.sorted()[seconds.count / 2] }

  /// A step of core training: forward, backward, AdamW.
  /// - Parameter between: called before every step; throw to stop.
  public static func core(
    batch: Int, size: Int, precision: DType, steps: Int = 7, between: () throws -> Void = {}
  ) throws -> TrainingBenchmark {
    let network = UNet(UNetConfiguration(), seed: 1)
    let optimiser = AdamW(network.parameters, .init())
    let (x, draw) = pictures(batch, size)
    let levels = draw.times().map(Schedule.cosineAngle.level(at:))
    return try measure(steps, batch, between) {
      let z = try diffuse(x, noise: draw.epsilon, to: levels)
      let target = try Parameterisation.v.target(signal: x, noise: draw.epsilon, levels)
      let (_, gradients) = try withGradients {
        try network(z, levels, precision: precision).squaredError(to: target).loss
      }
      try optimiser.update(gradients, rate: 1e-4, averageDecay: 0.999)
    }
  }

  /// A step of adapter training with self-consistency: student, target, backward through the frozen core, AdamW.
  /// - Parameter between: called before every step; throw to stop.
  public static func adapter(
    batch: Int, size: Int, precision: DType, steps: Int = 7, between: () throws -> Void = {}
  ) throws -> TrainingBenchmark {
    let core = UNet(UNetConfiguration(), seed: 1)
    for parameter in core.parameters { parameter.isTrainable = false }
    var options = DistillationOptions()
    options.times = .stratified
    options.gap = 0.1
    var encoder = ConditionEncoderConfiguration()
    encoder.sees = .conditionAndNoisy
    encoder.blend = .channel
    func denoiser() -> ConditionalDenoiser {
      ConditionalDenoiser(
        core: core, encoder: ConditionEncoder(encoder, core: core.configuration, seed: 1), precision: precision)
    }
    let (x, draw) = pictures(batch, size)
    let (student, target) = (denoiser(), denoiser())
    let networks = DistillationNetworks(
      student: { try student($0, x, $1) }, target: { try target($0, x, $1) })
    for parameter in target.encoder.parameters { parameter.isTrainable = false }
    let optimiser = AdamW(student.encoder.parameters, .init())
    let times = draw.times(from: 0.1, to: 1)
    return try measure(steps, batch, between) {
      let (_, gradients) = try withGradients {
        try distillationLoss(networks, x: x, epsilon: draw.epsilon, times: times, options: options).total
      }
      try optimiser.update(gradients, rate: 1e-4, averageDecay: 0.999)
      for (theirs, mine) in zip(target.encoder.parameters, student.encoder.parameters) {
        try theirs.assign(try Tensor.sum(0.999, theirs.value, 0.001, mine.value))
      }
    }
  }

  private static func pictures(_ batch: Int, _ size: Int) -> (Tensor, StepNoise) {
    let noise = NoiseStream(key: 1)
    let x = NoiseStream.normal(
      (0..<batch).map { noise.derived(UInt64($0)) }, draw: 1, height: size, width: size, channels: 3)
    return (x, StepNoise(noise, step: 0, like: x))
  }

  private static func measure(
    _ steps: Int, _ batch: Int, _ between: () throws -> Void, _ step: () throws -> Void
  ) throws -> TrainingBenchmark {
    for _ in 0..<2 {
      try between()
      try step()
    }
    let before = KernelClock.secondsInOneDNN
    var seconds: [Double] = []
    for _ in 0..<max(1, steps) {
      try between()
      let start = ContinuousClock.now
      try step()
      seconds.append((ContinuousClock.now - start) / .seconds(1))
    }
    let inside = KernelClock.secondsInOneDNN - before
    let trace = try KernelClock.trace(step)
    return TrainingBenchmark(
      seconds: seconds, outside: 1 - inside / seconds.reduce(0, +), samplesPerStep: batch, trace: trace)
  }
}
