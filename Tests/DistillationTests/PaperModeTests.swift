import Adapters
import Diffusion
import Distillation
import Foundation
import Networks
import Tensor
import Testing

/// One step of CoDi (arXiv:2310.01407v2, Algorithm "CDD") against the same step written out in doubles.
@Suite("The distillation step", .serialized, .oneThread) @Compute struct PaperModeTests {
  let x, c, epsilon: Tensor
  let student, target: ConditionalDenoiser
  let batch = 3

  init() throws { try self.init(sees: .conditionAndNoisy) }

  /// - Parameter sees: what the encoder looks at; the paper's sees the condition alone.
  init(sees: ConditionEncoderConfiguration.Sees) throws {
    var configuration = UNetConfiguration()
    configuration.channels = [8, 12]
    configuration.blocks = [1, 1]
    configuration.embedding = 16
    configuration.nativeSize = 8
    let core = UNet(configuration, seed: 3)
    try Self.scatter(core.parameters, by: 0.3, seed: 1)
    for parameter in core.parameters { parameter.isTrainable = false }
    func denoiser(_ seed: UInt64) throws -> ConditionalDenoiser {
      var encoder = ConditionEncoderConfiguration()
      encoder.sees = sees
      let made = ConditionEncoder(encoder, core: configuration)
      try made.copyEncoder(of: core)
      try Self.scatter(made.parameters, by: 0.2, seed: seed)
      return ConditionalDenoiser(core: core, encoder: made, precision: .f32)
    }
    (student, target) = (try denoiser(7), try denoiser(8))
    for parameter in target.encoder.parameters { parameter.isTrainable = false }
    let noise = NoiseStream(key: 5)
    func normal(_ draw: Int) -> Tensor {
      NoiseStream.normal((0..<3).map { noise.derived($0) }, draw: draw, height: 8, width: 8, channels: 3)
    }
    (x, c, epsilon) = (try Tensor.sum(0.5, normal(0), 0, normal(0)), normal(1), normal(2))
  }

  /// Adds normal noise, so that no output is zero and no two networks agree.
  static func scatter(_ parameters: [Parameter], by scale: Float, seed: UInt64) throws {
    for (i, parameter) in parameters.enumerated() {
      let noise = NoiseStream(key: seed).derived(UInt64(i))
        .normal(draw: 0, height: 1, width: parameter.value.count, channels: 1)
      try parameter.assign(try Tensor.sum(1, parameter.value, scale, try noise.reshaped(parameter.shape)))
    }
  }

  // MARK: The step written out

  struct Parts {
    var guidance = 0.0, velocity = 0.0, consistency = 0.0
    /// The target in noise and in signal space, fixed.
    var wanted: [[Double]] = []
  }

