import Diffusion
import Foundation
import Tensor
import Testing

@Suite("Steps and samplers, against data whose denoiser is known exactly") @Compute struct SamplerTests {
  @Test("the DDIM step is a rotation by the difference of angles")
  func rotation() throws {
    let (z, v, t, s) = (normal(0), normal(1), level(0.7), level(0.25))
    let step = try Sampler(steps: 1).advance(z, output: v, noise: z, from: t, to: s).z
    let delta = t.angle - s.angle
    let rotated = try Tensor.sum(Float(cos(delta)), z, -Float(sin(delta)), v)
    #expect(step.largestDifference(from: rotated) < 2e-6)
  }

  @Test("PREv lands on α_s x̂ + σ_s ε with the true noise, whatever the network says about it")
  func prev() throws {
    let (x, noise, t, s) = (normal(0), normal(1), [level(0.9), level(0.6)], [level(0.5), level(0.1)])
    let z = try diffuse(x, noise: noise, to: t)
    let out = normal(2)
    let signal = try Parameterisation.v.signal(from: out, at: z, t)
    let predicted = try Parameterisation.v.noise(from: out, at: z, t)
    let step = try Predictor.prev.step(signal: signal, predicted: predicted, noise: noise, to: s)
    #expect(step.floats() == (try diffuse(signal, noise: noise, to: s)).floats())
    let ddim = try Predictor.ddim.step(signal: signal, predicted: predicted, noise: noise, to: s)
    #expect(step.largestDifference(from: ddim) > 0.1)
    let perfect = try Predictor.prev.step(signal: x, predicted: predicted, noise: noise, to: s)
    #expect(
      perfect.floats() == (try diffuse(x, noise: noise, to: s)).floats(), "x̂ = x: a sample of the forward process")
  }

  @Test(
    "DDIM's end point converges to the ODE's m + q (z − cos φ m) / S, at first order",
    arguments: [(Parameterisation.v, 1.0), (.x, 1), (.v, 0.6), (.x, 0.6), (.epsilon, 0.6)])
  func convergence(parameterisation: Parameterisation, start: Double) throws {
    let data = Gaussian(m: 0.3, q: 0.5)
    let noise = normal(0)
    func error(_ steps: Int) throws -> Float {
      let sampler = Sampler(parameterisation: parameterisation, steps: steps, start: start)
      let picture: Tensor? = start < 1 ? normal(1) : nil
      let z = try sampler.begin(noise: noise, from: picture)
      let end = try sampler.sample(noise: noise, from: picture) { try data.output(parameterisation, $0, $1) }
      return end.largestDifference(from: try data.end(z, level(start)))
    }
    let errors = try [16, 32, 64, 128].map { try error($0) }
    for (coarse, fine) in zip(errors, errors.dropFirst()) {
      #expect((1.7...2.3).contains(coarse / fine), "twice the steps, half the error: \(errors)")
    }
    #expect(errors[3] < 0.02)
  }

  @Test(
    "data that is one point comes back in one step and in several",
    arguments: Predictor.allCases, Parameterisation.allCases)
  func pointMass(predictor: Predictor, parameterisation: Parameterisation) throws {
    let data = Gaussian(m: 0.7, q: 0)
    for steps in [1, 3] {
      let sampler = Sampler(
        parameterisation: parameterisation, predictor: predictor, steps: steps,
        start: parameterisation == .epsilon ? 0.9 : 1)
      let end = try sampler.sample(noise: normal(0)) { try data.output(parameterisation, $0, $1) }
      #expect(end.largestDifference(from: .full(end.shape, 0.7)) < 1e-5)
    }
  }

  @Test("any number of steps runs, asks once a level from noisy to clean, and repeats its bits", arguments: 1...7)
  func anySteps(steps: Int) throws {
    let data = Gaussian(m: 0.3, q: 0.5)
    for predictor in Predictor.allCases {
      let sampler = Sampler(predictor: predictor, steps: steps)
      var asked: [NoiseLevel] = []
      let first = try sampler.sample(noise: normal(0)) {
        asked.append($1)
        return try data.output(.v, $0, $1)
      }
      #expect(asked == Array(sampler.levels.dropLast()))
      let second = try sampler.sample(noise: normal(0)) { try data.output(.v, $0, $1) }
      #expect(first.floats() == second.floats())
      #expect(first.floats().allSatisfy { $0.isFinite })
    }
  }

  @Test("γ leads from DDIM to the true noise")
  func mix() throws {
    let (x, noise, predicted, s) = (normal(0), normal(1), normal(2), [level(0.4)])
    func step(_ predictor: Predictor, _ gamma: Float = 0.5) throws -> Tensor {
      try predictor.step(signal: x, predicted: predicted, noise: noise, to: s, gamma: gamma)
    }
    #expect(try step(.mix, 0).largestDifference(from: step(.ddim)) < 1e-6)
    #expect(try step(.mix, 1).largestDifference(from: step(.prev)) < 1e-6)
    let half = try (try step(.ddim) + step(.prev)).scaled(0.5)
    #expect(try step(.mix, 0.5).largestDifference(from: half) < 1e-6)
  }

  @Test("DPM-Solver++(2M) is of second order in λ = ln(α/σ), where DDIM is of first")
  func dpmSolverOrder() throws {
    let data = Gaussian(m: 0.3, q: 0.5)
    let start = normal(0)
    /// Levels from λ = −2 to 2 in equal parts; the exact ODE goes from z_t to α_s m + (S_s / S_t)(z_t − α_t m).
    func error(_ predictor: Predictor, _ steps: Int) throws -> Float {
      let levels = (0...steps).map { place -> NoiseLevel in
        let lambda: Double = -2 + 4 * Double(place) / Double(steps)
        return level(atan(exp(-lambda)) * 2 / .pi)
      }
      let sampler = Sampler(predictor: predictor, steps: steps)
      var (z, memory) = (start, Predictor.Memory?.none)
      for (t, s) in zip(levels, levels.dropFirst()) {
        let step = try sampler.advance(z, output: data.output(.v, z, t), noise: z, from: t, to: s, after: memory)
        (z, memory) = (step.z, step.memory)
      }
      func spread(_ t: NoiseLevel) -> Float {
        let (kept, lost): (Float, Float) = (t.alpha * t.alpha / 4, t.sigma * t.sigma)
        return (kept + lost).squareRoot()
      }
      let (t, s) = (levels[0], levels[steps])
      let ratio = spread(s) / spread(t)
      let shift: Float = 0.3 * (s.alpha - ratio * t.alpha)
      let exact = try Tensor.sum(ratio, start, 1, .full(start.shape, shift))
      return z.largestDifference(from: exact)
    }
    // Fewer steps of the second are off by chance: their errors change sign.
    let counts = [32, 64, 128]
    let first = try counts.map { try error(.ddim, $0) }
    let second = try counts.map { try error(.dpmSolver, $0) }
    for (coarse, fine) in zip(first, first.dropFirst()) { #expect((1.8...2.2).contains(coarse / fine), "\(first)") }
    for (coarse, fine) in zip(second, second.dropFirst()) { #expect((3.5...4.3).contains(coarse / fine), "\(second)") }
  }

  @Test("over equal times DPM-Solver++(2M) nears the ODE's end faster than DDIM", arguments: [1.0, 0.6])
  func dpmSolver(start: Double) throws {
    let data = Gaussian(m: 0.3, q: 0.5)
    func error(_ predictor: Predictor, _ steps: Int) throws -> Float {
      let sampler = Sampler(predictor: predictor, steps: steps, start: start)
      let z = try sampler.begin(noise: normal(0), from: start < 1 ? normal(1) : nil)
      let end = try sampler.sample(noise: normal(0), from: start < 1 ? normal(1) : nil) {
        try data.output(.v, $0, $1)
      }
      return end.largestDifference(from: try data.end(z, level(start)))
    }
    let errors = try [64, 256].map { try error(.dpmSolver, $0) }
    #expect(errors[0] / errors[1] > 8, "between first order's 4 and second order's 16: \(errors)")
    for steps in [8, 16, 64] {
      let (ddim, solver) = (try error(.ddim, steps), try error(.dpmSolver, steps))
      #expect(solver < ddim / 2, "\(steps) steps: \(solver) against \(ddim)")
    }
    #expect(try error(.dpmSolver, 1) == error(.ddim, 1), "one step has none to look back at")
  }

  @Test("a start below 1 begins from the picture with noise on it")
  func start() throws {
    let (picture, noise) = (normal(0), normal(1))
    let sampler = Sampler(steps: 2, start: 0.55)
    let z = try sampler.begin(noise: noise, from: picture)
    #expect(z.floats() == (try diffuse(picture, noise: noise, to: [level(0.55)])).floats())
    #expect(try sampler.begin(noise: noise).floats() == noise.floats())
  }
}
