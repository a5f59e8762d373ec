import Diffusion
import Tensor

/// Standard normal values, `[batch, 4, 4, 3]`.
func normal(_ draw: Int, batch: Int = 2) -> Tensor {
  NoiseStream.normal(
    (0..<batch).map { NoiseStream(seed: 1, digest: []).derived(UInt64($0)) }, draw: draw, height: 4, width: 4,
    channels: 3)
}

func level(_ time: Double) -> NoiseLevel { Schedule.cosineAngle.level(at: time) }

/// Data `x ~ N(m, q²)` in every channel: everything about it is known in closed form.
struct Gaussian {
  let m: Float
  let q: Float

  /// The mean of `x` given `z`: `m + (α q² / S²)(z − α m)` with `S² = α² q² + σ²`.
  func signal(_ z: Tensor, _ t: NoiseLevel) throws -> Tensor {
    let gain = t.alpha * q * q / (t.alpha * t.alpha * q * q + t.sigma * t.sigma)
    return try Tensor.sum(gain, z, 1, .full(z.shape, m - gain * t.alpha * m))
  }

  /// The perfect network's output at `z`. The noise is `(z − α x̂) / σ`.
  func output(_ parameterisation: Parameterisation, _ z: Tensor, _ t: NoiseLevel) throws -> Tensor {
    let x = try signal(z, t)
    let noise = try Tensor.sum(1 / t.sigma, z, -t.alpha / t.sigma, x)
    return try parameterisation.target(signal: x, noise: noise, [t])
  }

  /// Where the probability-flow ODE takes `z`: `m + q (z − α m) / S`.
  func end(_ z: Tensor, _ t: NoiseLevel) throws -> Tensor {
    let factor = q / (t.alpha * t.alpha * q * q + t.sigma * t.sigma).squareRoot()
    return try Tensor.sum(factor, z, 1, .full(z.shape, m - factor * t.alpha * m))
  }
}