  /// What the step should say, with cosines in doubles; the networks' outputs are all that it takes from the program.
  func expected(
    _ times: [Double], _ options: DistillationOptions, student: ConditionalDenoiser? = nil, fixed: [[Double]]? = nil
  ) throws -> Parts {
    var parts = Parts()
    let each = Double(8 * 8 * 3)
    for (i, t) in times.enumerated() {
      let (alpha, sigma) = (cos(.pi * t / 2), sin(.pi * t / 2))
      let s = max(t - options.gap, options.earliest)
      let (alphaS, sigmaS) = (cos(.pi * s / 2), sin(.pi * s / 2))
      let clean = x.sample(i).floats().map(Double.init)
      let noise = epsilon.sample(i).floats().map(Double.init)
      let z = zip(clean, noise).map { alpha * $0 + sigma * $1 }
      let v = try run(student ?? self.student, z, i, t)
      let signal = zip(z, v).map { alpha * $0 - sigma * $1 }
      let predicted = zip(z, v).map { sigma * $0 + alpha * $1 }
      let truth = zip(clean, noise).map { alpha * $1 - sigma * $0 }
      parts.guidance += Self.squares(signal, clean) / each
      parts.velocity += Self.squares(v, truth) / each
      var wanted = fixed?[i] ?? []
      if fixed == nil {
        let kept =
          switch options.predictor {
          case .prev: noise
          case .ddim, .dpmSolver: predicted
          case .mix: zip(noise, predicted).map { Double(options.gamma) * $0 + (1 - Double(options.gamma)) * $1 }
          }
        let zs = zip(signal, kept).map { alphaS * $0 + sigmaS * $1 }
        let vs = try run(target, zs, i, s)
        wanted =
          switch options.space {
          case .noise: zip(zs, vs).map { sigmaS * $0 + alphaS * $1 }
          case .signal: zip(zs, vs).map { alphaS * $0 - sigmaS * $1 }
          case .velocity: vs
          }
      }
      let mine =
        switch options.space {
        case .noise: predicted
        case .signal: signal
        case .velocity: zip(predicted, signal).map { alphaS * $0 - sigmaS * $1 }
        }
      parts.consistency += Self.squares(wanted, mine) / each
      parts.wanted.append(wanted)
    }
    let n = Double(times.count)
    parts.guidance /= n
    parts.velocity /= n
    parts.consistency /= n
    return parts
  }

  private func run(_ denoiser: ConditionalDenoiser, _ z: [Double], _ i: Int, _ time: Double) throws -> [Double] {
    let z = try Tensor(z.map(Float.init), shape: [1, 8, 8, 3])
    return try denoiser(z, c.sample(i), [Schedule.cosineAngle.level(at: time)]).floats().map(Double.init)
  }

  private static func squares(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  }

  func loss(_ times: [Double], _ options: DistillationOptions) throws -> DistillationLoss {
    try distillationLoss(networks, x: x, epsilon: epsilon, times: times, options: options)
  }

  var networks: DistillationNetworks {
    DistillationNetworks(student: { try student($0, c, $1) }, target: { try target($0, c, $1) })
  }

  // MARK: Paper mode

  @Test("the defaults are the paper's: true-noise step of 1/1,000, noise space, both weights 1, one time for the batch")
  func defaults() {
    let paper = DistillationOptions()
    #expect(paper.predictor == .prev && paper.space == .noise && paper.times == .common)
    #expect(paper.consistency == 1 && paper.guidance == 1 && paper.velocity == 0 && paper.warmUpSamples == 0)
    #expect(paper.gap == 1.0 / 1000 && paper.earliest == 0 && paper.latest == 1)
    #expect(paper.trains == .adapter && paper.form == .discrete && paper.ode == .own && paper.target == .ema)
    #expect(paper.metric == .l2 && paper.weighting == .none && paper.guidanceSchedule == .constant)
    #expect(paper.gaps == .fixed && paper.cycle == 0 && AdapterRecipe().method == .codi)
    // The first value of every choice.
    #expect(Predictor.allCases.first == .prev && DistillationOptions.Space.allCases.first == .noise)
    #expect(DistillationOptions.Form.allCases.first == .discrete && DistillationOptions.ODE.allCases.first == .own)
    #expect(DistillationOptions.Target.allCases.first == .ema && DistillationOptions.Metric.allCases.first == .l2)
    let draw = StepNoise(NoiseStream(key: 1), step: 4, like: x)
    let times = draw.commonTime(from: paper.gap, to: paper.latest)
    #expect(Set(times).count == 1 && times.count == batch && (paper.gap...1).contains(times[0]))
    #expect(StepNoise(NoiseStream(key: 1), step: 5, like: x).commonTime() != times, "every step draws anew")
  }

  nonisolated static let variants: [DistillationOptions] = {
    var all = [DistillationOptions()]
    for predictor in [Predictor.prev, .ddim, .mix] {
      for space in DistillationOptions.Space.allCases {
        var options = DistillationOptions()
        (options.predictor, options.space, options.gamma) = (predictor, space, 0.3)
        (options.gap, options.earliest) = (0.1, 0.02)
        (options.consistency, options.guidance, options.velocity) = (2, 0.5, 0.25)
        all.append(options)
      }
    }
    return all
  }()

