public import Tensor

/// What a network's output means. All conversions are here and nowhere else; `z`, `out` and the results are `[B, H, W, C]`,
/// with one level for each sample or one for all. CoDi (arXiv:2310.01407v2), Eq. 7; v from arXiv:2202.00512v2, App. D.
public enum Parameterisation: String, Codable, Sendable, Hashable, CaseIterable {
  /// The noise `ε`.
  case epsilon
  /// The clean signal `x`.
  case x
  /// The velocity `v = α ε − σ x`.
  case v

  /// Clean-signal estimate `x̂`.
  /// - Throws: `TensorError` for `epsilon` at zero signal, where the noise says nothing about it.
  public func signal(from out: Tensor, at z: Tensor, _ t: [NoiseLevel]) throws(TensorError) -> Tensor {
    switch self {
    case .x: return out
    case .v: return try Tensor.sum(t.alphas, z, t.map { -$0.sigma }, out)
    case .epsilon:
      try Self.require(t.allSatisfy { $0.alpha > 0 }, "signal", "ε-prediction has no signal estimate at α = 0.")
      return try Tensor.sum(t.map { 1 / $0.alpha }, z, t.map { -$0.sigma / $0.alpha }, out)
    }
  }

  /// Noise estimate `ε̂`.
  /// - Throws: `TensorError` for `x` at zero noise.
  public func noise(from out: Tensor, at z: Tensor, _ t: [NoiseLevel]) throws(TensorError) -> Tensor {
    switch self {
    case .epsilon: return out
    case .v: return try Tensor.sum(t.sigmas, z, t.alphas, out)
    case .x:
      try Self.require(t.allSatisfy { $0.sigma > 0 }, "noise", "x-prediction has no noise estimate at σ = 0.")
      return try Tensor.sum(t.map { 1 / $0.sigma }, z, t.map { -$0.alpha / $0.sigma }, out)
    }
  }

  /// Velocity estimate `v̂ = dz/dφ`.
  public func velocity(from out: Tensor, at z: Tensor, _ t: [NoiseLevel]) throws(TensorError) -> Tensor {
    switch self {
    case .v: return out
    case .x:
      try Self.require(t.allSatisfy { $0.sigma > 0 }, "velocity", "x-prediction has no velocity at σ = 0.")
      return try Tensor.sum(t.map { $0.alpha / $0.sigma }, z, t.map { -1 / $0.sigma }, out)
    case .epsilon:
      try Self.require(t.allSatisfy { $0.alpha > 0 }, "velocity", "ε-prediction has no velocity at α = 0.")
      return try Tensor.sum(t.map { -$0.sigma / $0.alpha }, z, t.map { 1 / $0.alpha }, out)
    }
  }

  /// What the network should have said about `x` and `noise` at these levels.
  public func target(signal x: Tensor, noise: Tensor, _ t: [NoiseLevel]) throws(TensorError) -> Tensor {
    switch self {
    case .epsilon: noise
    case .x: x
    case .v: try Tensor.sum(t.alphas, noise, t.map { -$0.sigma }, x)
    }
  }

  private static func require(_ condition: Bool, _ operation: String, _ reason: String) throws(TensorError) {
    guard condition else {
      throw TensorError(.range, operation, reason, remedy: "Use v-prediction, or keep the levels away from the end.")
    }
  }
}
