public import Diffusion
internal import Foundation
internal import Tensor

/// The choices of one distillation step: a recipe's `distillation:` section. The defaults are *paper mode*,
/// CoDi (arXiv:2310.01407v2), Algorithm "CDD" with the main text's predictor.
public struct DistillationOptions: Codable, Hashable, Sendable {
  /// What self-consistency is asked of.
  public enum Form: String, Codable, Sendable, CaseIterable {
    /// Of two points a gap apart: the paper's.
    case discrete
    /// Of a point and its tangent: sCM (arXiv:2410.11081v2), Algorithm 1, with finite differences and without the learned
    /// weight.
    case continuous
    /// Of one step and two half ones of a teacher that the student replaces at each halving of the number of steps:
    /// progressive distillation (arXiv:2202.00512v2, Algorithm 2).
    case progressive
  }
  /// Where the two predictions are compared.
  public enum Space: String, Codable, Sendable, CaseIterable {
    /// `ε̂`: the paper's.
    case noise
    /// `x̂`; equal to noise space times `σ_s² / α_s²` with a DDIM step.
    case signal
    /// `v̂_s` against the student's rotated to s, `α_s ε̂ − σ_s x̂`; equal to signal space over `σ_s²` with a DDIM step.
    case velocity
  }
  /// How times are drawn.
  public enum Times: String, Codable, Sendable, CaseIterable {
    /// One and the same for the whole batch: the paper's.
    case common
    /// One equal share of the range for each sample.
    case stratified
  }
  /// How far `s` is from `t`.
  public enum Gaps: String, Codable, Sendable, CaseIterable {
    /// `gap`: the paper's.
    case fixed
    /// ECT's mapping (arXiv:2406.14548v2, §3.2): wide at first, half as wide after every `stage-samples`.
    case curriculum
  }
  /// Which path leads from `z_t` to `ẑ_s`.
  public enum ODE: String, Codable, Sendable, CaseIterable {
    /// The trained network's own: the paper's ("distilling the PF-ODE").
    case own
    /// That of the network as it was at the start: of the core alone from fresh weights, of a teacher with `--from`.
    case frozen
    /// Of this sample: `α_s x + σ_s ε`, consistency training (arXiv:2303.01469v2, Algorithm 3).
    case data
  }
  /// Whose prediction at `ẑ_s` is right.
  public enum Target: String, Codable, Sendable, CaseIterable {
    /// A running average of the trained weights: the paper's.
    case ema
    /// The trained weights themselves, without a gradient: iCT (arXiv:2310.14189v2), §3.2.
    case stopGradient = "stop-gradient"
  }
  /// What a sample's disagreement counts for.
  public enum Metric: String, Codable, Sendable, CaseIterable {
    /// Its mean square: the paper's.
    case l2
    case pseudoHuber = "pseudo-huber"
    case cauchy
  }
  /// Weights of self-consistency over noise.
  public enum Weighting: String, Codable, Sendable, CaseIterable {
    /// 1: the paper's.
    case none
    /// `1 / (t − s)`.
    case inverseGap = "inverse-gap"
    /// `α_t² / σ_t²`.
    case snr
    /// The same, at most `snr-limit` (arXiv:2303.09556v3).
    case minSNR = "min-snr"
  }
  /// λ over noise.
  public enum GuidanceSchedule: String, Codable, Sendable, CaseIterable {
    /// The same everywhere: the paper's.
    case constant
    /// `min(1, 2 α²)`: fades in the noisy half, where the mean that `d_x` asks for and the end of the ODE that
    /// self-consistency asks for differ most.
    case fading
  }
  /// Which weights learn.
  public enum Trains: String, Codable, Sendable, CaseIterable {
    /// The adapter's; the core is frozen.
    case adapter
    /// A copy of the core, too: the paper's larger setting, for the lab. No bundle can be made of it.
    case everything
  }