  @Test(
    "every part and the total are those of the step written out, whatever the encoder sees",
    arguments: variants, ConditionEncoderConfiguration.Sees.allCases)
  func parts(options: DistillationOptions, sees: ConditionEncoderConfiguration.Sees) throws {
    let step = try PaperModeTests(sees: sees)
    for times in [[0.63, 0.63, 0.63], [0.105, 0.4, 0.98]] {
      let loss = try step.loss(times, options)
      let expected = try step.expected(times, options)
      func agrees(_ name: String, _ value: Double) throws {
        let found = try #require(loss.values[name])
        #expect(abs(found - value) < 2e-5 * value, "\(name): \(found), written out \(value)")
      }
      try agrees("guidance", expected.guidance)
      try agrees("velocity", expected.velocity)
      try agrees("consistency", expected.consistency)
      let total =
        Double(options.consistency) * expected.consistency + Double(options.guidance) * expected.guidance
        + Double(options.velocity) * expected.velocity
      #expect(abs(Double(loss.total.scalar) - total) < 2e-5 * total)
      #expect(expected.consistency > 0.01 && expected.guidance > 0.01, "nothing is hidden in zeros")
    }
  }

  @Test("at consistency weight 0 the target is not asked")
  func warmUp() throws {
    var options = DistillationOptions()
    options.velocity = 1
    options.warmUpSamples = 100
    let loss = try self.loss([0.5, 0.5, 0.5], options)
    let expected = try expected([0.5, 0.5, 0.5], options)
    #expect(loss.values["consistency"] == nil)
    #expect(abs(Double(loss.total.scalar) - expected.guidance - expected.velocity) < 1e-4)
    options.guidance = 0
    options.velocity = 0
    #expect(throws: TrainingError.self) { try self.loss([0.5, 0.5, 0.5], options) }
  }

  // MARK: Identities (reference: the rotation form of v-prediction)

  @Test("the DDIM step is the rotation cos δ · z − sin δ · v")
  func rotation() throws {
    let (t, s) = (Schedule.cosineAngle.level(at: 0.7), Schedule.cosineAngle.level(at: 0.55))
    let z = try diffuse(x, noise: epsilon, to: [t])
    let v = try student(z, c, [t])
    let step = try Predictor.ddim.step(
      signal: try Parameterisation.v.signal(from: v, at: z, [t]),
      predicted: try Parameterisation.v.noise(from: v, at: z, [t]), noise: epsilon, to: [s])
    let delta = 0.15 * Double.pi / 2
    let rotated = zip(z.floats(), v.floats()).map { Float(cos(delta) * Double($0) - sin(delta) * Double($1)) }
    #expect(step.largestDifference(from: try Tensor(rotated, shape: z.shape)) < 1e-5)
    let prev = try Predictor.prev.step(
      signal: try Parameterisation.v.signal(from: v, at: z, [t]),
      predicted: try Parameterisation.v.noise(from: v, at: z, [t]), noise: epsilon, to: [s])
    #expect(prev.largestDifference(from: step) > 0.01, "the true noise makes another step")
  }

  @Test(
    "with a DDIM step noise-space consistency is SNR(s) times signal-space consistency; with the true noise it is not")
  func signalToNoise() throws {
    for time in [0.3, 0.6, 0.9] {
      func consistency(_ predictor: Predictor, _ space: DistillationOptions.Space) throws -> Double {
        var options = DistillationOptions()
        (options.predictor, options.space, options.gap) = (predictor, space, 0.1)
        return try #require(try loss([time, time, time], options).values["consistency"])
      }
      let ratio = 1 / pow(tan((time - 0.1) * .pi / 2), 2)
      #expect(abs(Schedule.cosineAngle.level(at: time - 0.1).signalToNoise / ratio - 1) < 1e-5)
      let ddim = try consistency(.ddim, .noise) / consistency(.ddim, .signal)
      #expect(abs(ddim / ratio - 1) < 1e-4, "at \(time): \(ddim), SNR \(ratio)")
      let prev = try consistency(.prev, .noise) / consistency(.prev, .signal)
      #expect(abs(prev / ratio - 1) > 0.01, "at \(time)")
    }
  }

