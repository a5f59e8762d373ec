public import Adapters
public import Bundles
internal import Diffusion
internal import Foundation
internal import Imaging
internal import Networks
public import Registry
public import Tensor

/// Trains an adapter for a frozen core in a single stage: CoDi (arXiv:2310.01407v2).
@Compute public final class AdapterTrainer {
  public let recipe: AdapterRecipe
  public let folder: RunFolder
  /// Type of activations: the recipe's, or float32 on a CPU without bfloat16.
  public let precision: DType
  private let student, target, averaged: ConditionalDenoiser
  private let optimiser: AdamW
  private let feed: ConditionedFeed
  private let noise: NoiseStream
  private let coreDigest: String
  private var prefetcher: Prefetcher<ConditionedBatch>?
  private var seen = 0

  /// - Parameters:
  ///   - core: stays frozen; its weights are shared by student and target.
  ///   - plugin: an instance of the recipe's task, made with the recipe's parameters.
  ///   - inputs: what a user brings, and
  ///   - scale: output pixels for each input pixel, from the task's manifest.
  ///   - start: an adapter's weights to start from instead of a copy of the core's encoder.
  /// - Throws: `TrainingError`, `DataError` or `BundleError` before the first step for anything that is lacking.
  public init(
    _ recipe: AdapterRecipe, core: Core, plugin: TaskPlugin,
    inputs: [Manifest.Condition.Input] = [.init(name: "image", kind: .rgb)], scale: Int, in folder: RunFolder,
    from start: StartingPoint? = nil, loading: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
  ) throws {
    self.recipe = recipe
    self.folder = folder
    precision = recipe.training.precision.onThisCPU
    coreDigest = core.digest
    try folder.check(recipe.inRun) { try AdapterRecipe(parsing: $0, source: $1).inRun }
    let origin = try folder.origin(of: start, samplesBefore: recipe.training.samplesBefore)
    if let problem = recipe.data.problem(granularity: Self.multiple(of: core.network.configuration.granularity, scale))
    {
      throw TrainingError(.recipe, at: "data.crops.sizes", "\(problem).", remedy: "Correct the sizes in the recipe.")
    }
    for parameter in core.network.parameters { parameter.isTrainable = false }
    func network(_ precision: DType) -> ConditionalDenoiser {
      ConditionalDenoiser(
        core: core.network,
        encoder: ConditionEncoder(recipe.encoder, core: core.network.configuration, seed: recipe.training.seed),
        precision: precision)
    }
    (student, target, averaged) = (network(precision), network(precision), network(precision))
    try student.encoder.copyEncoder(of: core.network)
    if let start { try Weights.load(student.encoder.parameters, from: start.weights) }
    for (mine, theirs) in zip(student.encoder.parameters, target.encoder.parameters) {
      mine.isTrainable = true
      theirs.isTrainable = false
      try theirs.assign(mine.value.copied())
    }
    let (mus, rate) = (Set(student.encoder.mus.map(\.name)), recipe.muRate)
    // With the condition alone there is one time embedding at time 0: its layers still learn.
    optimiser = AdamW(student.encoder.parameters, recipe.training.optimiser) { mus.contains($0.name) ? rate : 1 }
    noise = NoiseStream(seed: recipe.training.seed, digest: Array("adapter".utf8))
    feed = ConditionedFeed(
      crops: try recipe.data.open(hasDepth: inputs.contains { $0.kind == .depth }, progress: loading),
      plugin: plugin, inputs: inputs, scale: scale,
      conditionChannels: recipe.encoder.conditionChannels, noise: noise.derived(1))
    // Last, so that a run that cannot start leaves no folder behind.
    try folder.prepare(recipe: try recipe.yaml(), origin: origin)
  }

  /// Photographs that are left out, and why.
  public var brokenPhotographs: [Photographs.Broken] { feed.crops.broken }

  /// The smallest common multiple.
  private static func multiple(of a: Int, _ b: Int) -> Int {
    stride(from: a, through: a * b, by: a).first { $0 % b == 0 } ?? a * b
  }

  /// Trains to the end, or until `shouldStop`; resumes by itself.
  public func run(
    threads: ThreadCount = .all, shouldStop: () -> Bool, report: (TrainingProgress) -> Void
  ) throws -> TrainingEnd {
    let loop = TrainingLoop(
      folder, recipe.training, optimiser, extra: target.encoder.parameters, identity: [Self.coreKey: coreDigest])
    return try loop.run(
      threads: threads,
      step: { index in
        self.seen = loop.samples
        return try self.step(index)
      }, afterStep: moveTarget, sheet: sheet, shouldStop: shouldStop, report: report)
  }