  public var trains = Trains.adapter
  public var form = Form.discrete
  /// The step from `z_t` to `ẑ_s`.
  public var predictor = Predictor.prev
  /// Share of the true noise in the step of predictor `mix`.
  public var gamma: Float = 0.5
  public var ode = ODE.own
  public var target = Target.ema
  public var space = Space.noise
  public var metric = Metric.l2
  /// Width of the robust metrics, for each number of a sample (arXiv:2310.14189v2, §3.3).
  public var metricWidth: Float = 0.00054
  public var weighting = Weighting.none
  public var snrLimit: Float = 5
  /// Weight of self-consistency.
  public var consistency: Float = 1
  /// Weight λ of conditional guidance, `‖x − x̂‖²` in signal space.
  public var guidance: Float = 1
  public var guidanceSchedule = GuidanceSchedule.constant
  /// Weight of the conditional v-loss, `‖v − v̂‖²`: guidance times `1 / σ²`. Not in the paper.
  public var velocity: Float = 0
  /// Weight of the condition's return, `α_t ‖D x̂ − D c‖²`, where `D` takes means over the task's scale: for tasks whose
  /// output is larger than their input. Not in the paper.
  public var cycle: Float = 0
  public var times = Times.common
  public var gaps = Gaps.fixed
  /// `t − s` in time units; the paper's is one step of 1,000.
  public var gap = 0.001
  /// Samples before gaps are halved (`gaps: curriculum`) or the number of steps is (`form: progressive`).
  public var stageSamples = 0
  /// Steps that progressive distillation begins with; a power of two.
  public var progressiveSteps = 32
  /// Samples over which the tangent's unstable part rises to its weight (`form: continuous`).
  public var tangentWarmUp = 10_000
  /// Times are drawn from `first … latest`; `nil` stands for the gap, as in the paper. A wide gap would leave the last steps
  /// of a long sampling untrained; there `s` stops at `earliest`.
  public var first: Double?
  /// Below 1 for tasks that start from a picture.
  public var latest = 1.0
  /// The smallest `s`: at no noise there is no noise to predict.
  public var earliest = 0.0
  /// Decay of the target network's weights towards the trained ones.
  public var targetDecay: Float = 0.999
  /// Samples before self-consistency joins, and over which it rises to its weight. Not in the paper.
  public var warmUpSamples = 0

  public init() {}

  /// The smallest time that is drawn.
  var firstTime: Double { first ?? gap }

  /// Whether a second network follows the trained one.
  var needsTarget: Bool { consistency > 0 && form == .discrete && target == .ema }
  /// Whether the network as it was at the start is asked.
  var needsTeacher: Bool { consistency > 0 && ode == .frozen }

  /// What is wrong, in a sentence.
  var problem: String? {
    if !(gap > 0 && gap < 1) { return "gap must be between 0 and 1, found \(gap)" }
    let first = firstTime
    if !(latest > first && latest <= 1) { return "latest must be above \(first) and at most 1, found \(latest)" }
    if !(first > 0) { return "first must be above 0, found \(first)" }
    // Otherwise s would come after t.
    if !(earliest >= 0 && earliest <= first) { return "earliest must be from 0 to \(first), found \(earliest)" }
    if !(targetDecay >= 0 && targetDecay <= 1) { return "target-decay must be from 0 to 1, found \(targetDecay)" }
    if !(0...1).contains(gamma) { return "gamma must be from 0 to 1, found \(gamma)" }
    if !(metricWidth > 0 && metricWidth.isFinite) {
      return "metric-width must be a number above 0, found \(metricWidth)"
    }
    if !(snrLimit > 0 && snrLimit.isFinite) { return "snr-limit must be a number above 0, found \(snrLimit)" }
    let weights = [consistency, guidance, velocity]
    if !weights.allSatisfy({ $0 >= 0 && $0.isFinite }) || weights.allSatisfy({ $0 == 0 }) {
      return "consistency, guidance and velocity must not be negative nor all zero, found \(weights)"
    }
    if !(cycle >= 0 && cycle.isFinite) { return "cycle must not be negative, found \(cycle)" }
    if warmUpSamples < 0 { return "warm-up-samples must not be negative, found \(warmUpSamples)" }
    if warmUpSamples > 0, guidance == 0, velocity == 0 {
      return "warm-up-samples leaves nothing to learn at first: give guidance or velocity a weight"
    }
    if guidance == 0, guidanceSchedule != .constant { return "guidance-schedule has nothing to fade: guidance is 0" }
    if stageSamples < 0 || tangentWarmUp < 0 { return "stage-samples and tangent-warm-up must not be negative" }
    return contradiction
  }