  @Test("a DDIM step of no length leaves nothing to correct where student and target are one network")
  func noStep() throws {
    for (mine, theirs) in zip(student.encoder.parameters, target.encoder.parameters) { try theirs.assign(mine.value) }
    for space in DistillationOptions.Space.allCases {
      var options = DistillationOptions()
      (options.predictor, options.space, options.gap) = (.ddim, space, 0)
      let loss = try loss([0.2, 0.5, 0.95], options)
      #expect(try #require(loss.values["consistency"]) < 1e-9)
      // The true noise moves z by α (x̂ − x) even then.
      options.predictor = .prev
      #expect(try #require(try self.loss([0.2, 0.5, 0.95], options).values["consistency"]) > 1e-4)
    }
  }

  // MARK: Gradients

  @Test("gradients are those of the loss with target and ẑ_s held fixed", arguments: variants.dropFirst())
  func stopGradient(options: DistillationOptions) throws {
    var options = options
    options.gap = 0.3
    let times = [0.4, 0.6, 0.8]
    func total(_ parts: Parts) -> Double {
      Double(options.consistency) * parts.consistency + Double(options.guidance) * parts.guidance
        + Double(options.velocity) * parts.velocity
    }
    let (_, gradients) = try withGradients { try loss(times, options).total }
    let fixed = try expected(times, options).wanted
    let parameters = student.encoder.parameters
    let all = try parameters.map { try #require(gradients[$0], "\($0.name) gets no gradient") }
    // One direction over all parameters, and each blend alone: along the gradient the slope is its length.
    let mus = student.encoder.mus.map(\.name)
    let directions =
      [parameters.indices.map { $0 }] + parameters.indices.filter { mus.contains(parameters[$0].name) }.map { [$0] }
    for direction in directions {
      let length = direction.reduce(0.0) { $0 + all[$1].squaredNorm }.squareRoot()
      func slope(_ fixed: [[Double]]?) throws -> Double {
        let h = 4e-3
        let originals = direction.map { parameters[$0].value }
        func at(_ sign: Double) throws -> Double {
          for (k, original) in zip(direction, originals) {
            try parameters[k].assign(try Tensor.sum(1, original, Float(sign * h / length), all[k]))
          }
          return total(try expected(times, options, fixed: fixed))
        }
        let difference = try at(1) - at(-1)
        for (k, original) in zip(direction, originals) { try parameters[k].assign(original) }
        return difference / (2 * h)
      }
      let names = direction.count > 1 ? "all" : parameters[direction[0]].name
      let numeric = try slope(fixed)
      #expect(abs(numeric / length - 1) < 5e-3, "\(names): numeric \(numeric), tape \(length)")
      if direction.count > 1 {
        #expect(abs(try slope(nil) / length - 1) > 0.02, "a gradient through ẑ_s would have been seen")
      }
    }
  }

  @Test("neither the core nor the target gets a gradient, even one whose parameters may be trained")
  func frozen() throws {
    for parameter in target.encoder.parameters { parameter.isTrainable = true }
    let (_, gradients) = try withGradients { try loss([0.5, 0.6, 0.7], DistillationOptions()).total }
    for parameter in target.encoder.parameters + student.core.parameters { #expect(gradients[parameter] == nil) }
    for parameter in student.encoder.parameters {
      #expect(try #require(gradients[parameter]).squaredNorm > 0, "\(parameter.name)")
    }
  }
}