  /// Where a checkpoint says which core the run steers.
  nonisolated static let coreKey = "core-digest"

  private func step(_ index: Int) throws -> TrainingLoop.Outcome {
    let batches = prefetcher ?? Prefetcher(from: index) { [feed] in try feed.batch(step: $0) }
    prefetcher = batches
    guard let batch = try batches.next() else { throw CancellationError() }
    let x = try Tensor(batch.clean, shape: [batch.count, batch.size, batch.size, 3])
    let condition = try Tensor(
      batch.condition, shape: [batch.count, batch.size, batch.size, recipe.encoder.conditionChannels])
    let draw = StepNoise(noise, step: index, like: x)
    let options = recipe.distillation
    let times =
      switch options.times {
      case .common: draw.commonTime(from: options.firstTime, to: options.latest)
      case .stratified: draw.times(from: options.firstTime, to: options.latest)
      }
    var values: [String: Double] = [:]
    let (loss, gradients) = try withGradients {
      let loss = try distillationLoss(
        student: student, target: target, x: x, condition: condition, epsilon: draw.epsilon, times: times,
        options: options, consistency: consistencyWeight)
      values = loss.values
      return loss.total
    }
    for (place, mu) in student.encoder.mus.enumerated() {
      let all = mu.value.floats()
      values["mu-\(place)"] = Double(all.map(abs).reduce(0, +)) / Double(all.count)
    }
    return TrainingLoop.Outcome(loss: loss.scalar, gradients: gradients, samples: batch.count, values: values)
  }

  /// Self-consistency is off during the warm-up and then rises over as many samples again.
  private var consistencyWeight: Float {
    let options = recipe.distillation
    guard options.warmUpSamples > 0 else { return options.consistency }
    let risen = Float(seen - options.warmUpSamples) / Float(options.warmUpSamples)
    return options.consistency * min(1, max(0, risen))
  }

  /// θ⁻ ← γ θ⁻ + (1 − γ) θ.
  private func moveTarget() throws {
    let decay = recipe.distillation.targetDecay
    for (theirs, mine) in zip(target.encoder.parameters, student.encoder.parameters) {
      try theirs.assign(try Tensor.sum(decay, theirs.value, 1 - decay, mine.value))
    }
  }

  /// Rows of four pictures: the condition, 1 and 4 steps with the averaged weights, the truth.
  private func sheet() throws -> Bitmap? {
    for (parameter, entry) in zip(averaged.encoder.parameters, optimiser.entries) {
      try parameter.assign(entry.average.copied())
    }
    // The first batch of the largest size among steps that training never reaches.
    let size = recipe.data.crops.sizes.map(\.size).max()
    guard let step = (1 << 40..<1 << 40 + 1000).first(where: { feed.crops.batch(step: $0).size == size }) else {
      return nil
    }
    let largest = try feed.batch(step: step)
    let shape = [largest.count, largest.size, largest.size]
    let count = min(8, largest.count)
    let x = try Tensor(largest.clean, shape: shape + [3])
    let c = try Tensor(largest.condition, shape: shape + [recipe.encoder.conditionChannels])
    let start = NoiseStream.normal(
      (0..<largest.count).map { noise.derived(UInt64($0) &+ 1 << 40) }, draw: 0, height: largest.size,
      width: largest.size, channels: 3)
    var columns = [try Self.picture(of: c)]
    for steps in [1, 4] {
      let sampler = Sampler(
        schedule: student.core.configuration.schedule, parameterisation: student.core.configuration.parameterisation,
        predictor: recipe.sampling.predictor, steps: steps, start: recipe.sampling.start)
      let prepared = try averaged.prepare(c)
      columns.append(
        try sampler.sample(noise: start, from: recipe.sampling.start < 1 ? c.channels(0..<3) : nil) {
          try averaged($0, c, [$1], prepared: prepared)
        })
    }
    columns.append(x)
    let rows = (0..<count).flatMap { i in columns.map { $0.sample(i) } }
    return pictureSheet(rows, columns: columns.count)
  }

  /// A condition as people can see it: its first three channels, or the first one in grey.
  private static func picture(of condition: Tensor) throws -> Tensor {
    if condition.shape[3] >= 3 { return condition.channels(0..<3) }
    let grey = condition.channels(0..<1)
    return try grey.concatenated(with: grey).concatenated(with: grey)
  }
}
