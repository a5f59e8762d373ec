public import Bundles
public import Diffusion
public import Networks
internal import Registry
internal import Tensor

/// How an adapter is trained: `Plugins/TASK/recipe.yaml`.
public struct AdapterRecipe: Codable, Sendable, Hashable {
  /// Always `adapter`.
  public var kind = "adapter"
  /// `publisher/name` and version of the bundle that the run makes.
  public var name = ""
  public var version = "0.1.0"
  /// The core to steer, `publisher/name@version` from the store.
  public var core = ""
  public var task = Task()
  public var method = TrainingMethod.codi
  /// Share of the samples that the first stage of a two-stage method gets.
  public var stageShare = 0.5
  public var encoder = ConditionEncoderConfiguration()
  /// Learning rate of `μ` relative to the others.
  public var muRate: Float = 1
  public var data = TrainingData()
  public var training = TrainingOptions()
  public var distillation = DistillationOptions()
  public var diagnostics = DiagnosticsOptions()
  /// How the sheets in the run folder are sampled, and what the bundle will say.
  public var sampling = Sampling()

  /// The task plugin and what it is told in training.
  public struct Task: Codable, Sendable, Hashable {
    /// The plugin's target: `lib<plugin>.so` beside the program.
    public var plugin = ""
    /// Numbers handed to the plugin's `create`.
    public var parameters: [String: Double] = [:]
    public init() {}
  }

  public struct Sampling: Codable, Sendable, Hashable {
    public var steps = [1, 2, 3, 4]
    public var defaultSteps = 4
    public var predictor = Predictor.ddim
    /// Time that sampling starts from; below 1 the first three condition channels are the picture to start from.
    public var start = 1.0
    public init() {}

    var problem: String? {
      let rising = zip(steps, steps.dropFirst()).allSatisfy(<)
      if steps.isEmpty || !rising || !steps.allSatisfy({ (1...1000).contains($0) }) {
        return "steps must be rising numbers from 1 to 1000, found \(steps)"
      }
      if !steps.contains(defaultSteps) { return "default-steps, \(defaultSteps), must be among the steps \(steps)" }
      if !(start > 0 && start <= 1) { return "start must be above 0, at most 1, found \(start)" }
      return nil
    }
  }

  public init() {}

  public init(parsing text: String, source: String) throws(BundleError) {
    let node = try YAML.parse(text, source: source)
    self = try Options.decode(AdapterRecipe.self, from: node, defaults: AdapterRecipe(), source: source)
    if let problem { throw BundleError(.invalidValue, at: source, "\(problem).", remedy: "Edit the recipe.") }
  }

  /// What is wrong, in a sentence.
  private var problem: String? {
    if kind != "adapter" { return "kind is \"\(kind)\", expected adapter" }
    if let problem = CoreRecipe.identityProblem(name, version) { return problem }
    if (try? Reference(core)) == nil { return "core must name one, for example codi/photo@0.1.0, found \"\(core)\"" }
    if task.plugin.isEmpty { return "task.plugin is missing, for example SuperResolution" }
    if !(1...1024).contains(encoder.conditionChannels) {
      return "encoder: condition-channels must be from 1 to 1024, found \(encoder.conditionChannels)"
    }
    if !(muRate > 0 && muRate.isFinite) { return "mu-rate must be a number above 0, found \(muRate)" }
    if let problem = training.problem { return "training: \(problem)" }
    if let problem = distillation.problem { return "distillation: \(problem)" }
    if let problem = methodProblem { return problem }
    if let problem = diagnostics.problem { return "diagnostics: \(problem)" }
    if let problem = sampling.problem { return "sampling: \(problem)" }
    if sampling.start < 1, encoder.conditionChannels < 3 {
      return
        "sampling.start below 1 starts from the condition's first three channels; it has \(encoder.conditionChannels)"
    }
    if sampling.start > distillation.latest {
      return "sampling.start, \(sampling.start), must not be above distillation.latest, \(distillation.latest): "
        + "noisier times are never trained"
    }
    return nil
  }

  private var methodProblem: String? {
    if !(stageShare > 0 && stageShare < 1) { return "stage-share must be between 0 and 1, found \(stageShare)" }
    if !method.usesOptions {
      // What a method brings itself would be read here and not done.
      var plain = DistillationOptions()
      (plain.trains, plain.times, plain.first, plain.gap) =
        (distillation.trains, distillation.times, distillation.first, distillation.gap)
      (plain.latest, plain.earliest, plain.targetDecay) =
        (distillation.latest, distillation.earliest, distillation.targetDecay)
      if plain != distillation {
        return "method \(method.rawValue) brings its own losses: of distillation it takes trains, times, first, gap, "
          + "latest, earliest and target-decay alone"
      }
    }
    if method == .regression, sampling.start < 1 {
      return "method regression sees no noise, so sampling.start is 1, found \(sampling.start)"
    }
    if distillation.form == .continuous, distillation.consistency > 0, training.precision != .f32 {
      return
        "distillation: form continuous takes differences that bfloat16 does not resolve: training.precision must be f32"
    }
    return nil
  }

  /// Why no bundle can be made of such a run, in a sentence; `nil` where one can.
  var labOnly: String? {
    if distillation.trains == .everything { return "distillation.trains is everything: the run has a core of its own" }
    if !method.keepsCore { return "method \(method.rawValue) does not make an adapter for the core that it names" }
    return nil
  }

  /// The recipe with every default written out.
  public func yaml() throws(BundleError) -> String { YAML.write(try Options.encode(self)) }

  /// What a run may not change on its way: everything but the record of what came before.
  var inRun: Self {
    var recipe = self
    recipe.training.samplesBefore = nil
    return recipe
  }

  /// Name of the run folder unless another is asked for.
  public var runName: String { "\(name.split(separator: "/").last ?? "adapter")-\(version)" }
}
