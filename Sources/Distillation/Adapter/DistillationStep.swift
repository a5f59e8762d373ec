package import Diffusion
internal import Foundation
package import Tensor

/// A network with its condition: `z`, `[B, H, W, C]`, and a level for each sample in, its output of the same shape out.
package typealias Denoise = (Tensor, [NoiseLevel]) throws -> Tensor

/// Who takes part in a step. The target and the teacher are asked off the tape.
package struct DistillationNetworks {
  package var schedule: Schedule
  package var parameterisation: Parameterisation
  /// θ, on the tape.
  package var student: Denoise
  /// θ⁻, where it is not the student.
  package var target: Denoise?
  /// The network as it was at the start, for its ODE.
  package var teacher: Denoise?

  package init(
    schedule: Schedule = .cosineAngle, parameterisation: Parameterisation = .v, student: @escaping Denoise,
    target: Denoise? = nil, teacher: Denoise? = nil
  ) {
    self.schedule = schedule
    self.parameterisation = parameterisation
    self.student = student
    self.target = target
    self.teacher = teacher
  }
}

/// A condition that is the wanted picture, smaller: `[B, H/scale, W/scale, 3]`.
package struct ReducedCondition {
  package var scale: Int
  package var picture: Tensor

  /// From a condition `[B, H, W, K]` whose first three channels are the small picture, enlarged.
  package init(_ condition: Tensor, scale: Int) throws {
    self.scale = scale
    picture = try condition.channels(0..<3).reduced(by: scale)
  }
}

/// The loss of one CoDi step and its parts.
package struct DistillationLoss {
  package var total: Tensor
  /// Each part before its weight.
  package var values: [String: Double]
}

/// One CoDi step (arXiv:2310.01407v2, Algorithm "CDD"): self-consistency of the adapted network along an ODE, and
/// conditional guidance towards the true picture. Which of each is `options`; their defaults are the paper's.
///
/// Two things of the paper are left out. The boundary form `c_skip z + c_out x̂`: with v-prediction the estimate at t = 0 is z
/// itself. And its integer steps: times are continuous, and the paper's step of one in a thousand is `gap`.
///
/// - Parameters:
///   - x: true pictures, `[B, H, W, 3]` in −1…1.
///   - epsilon: the noise `ε`, of the shape of `x`.
///   - times: `t` for each sample.
///   - seen: samples seen so far, which gaps, weights and stages depend on.
///   - reduced: what the cycle term compares with; needed where it has a weight.
package func distillationLoss(
  _ networks: DistillationNetworks, x: Tensor, epsilon: Tensor, times: [Double], options: DistillationOptions,
  seen: Int = 0, reduced: ReducedCondition? = nil
) throws -> DistillationLoss {
  let form = networks.parameterisation
  let drawn = options.form == .progressive ? times.map { options.onGrid($0, seen: seen).t } : times
  let t = drawn.map(networks.schedule.level(at:))
  let z = try diffuse(x, noise: epsilon, to: t)
  let out = try networks.student(z, t)
  let signal = try form.signal(from: out, at: z, t)
  let noise = try form.noise(from: out, at: z, t)
  let velocity = try form.velocity(from: out, at: z, t)

  var values: [String: Double] = [:]
  // d_x: the guidance loss is measured even where it has no weight, since it tells when a run is being lost.
  let guidance = try signal.squaredError(to: x, weights: options.guidanceWeights(t))
  values["guidance"] = guidance.each.reduce(0) { $0 + Double($1) } / Double(guidance.each.count)
  values.merge(byQuarter(guidance.each, t, prefix: "guidance-t")) { a, _ in a }
  var parts: [(Float, Tensor)] = [(options.guidance, guidance.loss)]

  let truth = try Parameterisation.v.target(signal: x, noise: epsilon, t)
  let conditional = try velocity.squaredError(to: truth)
  values["velocity"] = Double(conditional.loss.scalar)
  parts.append((options.velocity, conditional.loss))

  if options.cycle > 0 {
    guard let reduced else {
      throw TrainingError(
        .recipe, at: "distillation.cycle", "This task's condition is no smaller picture to return to.",
        remedy: "Take the line out of the recipe.")
    }
    let mine = try signal.reduced(by: reduced.scale)
    let loss = try mine.squaredError(to: reduced.picture, weights: t.alphas).loss
    values["cycle"] = Double(loss.scalar)
    parts.append((options.cycle, loss))
  }

  let weight = options.consistencyWeight(seen: seen)
  if weight > 0 {
    let loss: Tensor
    switch options.form {
    case .discrete:
      let s = drawn.map { networks.schedule.level(at: options.earlier(than: $0, seen: seen, networks.schedule)) }
      let wanted = try withoutGradients {
        let zs: Tensor
        switch options.ode {
        case .data: zs = try diffuse(x, noise: epsilon, to: s)
        case .own:
          zs = try options.predictor.step(
            signal: signal.detached, predicted: noise.detached, noise: epsilon, to: s, gamma: options.gamma)
        case .frozen:
          let out = try networks.teacher.required("teacher")(z, t)
          zs = try options.predictor.step(
            signal: try form.signal(from: out, at: z, t), predicted: try form.noise(from: out, at: z, t),
            noise: epsilon, to: s, gamma: options.gamma)
        }
        let right = options.target == .ema ? try networks.target.required("target") : networks.student
        let out = try right(zs, s)
        return
          switch options.space
        {
        case .noise: try form.noise(from: out, at: zs, s)
        case .signal: try form.signal(from: out, at: zs, s)
        case .velocity: try form.velocity(from: out, at: zs, s)
        }
      }
      let mine =
        switch options.space {
        case .noise: noise
        case .signal: signal
        case .velocity: try Parameterisation.v.target(signal: signal, noise: noise, s)
        }
      loss = try mine.squaredError(
        to: wanted, weights: options.consistencyWeights(t, s), metric: options.errorMetric
      ).loss
    case .continuous:
      let wanted = try withoutGradients {
        try velocityWithTangent(networks, velocity.detached, z, t, x, epsilon, options, seen: seen)
      }
      loss = try velocity.squaredError(to: wanted, weights: options.consistencyWeights(t, nil)).loss
    case .progressive:
      let gap = options.onGrid(1, seen: seen).gap
      let s = drawn.map { networks.schedule.level(at: max(0, $0 - gap)) }
      let wanted = try withoutGradients { try velocityOfTwoSteps(networks, z, drawn, gap) }
      loss = try velocity.squaredError(
        to: wanted, weights: options.consistencyWeights(t, s), metric: options.errorMetric
      ).loss
      values["steps"] = options.latest / gap
    }
    values["consistency"] = Double(loss.scalar)
    parts.append((weight, loss))
  }

  var total: Tensor?
  for (weight, loss) in parts where weight > 0 {
    let weighted = try loss.scaled(weight)
    total = if let sum = total { try sum + weighted } else { weighted }
  }
  guard let total else {
    throw TrainingError(
      .recipe, at: "distillation", "No loss has a weight.", remedy: "Give consistency, guidance or velocity a weight.")
  }
  return DistillationLoss(total: total, values: values)
}

