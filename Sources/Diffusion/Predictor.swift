public import Tensor

/// The step from `z_t` to `z_s`, in training and in sampling. CoDi (arXiv:2310.01407v2) names both.
public enum Predictor: String, Codable, Sendable, Hashable, CaseIterable {
  /// "Partial real-value": `z_s = α_s x̂ + σ_s ε` with the very noise that made `z_t` (main text of v2; v1's PREv-predictor).
  case prev
  /// `z_s = α_s x̂ + σ_s ε̂` with the network's own noise estimate: DDIM (arXiv:2010.02502v4), Eq. 12 with `σ_t = 0`, and the
  /// paper's appendix. In angles it is a rotation: `z_s = cos δ · z_t − sin δ · v̂`, `δ = φ_t − φ_s`.
  case ddim

  /// - Parameters:
  ///   - signal: `x̂`, `[B, H, W, C]`.
  ///   - predicted: the noise estimate `ε̂`.
  ///   - noise: the true noise `ε`; in sampling, the noise that sampling started from.
  public func step(
    signal: Tensor, predicted: Tensor, noise: Tensor, to s: [NoiseLevel]
  ) throws(TensorError) -> Tensor {
    switch self {
    case .prev: try Tensor.sum(s.alphas, signal, s.sigmas, noise)
    case .ddim: try Tensor.sum(s.alphas, signal, s.sigmas, predicted)
    }
  }
}
