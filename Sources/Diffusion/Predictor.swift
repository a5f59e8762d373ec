internal import Foundation
public import Tensor

/// The step from `z_t` to `z_s`, in training and in sampling.
public enum Predictor: String, Codable, Sendable, Hashable, CaseIterable {
  /// "Partial real-value": `z_s = α_s x̂ + σ_s ε` with the very noise that made `z_t`, CoDi (arXiv:2310.01407v2), main text;
  /// v1's PREv-predictor.
  case prev
  /// `z_s = α_s x̂ + σ_s ε̂` with the network's own noise estimate: DDIM (arXiv:2010.02502v4), Eq. 12 with `σ_t = 0`, and
  /// CoDi's appendix. In angles it is a rotation: `z_s = cos δ · z_t − sin δ · v̂`, `δ = φ_t − φ_s`.
  case ddim
  /// `z_s = α_s x̂ + σ_s (γ ε + (1 − γ) ε̂)`: between the two, as in TCD (arXiv:2402.19159v2, §4.2), whose γ weighs fresh noise.
  /// Ours is the noise that is there already, which is no independent one, so the weights add up and not their squares.
  case mix
  /// DPM-Solver++(2M) (arXiv:2211.01095v2, Algorithm 2): of second order by looking back at the step before; a DDIM step where
  /// there is none. For sampling only.
  case dpmSolver = "dpm-solver++"

  /// What a step may look back at: `x̂` of the step before, and its level.
  public struct Memory: Sendable {
    public let signal: Tensor
    public let level: NoiseLevel

    public init(signal: Tensor, level: NoiseLevel) {
      self.signal = signal
      self.level = level
    }
  }

  /// Whether steps after the first one need a ``Memory``.
  public var looksBack: Bool { self == .dpmSolver }

  /// - Parameters:
  ///   - signal: `x̂`, `[B, H, W, C]`.
  ///   - predicted: the noise estimate `ε̂`.
  ///   - noise: the true noise `ε`; in sampling, the noise that sampling started from.
  ///   - gamma: share of the true noise; of ``mix`` alone.
  public func step(
    signal: Tensor, predicted: Tensor, noise: Tensor, to s: [NoiseLevel], gamma: Float = 0.5
  ) throws(TensorError) -> Tensor {
    switch self {
    case .prev: return try Tensor.sum(s.alphas, signal, s.sigmas, noise)
    case .ddim, .dpmSolver: return try Tensor.sum(s.alphas, signal, s.sigmas, predicted)
    case .mix:
      let mixed = try Tensor.sum(gamma, noise, 1 - gamma, predicted)
      return try Tensor.sum(s.alphas, signal, s.sigmas, mixed)
    }
  }

  /// `x̂` carried on along `λ = ln(α/σ)` to the middle of the step from `t` to `s`, as DPM-Solver++(2M) does:
  /// `D = (1 + k) x̂ − k x̂_before`, `k = (λ_s − λ_t) / 2 (λ_t − λ_before)`. From no signal at all the distance is infinite and
  /// `k` 0.
  static func extrapolated(
    _ signal: Tensor, _ before: Memory, from t: NoiseLevel, to s: NoiseLevel
  ) throws(TensorError) -> Tensor {
    let past = t.logSignalToNoise - before.level.logSignalToNoise
    let k = past > 0 && past.isFinite ? Float((s.logSignalToNoise - t.logSignalToNoise) / (2 * past)) : 0
    return k == 0 ? signal : try Tensor.sum(1 + k, signal, -k, before.signal)
  }
}

extension NoiseLevel {
  /// `λ = ln(α / σ)`, half the logarithm of the signal-to-noise ratio; −∞ and ∞ at the ends.
  var logSignalToNoise: Double { log(Double(alpha) / Double(sigma)) }
}