/// What the velocity should be for `f = cos φ z − sin φ v` not to change along the ODE: `v + g / (rms g + 0.1)` with
/// `g = cos φ · df/dφ`, sCM (arXiv:2410.11081v2), Algorithm 1 at `σ_d = 1`. The derivative of the network along
/// `cos φ sin φ (dz/dφ, 1)` is a central difference.
/// - Parameter v: the student's velocity at `z`.
private func velocityWithTangent(
  _ networks: DistillationNetworks, _ v: Tensor, _ z: Tensor, _ t: [NoiseLevel], _ x: Tensor, _ epsilon: Tensor,
  _ options: DistillationOptions, seen: Int
) throws -> Tensor {
  let form = networks.parameterisation
  // dz/dφ.
  let u: Tensor
  switch options.ode {
  case .own: u = v
  case .frozen: u = try form.velocity(from: try networks.teacher.required("teacher")(z, t), at: z, t)
  case .data: u = try Parameterisation.v.target(signal: x, noise: epsilon, t)
  }
  let speed = t.map { $0.alpha * $0.sigma }
  // Small against the finest feature of the time embedding, sin(1000 t); large against float32's rounding.
  let h: Float = 3e-4
  func moved(_ sign: Float) throws -> Tensor {
    let there = zip(t, speed).map {
      networks.schedule.level(at: networks.schedule.time(angle: $0.angle + Double(sign * h * $1)))
    }
    let zThere = try Tensor.sum([1], z, speed.map { sign * h * $0 }, u)
    return try form.velocity(from: try networks.student(zThere, there), at: zThere, there)
  }
  let derivative = try Tensor.sum(1 / (2 * h), try moved(1), -1 / (2 * h), try moved(-1))
  let share = options.tangentShare(seen: seen)
  let unstable = try Tensor.sum(speed.map { -share * $0 }, z, [-share], derivative)
  let g = try Tensor.sum(t.map { -$0.alpha * $0.alpha }, try v - u, [1], unstable)
  let lengths = try g.squaredError(to: .zeros(g.shape)).each.map { $0.squareRoot() }
  return try Tensor.sum([1], v, lengths.map { 1 / ($0 + 0.1) }, g)
}

/// The velocity that goes in one step where the teacher goes in two DDIM steps of half the gap: `z_s = cos δ z − sin δ v`
/// solved for `v`. Progressive distillation (arXiv:2202.00512v2), Algorithm 2, in angles.
private func velocityOfTwoSteps(
  _ networks: DistillationNetworks, _ z: Tensor, _ times: [Double], _ gap: Double
) throws -> Tensor {
  let form = networks.parameterisation
  let teacher = try networks.teacher.required("teacher")
  func levels(_ back: Double) -> [NoiseLevel] { times.map { networks.schedule.level(at: max(0, $0 - back)) } }
  var zs = z
  for (t, s) in [(levels(0), levels(gap / 2)), (levels(gap / 2), levels(gap))] {
    let out = try teacher(zs, t)
    zs = try Predictor.ddim.step(
      signal: try form.signal(from: out, at: zs, t), predicted: try form.noise(from: out, at: zs, t), noise: zs, to: s)
  }
  let angles = zip(levels(0), levels(gap)).map { $0.angle - $1.angle }
  return try Tensor.sum(angles.map { Float(1 / tan($0)) }, z, angles.map { Float(-1 / sin($0)) }, zs)
}

extension Optional where Wrapped == Denoise {
  /// A network that the options ask for.
  fileprivate func required(_ name: String) throws -> Denoise {
    guard let network = self else {
      throw TrainingError(
        .recipe, at: "distillation", "The step needs a \(name) network and was given none.",
        remedy: "Pass it, or choose other options.")
    }
    return network
  }
}
