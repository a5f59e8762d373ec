import Diffusion
import Foundation
import Tensor
import Testing

/// The variance-preserving SDE and its probability-flow ODE (arXiv:2011.13456v2, Eq. 6 and 13), in the angle φ: with `α = cos φ`
/// the drift is `f = d ln α / dφ = −tan φ` and `g² = dσ²/dφ − 2 f σ² = 2 tan φ`.
@Suite("SDE and ODE have one family of marginals") @Compute struct MarginalTests {
  let m = 0.3
  let q = 0.5

  /// `S²`, the variance of `z` at φ.
  func variance(_ angle: Double) -> Double { pow(cos(angle) * q, 2) + pow(sin(angle), 2) }

  /// The drift that, with noise `η g`, keeps the marginals: `f z − (1 + η²) / 2 · g² ∇ ln q(z)`, as slope and offset in z.
  func drift(_ angle: Double, eta: Double) -> (slope: Double, offset: Double) {
    let push = (1 + eta * eta) * tan(angle) / variance(angle)
    return (-tan(angle) + push, -push * cos(angle) * m)
  }

  @Test("the ODE's drift is the velocity that a perfect network says")
  func velocity() throws {
    let data = Gaussian(m: Float(m), q: Float(q))
    for time in [0.1, 0.5, 0.9] {
      let z = normal(0)
      let v = try data.output(.v, z, level(time)).floats()
      let (slope, offset) = drift(level(time).angle, eta: 0)
      for (z, v) in zip(z.floats(), v) { #expect(abs(slope * Double(z) + offset - Double(v)) < 1e-5) }
    }
  }

  @Test(
    "from noise back to data, mean and variance are the forward process's, with and without noise",
    arguments: [0.0, 0.5, 1.0])
  func moments(eta: Double) {
    let (start, end, steps) = (1.5, 0.1, 4000)
    /// d/dφ of mean and variance of a linear SDE that runs backwards.
    func slope(_ angle: Double, _ mean: Double, _ spread: Double) -> (mean: Double, spread: Double) {
      let (a, b) = drift(angle, eta: eta)
      let lost: Double = eta * eta * 2 * tan(angle)
      return (a * mean + b, 2 * a * spread - lost)
    }
    var (mean, spread) = (cos(start) * m, variance(start))
    let h: Double = (end - start) / Double(steps)
    for step in 0..<steps {
      let angle: Double = start + h * Double(step)
      // Runge-Kutta of fourth order.
      let k1 = slope(angle, mean, spread)
      let k2 = slope(angle + h / 2, mean + h / 2 * k1.mean, spread + h / 2 * k1.spread)
      let k3 = slope(angle + h / 2, mean + h / 2 * k2.mean, spread + h / 2 * k2.spread)
      let k4 = slope(angle + h, mean + h * k3.mean, spread + h * k3.spread)
      let (outer, inner) = (k1.mean + k4.mean, k2.mean + k3.mean)
      let (outerSpread, innerSpread) = (k1.spread + k4.spread, k2.spread + k3.spread)
      mean += h / 6 * (outer + 2 * inner)
      spread += h / 6 * (outerSpread + 2 * innerSpread)
    }
    let (rightMean, rightSpread) = (cos(end) * m, variance(end))
    #expect(abs(mean - rightMean) < 1e-7 && abs(spread - rightSpread) < 1e-7, "η \(eta): \(mean), \(spread)")
  }

  @Test("samples of the SDE have the ODE's mean and variance, within four standard errors")
  func samples() throws {
    let (start, end, steps, count) = (1.4, 0.2, 300, 3000)
    func draw(_ i: Int) -> [Double] {
      NoiseStream(key: 8).normal(draw: i, height: 1, width: count, channels: 1).floats().map(Double.init)
    }
    let first = draw(0).map { cos(start) * m + variance(start).squareRoot() * $0 }
    var walk = first
    let h = (start - end) / Double(steps)
    for step in 0..<steps {
      // Backwards Euler-Maruyama from the middle of the step.
      let angle = start - h * (Double(step) + 0.5)
      let ((a, b), g) = (drift(angle, eta: 1), (2 * tan(angle) * h).squareRoot())
      let noise = draw(step + 1)
      for i in walk.indices { walk[i] += -h * (a * walk[i] + b) + g * noise[i] }
    }
    // The ODE's own end points, in closed form.
    let ratio = (variance(end) / variance(start)).squareRoot()
    let flow = first.map { cos(end) * m + ratio * ($0 - cos(start) * m) }
    for (name, values) in [("SDE", walk), ("ODE", flow)] {
      let mean = values.reduce(0, +) / Double(count)
      let spread = values.reduce(0) { $0 + pow($1 - mean, 2) } / Double(count - 1)
      let error = (variance(end) / Double(count)).squareRoot()
      #expect(abs(mean - cos(end) * m) < 4 * error, "\(name): mean \(mean)")
      #expect(abs(spread / variance(end) - 1) < 4 * (2 / Double(count)).squareRoot(), "\(name): variance \(spread)")
    }
  }
}
