internal import Diffusion
internal import Networks
public import Tensor

/// One pass, or one training step, of a network whose shape other engines are timed on too; random weights and inputs.
public struct NetworkBenchmark: Sendable {
  /// What is timed.
  public enum Shape: String, Sendable, CaseIterable {
    /// 64×64 pixels, 22 million parameters.
    case pixel
    /// Stable Diffusion 1.5's U-Net: 64×64 latents, 860 million parameters.
    case sd15
  }

  /// Wall seconds of each run after the first two.
  public let seconds: [Double]
  /// Arithmetic of a run in 10⁹ operations, convolutions, products and attention; of a training step three times a pass's.
  public let gigaflop: Double
  /// Where one more run spent its time, longest first.
  public let trace: [KernelClock.Row]

  public var median: Double { seconds.sorted()[seconds.count / 2] }

  /// - Parameter train: a step with backward pass and AdamW instead of a pass alone.
  public static func run(
    _ shape: Shape, batch: Int, train: Bool, precision: DType, runs: Int
  ) throws -> NetworkBenchmark {
    let configuration: UNetConfiguration = shape == .pixel ? .pixel64 : .stableDiffusion15
    let network = UNet(configuration, seed: 1)
    for parameter in network.parameters { parameter.isTrainable = train }
    let noise = NoiseStream(key: 1)
    let streams = (0..<batch).map { noise.derived(UInt64($0)) }
    let x = NoiseStream.normal(streams, draw: 0, height: 64, width: 64, channels: configuration.pictureChannels)
    let width = configuration.grouped?.context ?? 0
    let context: Tensor? =
      width > 0 ? NoiseStream.normal(streams, draw: 1, height: 1, width: 77, channels: width) : nil
    let levels = (0..<batch).map { _ in Schedule.cosineAngle.level(at: 0.5) }
    let optimiser = train ? AdamW(network.parameters, .init()) : nil
    func once() throws {
      guard let optimiser else {
        _ = try network(x, levels, context: context, precision: precision)
        return
      }
      let (_, gradients) = try withGradients {
        try network(x, levels, context: context, precision: precision).squaredError(to: x).loss
      }
      try optimiser.update(gradients, rate: 1e-4, averageDecay: 0.999)
    }
    for _ in 0..<2 { try once() }
    var seconds: [Double] = []
    for _ in 0..<max(1, runs) {
      let start = ContinuousClock.now
      try once()
      seconds.append((ContinuousClock.now - start) / .seconds(1))
    }
    let forward = try KernelClock.trace { _ = try network(x, levels, context: context, precision: precision) }
    let gigaflop = forward.map(\.gigaflop).reduce(0, +) * (train ? 3 : 1)
    return NetworkBenchmark(seconds: seconds, gigaflop: gigaflop, trace: train ? try KernelClock.trace(once) : forward)
  }
}
