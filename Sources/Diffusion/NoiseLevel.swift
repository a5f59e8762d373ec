internal import Foundation
public import Tensor

/// How much of a sample is noise: `z = α x + σ ε` with `α² + σ² = 1`.
///
/// The angle `φ = atan2(σ, α)` runs from 0 (clean) to π/2 (noise); along the probability-flow ODE `dz/dφ = v`.
public struct NoiseLevel: Sendable, Hashable {
  /// Time in `[0, 1]`; 1 is noise.
  public let time: Double
  public let alpha: Float
  public let sigma: Float

  /// Angle in radians, `[0, π/2]`.
  public var angle: Double { atan2(Double(sigma), Double(alpha)) }
  /// Signal-to-noise ratio `α² / σ²`; infinite at time 0.
  public var signalToNoise: Double { Double(alpha) * Double(alpha) / (Double(sigma) * Double(sigma)) }
}

/// From time to noise level. Every schedule ends at zero signal-to-noise ratio, so that sampling from pure noise starts
/// where training ended (arXiv:2305.08891v4, §3.1).
public enum Schedule: String, Codable, Sendable, Hashable, CaseIterable {
  /// `φ = π t / 2`: the cosine schedule without offset, uniform in the angle.
  case cosineAngle = "cosine-angle"

  /// The level at `time` in `[0, 1]`; exact at both ends.
  public func level(at time: Double) -> NoiseLevel {
    switch self {
    case .cosineAngle:
      if time <= 0 { return NoiseLevel(time: 0, alpha: 1, sigma: 0) }
      if time >= 1 { return NoiseLevel(time: 1, alpha: 0, sigma: 1) }
      let angle = time * .pi / 2
      return NoiseLevel(time: time, alpha: Float(cos(angle)), sigma: Float(sin(angle)))
    }
  }

  /// The time of an angle `φ` in `[0, π/2]`: the inverse of ``level(at:)``.
  public func time(angle: Double) -> Double {
    switch self {
    case .cosineAngle: min(1, max(0, angle * 2 / .pi))
    }
  }

  /// `steps + 1` levels from `start` down to clean, equally spaced in time.
  public func levels(steps: Int, from start: Double = 1) -> [NoiseLevel] {
    (0...max(1, steps)).map { level(at: start * Double(max(1, steps) - $0) / Double(max(1, steps))) }
  }
}

extension Sequence<NoiseLevel> {
  public var alphas: [Float] { map(\.alpha) }
  public var sigmas: [Float] { map(\.sigma) }
}

/// The forward process: `z = αᵢ xᵢ + σᵢ εᵢ` for each sample of the batch, `[B, H, W, C]`.
public func diffuse(_ x: Tensor, noise: Tensor, to levels: [NoiseLevel]) throws(TensorError) -> Tensor {
  try Tensor.sum(levels.alphas, x, levels.sigmas, noise)
}
