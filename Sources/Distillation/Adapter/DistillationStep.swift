package import Adapters
internal import Diffusion
internal import Networks
package import Tensor

/// The loss of one CoDi step and its parts.
package struct DistillationLoss {
  package var total: Tensor
  /// Each part before its weight.
  package var values: [String: Double]
}

/// One CoDi step (arXiv:2310.01407v2, Algorithm "CDD"): self-consistency of the adapted network along its own ODE, and
/// conditional guidance towards the true picture.
///
/// Two things of the paper are left out. The boundary form `c_skip z + c_out x̂`: with v-prediction the estimate at t = 0 is z
/// itself. And its integer steps: times are continuous, and the paper's step of one in a thousand is `gap`.
///
/// - Parameters:
///   - student: the adapted network being trained.
///   - target: the same core with the target encoder, whose parameters are frozen.
///   - x: true pictures, `[B, H, W, 3]` in −1…1.
///   - condition: `[B, H, W, K]`.
///   - epsilon: the noise `ε`, of the shape of `x`.
///   - times: `t` for each sample.
///   - consistency: weight of self-consistency at this moment; at 0 the target is not evaluated.
package func distillationLoss(
  student: ConditionalDenoiser, target: ConditionalDenoiser, x: Tensor, condition: Tensor, epsilon: Tensor,
  times: [Double], options: DistillationOptions, consistency: Float
) throws -> DistillationLoss {
  let (schedule, form) = (student.core.configuration.schedule, student.core.configuration.parameterisation)
  let t = times.map(schedule.level(at:))
  let z = try diffuse(x, noise: epsilon, to: t)
  let out = try student(z, condition, t)
  let signal = try form.signal(from: out, at: z, t)
  let noise = try form.noise(from: out, at: z, t)

  var values: [String: Double] = [:]
  // d_x: the guidance loss is measured even where it has no weight, since it tells when a run is being lost.
  let guidance = try signal.squaredError(to: x)
  values["guidance"] = Double(guidance.loss.scalar)
  values.merge(byQuarter(guidance.each, t, prefix: "guidance-t")) { a, _ in a }
  var parts: [(Float, Tensor)] = [(options.guidance, guidance.loss)]

  let velocity = try form.velocity(from: out, at: z, t)
    .squaredError(to: try Parameterisation.v.target(signal: x, noise: epsilon, t))
  values["velocity"] = Double(velocity.loss.scalar)
  parts.append((options.velocity, velocity.loss))

  if consistency > 0 {
    let s = times.map { schedule.level(at: max($0 - options.gap, options.earliest)) }
    let wanted = try withoutGradients {
      let zs = try options.predictor.step(
        signal: signal.detached, predicted: noise.detached, noise: epsilon, to: s)
      let outS = try target(zs, condition, s)
      return
        switch options.space
      {
      case .noise: try form.noise(from: outS, at: zs, s)
      case .signal: try form.signal(from: outS, at: zs, s)
      }
    }
    let mine = options.space == .noise ? noise : signal
    let loss = try mine.squaredError(to: wanted).loss
    values["consistency"] = Double(loss.scalar)
    parts.append((consistency, loss))
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