  /// Choices that exclude each other.
  private var contradiction: String? {
    if predictor == .dpmSolver {
      return "predictor dpm-solver++ looks back at the step before, which a training step does not have: choose ddim"
    }
    if ode == .data, predictor != .prev {
      return
        "ode data makes ẑ_s of the true picture and noise, so that there is nothing to predict: leave predictor out"
    }
    let halves = gaps == .curriculum || form == .progressive
    if halves != (stageSamples > 0) {
      return halves
        ? "stage-samples must say how many samples lie between two halvings"
        : "stage-samples is for gaps: curriculum and form: progressive"
    }
    if form != .discrete, gaps == .curriculum { return "gaps: curriculum is for form: discrete" }
    switch form {
    case .discrete: return nil
    case .continuous:
      if ode != .data, predictor != .ddim {
        return "form continuous follows a velocity, which true noise does not give: choose predictor ddim, or ode data"
      }
      if space != .velocity { return "form continuous has its tangent in velocity: choose space velocity" }
      if target != .stopGradient {
        return "form continuous takes the tangent of the trained weights themselves: choose target stop-gradient"
      }
      if metric != .l2 { return "form continuous normalises its tangent instead: choose metric l2" }
      if weighting == .inverseGap { return "form continuous has no gap: choose another weighting" }
    case .progressive:
      if ode != .frozen || predictor != .ddim {
        return "form progressive takes two steps of a teacher: choose ode frozen and predictor ddim"
      }
      if space != .velocity { return "form progressive compares velocities: choose space velocity" }
      if progressiveSteps < 1 || progressiveSteps > 1024 || progressiveSteps.nonzeroBitCount != 1 {
        return "progressive-steps must be a power of two up to 1024, found \(progressiveSteps)"
      }
    }
    return nil
  }

  // MARK: What changes while a run goes on

  /// Weight of self-consistency after `seen` samples: off during the warm-up, then rising over as many samples again.
  func consistencyWeight(seen: Int) -> Float {
    guard warmUpSamples > 0 else { return consistency }
    return consistency * min(1, max(0, Float(seen - warmUpSamples) / Float(warmUpSamples)))
  }

  /// How often gaps or steps have been halved.
  package func halvings(seen: Int) -> Int {
    let times = seen / max(1, stageSamples)
    return form == .progressive ? min(times, progressiveSteps.trailingZeroBitCount) : min(times, 9)
  }

  /// `s` for `t`.
  package func earlier(than t: Double, seen: Int, _ schedule: Schedule) -> Double {
    switch gaps {
    case .fixed: return max(t - gap, earliest)
    case .curriculum:
      // In noise levels τ = tan φ: τ_s = τ (1 − (1 + 8 / (1 + e^τ)) / 2^(k + 1)), at most 0.999 τ.
      let level = schedule.level(at: t)
      let tau = Double(level.sigma) / Double(level.alpha)
      let share = max(0.001, exp2(-Double(halvings(seen: seen) + 1)))
      let ratio = max(0, 1 - share * (1 + 8 / (1 + exp(tau))))
      return max(schedule.time(angle: atan2(ratio * Double(level.sigma), Double(level.alpha))), earliest)
    }
  }

  /// `t` on the grid of progressive distillation's present number of steps, and the width of one.
  package func onGrid(_ t: Double, seen: Int) -> (t: Double, gap: Double) {
    let steps = Double(progressiveSteps >> halvings(seen: seen))
    let gap = latest / steps
    return (latest * min(steps, max(1, (t / gap).rounded(.up))) / steps, gap)
  }

  /// Share of the tangent's unstable part.
  func tangentShare(seen: Int) -> Float { tangentWarmUp == 0 ? 1 : min(1, Float(seen) / Float(tangentWarmUp)) }

  // MARK: Weights

  var errorMetric: ErrorMetric {
    switch metric {
    case .l2: .squares
    case .pseudoHuber: .pseudoHuber(width: metricWidth)
    case .cauchy: .cauchy(width: metricWidth)
    }
  }

  /// A weight for each sample, or one for all.
  /// - Parameter s: `nil` in continuous time.
  func consistencyWeights(_ t: [NoiseLevel], _ s: [NoiseLevel]?) -> [Float] {
    switch weighting {
    case .none: return [1]
    case .inverseGap: return zip(t, s ?? t).map { Float(1 / max(1e-4, $0.time - $1.time)) }
    case .snr: return t.map { Float($0.signalToNoise) }
    case .minSNR: return t.map { Float(min(Double(snrLimit), $0.signalToNoise)) }
    }
  }

  func guidanceWeights(_ t: [NoiseLevel]) -> [Float] {
    switch guidanceSchedule {
    case .constant: [1]
    case .fading: t.map { min(1, 2 * $0.alpha * $0.alpha) }
    }
  }
}
