public import Adapters
public import Bundles
internal import Foundation
internal import Networks
public import Registry
public import Tensor

/// Trains an adapter for a frozen core: CoDi (arXiv:2310.01407v2) in a single stage, or one of the methods that it is compared
/// with.
@Compute public final class AdapterTrainer {
  public let recipe: AdapterRecipe
  public let folder: RunFolder
  /// Type of activations: the recipe's, or float32 on a CPU without bfloat16.
  public let precision: DType
  private let core: UNet
  private let encoder: ConditionEncoder
  private let feed: ConditionedFeed
  private let noise: NoiseStream
  private let coreDigest: String
  private let stages: [TrainingMethod.Stage]
  private let ranks: Ranks

  /// - Parameters:
  ///   - core: stays frozen; its weights are shared by all networks of the run that do not learn them.
  ///   - plugin: an instance of the recipe's task, made with the recipe's parameters.
  ///   - inputs: what a user brings, and
  ///   - scale: output pixels for each input pixel, from the task's manifest.
  ///   - start: an adapter's weights to start from instead of a copy of the core's encoder.
  ///   - ranks: the processes that train together.
  /// - Throws: `TrainingError`, `DataError` or `BundleError` before the first step for anything that is lacking.
  public init(
    _ recipe: AdapterRecipe, core: Core, plugin: TaskPlugin,
    inputs: [Manifest.Condition.Input] = [.init(name: "image", kind: .rgb)], scale: Int, in folder: RunFolder,
    from start: StartingPoint? = nil, ranks: Ranks = .alone,
    loading: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
  ) throws {
    self.recipe = recipe
    self.folder = folder
    self.ranks = ranks
    precision = recipe.training.precision.onThisCPU
    coreDigest = core.digest
    stages = recipe.method.stages(recipe)
    try folder.check(recipe.inRun) { try AdapterRecipe(parsing: $0, source: $1).inRun }
    let origin = try folder.origin(of: start, samplesBefore: recipe.training.samplesBefore)
    if let problem = recipe.data.problem(granularity: Self.multiple(of: core.network.configuration.granularity, scale))
    {
      throw TrainingError(.recipe, at: "data.crops.sizes", "\(problem).", remedy: "Correct the sizes in the recipe.")
    }
    if recipe.distillation.cycle > 0, scale < 2 || recipe.encoder.conditionChannels < 3 {
      throw TrainingError(
        .recipe, at: "distillation.cycle",
        "The task's condition is no smaller picture to return to: scale \(scale), "
          + "\(recipe.encoder.conditionChannels) channels.", remedy: "Take the line out of the recipe.")
    }
    for parameter in core.network.parameters { parameter.isTrainable = false }
    self.core =
      recipe.method == .randomCore ? try core.network.scrambled(seed: recipe.training.seed) : core.network
    encoder = ConditionEncoder(recipe.encoder, core: core.network.configuration, seed: recipe.training.seed)
    try encoder.copyEncoder(of: self.core)
    if let start { try Weights.load(encoder.parameters, from: start.weights) }
    noise = NoiseStream(seed: recipe.training.seed, digest: Array("adapter".utf8))
    feed = ConditionedFeed(
      crops: try recipe.data.open(hasDepth: inputs.contains { $0.kind == .depth }, progress: loading),
      plugin: plugin, inputs: inputs, scale: scale,
      conditionChannels: recipe.encoder.conditionChannels, noise: noise.derived(1))
    // Last, so that a run that cannot start leaves no folder behind.
    let text = try recipe.yaml()
    for stage in stages where ranks.isFirst { try folder.below(stage.folder).prepare(recipe: text, origin: origin) }
  }

  /// Photographs that are left out, and why.
  public var brokenPhotographs: [Photographs.Broken] { feed.crops.broken }

  /// The smallest common multiple.
  private static func multiple(of a: Int, _ b: Int) -> Int {
    stride(from: a, through: a * b, by: a).first { $0 % b == 0 } ?? a * b
  }

  /// Trains to the end, or until `shouldStop`; resumes by itself.
  /// - Parameter notice: takes sentences about a run that is in trouble.
  public func run(
    threads: ThreadCount = .all, shouldStop: () -> Bool, report: (TrainingProgress) -> Void,
    notice: (String) -> Void = { _ in }
  ) throws -> TrainingEnd {
    var (core, encoder) = (core, encoder)
    for (number, stage) in stages.enumerated() {
      let trainer = try StageTrainer(
        recipe, stage, number: number, core: core, encoder: encoder, precision: precision, feed: feed, noise: noise,
        in: folder.below(stage.folder), identity: [Self.coreKey: coreDigest], ranks: ranks)
      let end = try trainer.run(threads: threads, shouldStop: shouldStop, report: report, notice: notice)
      guard end == .finished else { return .stopped }
      let result = try trainer.result()
      core = result.core
      if let trained = result.encoder {
        encoder = trained
      } else {
        // The next stage's adapter begins as a copy of the core as it is now.
        try encoder.copyEncoder(of: core)
      }
    }
    if ranks.isFirst, core !== self.core || recipe.method == .randomCore { try writeNetworks(core, encoder) }
    return .finished
  }

  /// The core of the run's own, and the adapter for it, where they are no bundle's: averaged weights.
  private func writeNetworks(_ core: UNet, _ encoder: ConditionEncoder) throws {
    let own = core.parameters.map { (name: String($0.name.dropFirst(core.scope.count)), tensor: $0.value) }
    try SafetensorsWriter.write(Weights.entries(own), to: folder.ownCore.path)
    try SafetensorsWriter.write(
      Weights.entries(encoder.parameters.map { ($0.name, $0.value) }), to: folder.ownAdapter.path)
  }

  /// Where a checkpoint says which core the run steers.
  nonisolated static let coreKey = "core-digest"
}
