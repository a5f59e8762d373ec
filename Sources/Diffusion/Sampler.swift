public import Tensor

/// Deterministic sampling in any number of steps.
public struct Sampler: Sendable, Hashable {
  public var schedule: Schedule
  public var parameterisation: Parameterisation
  public var predictor: Predictor
  /// Share of the noise that sampling started from, for ``Predictor/mix``.
  public var gamma: Float
  /// Number of network evaluations, at least 1.
  public var steps: Int
  /// Time to start at, `(0, 1]`; below 1 the start is a known picture with noise on it (SDEdit, arXiv:2108.01073v2).
  public var start: Double

  public init(
    schedule: Schedule = .cosineAngle, parameterisation: Parameterisation = .v, predictor: Predictor = .ddim,
    gamma: Float = 0.5, steps: Int, start: Double = 1
  ) {
    self.schedule = schedule
    self.parameterisation = parameterisation
    self.predictor = predictor
    self.gamma = gamma
    self.steps = steps
    self.start = start
  }

  /// `steps + 1` levels, from the start to clean.
  public var levels: [NoiseLevel] { schedule.levels(steps: steps, from: start) }

  /// Where sampling begins: `α x + σ ε` with the picture to start from, or noise alone.
  public func begin(noise: Tensor, from picture: Tensor? = nil) throws(TensorError) -> Tensor {
    guard let picture else { return noise }
    return try diffuse(picture, noise: noise, to: [levels[0]])
  }

  /// One step `z_t → z_s` given the network's output at `z_t`.
  /// - Parameter before: the step before, for predictors that look back.
  /// - Returns: `z_s`, and what the next step may look back at.
  public func advance(
    _ z: Tensor, output: Tensor, noise: Tensor, from t: NoiseLevel, to s: NoiseLevel,
    after before: Predictor.Memory? = nil
  ) throws(TensorError) -> (z: Tensor, memory: Predictor.Memory) {
    let signal = try parameterisation.signal(from: output, at: z, [t])
    let memory = Predictor.Memory(signal: signal, level: t)
    if s.sigma == 0 { return (signal, memory) }
    if predictor.looksBack, let before {
      let carried = try Predictor.extrapolated(signal, before, from: t, to: s)
      // (σ_s / σ_t) z − α_s (e^−h − 1) D, with e^−h = α_t σ_s / (α_s σ_t).
      let keep = s.sigma / t.sigma
      return (try Tensor.sum(keep, z, s.alpha - t.alpha * keep, carried), memory)
    }
    let predicted = try parameterisation.noise(from: output, at: z, [t])
    return (
      try predictor.step(signal: signal, predicted: predicted, noise: noise, to: [s], gamma: gamma), memory
    )
  }

  /// All steps. `denoise` is the network: `z`, `[B, H, W, C]`, and one level in, its output of the same shape out.
  public func sample(
    noise: Tensor, from picture: Tensor? = nil, _ denoise: (Tensor, NoiseLevel) throws -> Tensor
  ) throws -> Tensor {
    let levels = levels
    var z = try begin(noise: noise, from: picture)
    var memory: Predictor.Memory?
    for (t, s) in zip(levels, levels.dropFirst()) {
      let step = try advance(z, output: try denoise(z, t), noise: noise, from: t, to: s, after: memory)
      (z, memory) = (step.z, step.memory)
    }
    return z
  }
}
