internal import Diffusion

/// How a run gets from a core to a fast conditional network: a recipe's `method:`. All share one trainer, one data feed and one
/// budget of samples; what the recipe's `distillation:` section says holds except for what the method is about.
public enum TrainingMethod: String, Codable, Sendable, CaseIterable {
  /// Single-stage conditional distillation, as the recipe's options say.
  case codi
  /// The conditional v-loss alone, as ControlNet (arXiv:2302.05543v3): slow to sample, and the teacher of others.
  case fineTune = "fine-tune"
  /// The core is distilled progressively, then steered ("GD-I" in CoDi's tables).
  case progressiveThenCondition = "progressive-then-condition"
  /// The core is steered, then the steered network is distilled progressively ("GD-II").
  case conditionThenProgressive = "condition-then-progressive"
  /// The core becomes a consistency model (arXiv:2303.01469v2), then it is steered ("CM-I").
  case consistencyThenCondition = "consistency-then-condition"
  /// The core is steered, then the steered network becomes a consistency model ("CM-II").
  case conditionThenConsistency = "condition-then-consistency"
  /// The same with LCM's settings (arXiv:2310.04378v1, §4.3): a skipping step of 0.02 along the frozen teacher's ODE, pseudo-Huber.
  case lcm
  /// A conditional mean by the same network in one evaluation, without noise.
  case regression
  /// As `codi`, on a core whose weights are random: does the prior matter?
  case randomCore = "random-core"

  /// One training of a run.
  struct Stage: Sendable {
    enum Trains: Sendable { case adapter, everything, core }
    /// Folder below the run's; empty for the last stage, whose folder is the run's own.
    var folder = ""
    var trains: Trains
    var options: DistillationOptions
    var samples: Int
    /// Always the noisiest time, and no noise: the network never sees anything but the condition.
    var ignoresNoise = false
  }

  /// What is trained one after the other.
  func stages(_ recipe: AdapterRecipe) -> [Stage] {
    let (all, options) = (recipe.training.samples, recipe.distillation)
    let trains: Stage.Trains = options.trains == .adapter ? .adapter : .everything
    let first = max(1, min(all - 1, Int(Double(all) * recipe.stageShare)))
    func single(_ options: DistillationOptions) -> [Stage] { [Stage(trains: trains, options: options, samples: all)] }
    func distilThenCondition(_ distil: DistillationOptions) -> [Stage] {
      [
        Stage(folder: "distil", trains: .core, options: distil, samples: first),
        Stage(trains: trains, options: options.conditional, samples: all - first),
      ]
    }
    func conditionThenDistil(_ distil: DistillationOptions) -> [Stage] {
      [
        Stage(folder: "condition", trains: trains, options: options.conditional, samples: first),
        Stage(trains: trains, options: distil, samples: all - first),
      ]
    }
    switch self {
    case .codi, .randomCore: return single(options)
    case .fineTune: return single(options.conditional)
    case .progressiveThenCondition: return distilThenCondition(options.progressive(samples: first))
    case .conditionThenProgressive: return conditionThenDistil(options.progressive(samples: all - first))
    case .consistencyThenCondition: return distilThenCondition(options.consistencyModel)
    case .conditionThenConsistency: return conditionThenDistil(options.consistencyModel)
    case .lcm:
      var lcm = options.consistencyModel
      (lcm.metric, lcm.metricWidth, lcm.targetDecay) = (.pseudoHuber, 1e-3, 0.95)
      return conditionThenDistil(lcm)
    case .regression:
      var mean = options.conditional
      (mean.guidance, mean.velocity, mean.latest) = (1, 0, 1)
      return [Stage(trains: trains, options: mean, samples: all, ignoresNoise: true)]
    }
  }

  /// Whether the recipe's own choices of the step are used, not only its times.
  var usesOptions: Bool { self == .codi || self == .randomCore }

  /// Whether the result steers the core that the recipe names, as a sampler with noise.
  var keepsCore: Bool {
    switch self {
    case .codi, .fineTune, .conditionThenProgressive, .conditionThenConsistency, .lcm: true
    case .progressiveThenCondition, .consistencyThenCondition, .regression, .randomCore: false
    }
  }
}

extension DistillationOptions {
  /// Which times are drawn, and what learns: what every method keeps of a recipe's section.
  private var kept: DistillationOptions {
    var kept = DistillationOptions()
    (kept.trains, kept.times, kept.first, kept.latest, kept.targetDecay) = (
      trains, times, firstTime, latest, targetDecay
    )
    return kept
  }

  /// The conditional v-loss alone.
  fileprivate var conditional: DistillationOptions {
    var options = kept
    (options.consistency, options.guidance, options.velocity) = (0, 0, 1)
    return options
  }

  /// Consistency distillation (arXiv:2303.01469v2, Algorithm 2): a step of a frozen teacher's ODE, one of fifty.
  fileprivate var consistencyModel: DistillationOptions {
    var options = kept
    (options.ode, options.predictor, options.space) = (.frozen, .ddim, .signal)
    (options.consistency, options.guidance, options.gap) = (1, 0, 0.02)
    return options
  }

  /// From 32 steps to one, in equal shares of the samples.
  fileprivate func progressive(samples: Int) -> DistillationOptions {
    var options = kept
    (options.form, options.ode, options.predictor, options.space) = (.progressive, .frozen, .ddim, .velocity)
    (options.consistency, options.guidance) = (1, 0)
    options.stageSamples = max(1, samples / (options.progressiveSteps.trailingZeroBitCount + 1))
    return options
  }
}
