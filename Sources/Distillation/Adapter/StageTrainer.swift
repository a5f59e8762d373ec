internal import Adapters
internal import Bundles
internal import Diffusion
internal import Foundation
internal import Imaging
internal import Networks
internal import Tensor

/// One training of an adapter's run: CoDi's only one, or one of two of the methods it is compared with.
@Compute final class StageTrainer {
  private let recipe: AdapterRecipe
  private let stage: TrainingMethod.Stage
  private let folder: RunFolder
  private let student: StageNetwork
  private let target, teacher: StageNetwork?
  private let averaged: StageNetwork
  private let optimiser: AdamW
  private let loop: TrainingLoop
  private let feed: ConditionedFeed
  private let noise: NoiseStream
  /// Steps of data before this stage's: stages of one run see different pictures.
  private let firstStep: Int
  private let ranks: Ranks
  /// The core as it came, for comparison.
  private let core: UNet
  /// Made when it is first asked for.
  private var probe: (probe: Probe, ofCore: Double)?
  private var prefetcher: Prefetcher<ConditionedBatch>?

  /// - Parameters:
  ///   - core: what the stage starts from; written to never.
  ///   - encoder: likewise, and `nil` only where the stage trains the core.
  ///   - number: of the stage in its run.
  init(
    _ recipe: AdapterRecipe, _ stage: TrainingMethod.Stage, number: Int, core: UNet, encoder: ConditionEncoder,
    precision: DType, feed: ConditionedFeed, noise: NoiseStream, in folder: RunFolder, identity: [String: String],
    ranks: Ranks
  ) throws {
    (self.ranks, self.core) = (ranks, core)
    (self.recipe, self.stage, self.folder, self.feed, self.noise) = (recipe, stage, folder, feed, noise)
    firstStep = number << 36
    func network(isTrainable: Bool = false) throws -> StageNetwork {
      try StageNetwork(stage.trains, core: core, encoder: encoder, precision: precision, isTrainable: isTrainable)
    }
    student = try network(isTrainable: true)
    averaged = try network()
    target = stage.options.needsTarget ? try network() : nil
    teacher = stage.options.needsTeacher ? try network() : nil
    let (mus, rate) = (Set((student.encoder?.mus ?? []).map(\.name)), recipe.muRate)
    // With the condition alone there is one time embedding at time 0: its layers still learn.
    optimiser = AdamW(student.parameters, recipe.training.optimiser) { mus.contains($0.name) ? rate : 1 }
    var extra: [String: [Parameter]] = [:]
    extra["extra"] = target?.parameters
    extra["teacher"] = teacher?.parameters
    var training = recipe.training
    training.samples = stage.samples
    loop = TrainingLoop(
      folder, training, optimiser, extra: extra, identity: identity, ranks: ranks, diagnostics: recipe.diagnostics)
  }

  func run(
    threads: ThreadCount, shouldStop: () -> Bool, report: (TrainingProgress) -> Void, notice: (String) -> Void
  ) throws -> TrainingEnd {
    try loop.run(
      threads: threads, step: step, afterStep: afterStep, sheet: sheet, measure: measure, shouldStop: shouldStop,
      report: report, notice: notice)
  }

  /// The network with the averaged weights of the stage's end.
  func result() throws -> StageNetwork {
    for (parameter, entry) in zip(averaged.parameters, optimiser.entries) {
      try parameter.assign(entry.average.copied())
    }
    return averaged
  }

  private func step(_ index: Int) throws -> TrainingLoop.Outcome {
    let batches =
      prefetcher
      ?? Prefetcher(from: firstStep + index) { [feed, ranks] in
        try feed.batch(step: $0, ranks: ranks)
      }
    prefetcher = batches
    guard let batch = try batches.next() else { throw CancellationError() }
    let x = try Tensor(batch.clean, shape: [batch.count, batch.size, batch.size, 3])
    let condition = try Tensor(
      batch.condition, shape: [batch.count, batch.size, batch.size, recipe.encoder.conditionChannels])
    let draw = StepNoise(noise, step: firstStep + index, like: x, ranks: ranks)
    let options = stage.options
    var (epsilon, times) = (draw.epsilon, [Double](repeating: 1, count: batch.count))
    switch options.times {
    case _ where stage.ignoresNoise: epsilon = .zeros(x.shape)
    case .common: times = draw.commonTime(from: options.firstTime, to: options.latest)
    case .stratified: times = draw.times(from: options.firstTime, to: options.latest)
    }
    let networks = DistillationNetworks(
      schedule: student.core.configuration.schedule, parameterisation: student.core.configuration.parameterisation,
      student: student.denoise(condition), target: target?.denoise(condition), teacher: teacher?.denoise(condition))
    let reduced = options.cycle > 0 ? try ReducedCondition(condition, scale: feed.scale) : nil
    let seen = loop.samples
    var values: [String: Double] = [:]
    let (loss, gradients) = try withGradients {
      let loss = try distillationLoss(
        networks, x: x, epsilon: epsilon, times: times, options: options, seen: seen, reduced: reduced)
      values = loss.values
      return loss.total
    }
    values.merge(student.blends) { a, _ in a }
    return TrainingLoop.Outcome(loss: loss.scalar, gradients: gradients, samples: batch.count, values: values)
  }

  /// θ⁻ ← γ θ⁻ + (1 − γ) θ; and where the number of steps is halved, the student becomes the teacher.
  private func afterStep(seen: Int) throws {
    let options = stage.options
    for (theirs, mine) in zip(target?.parameters ?? [], student.parameters) {
      try theirs.assign(try Tensor.sum(options.targetDecay, theirs.value, 1 - options.targetDecay, mine.value))
    }
    if options.form == .progressive, options.halvings(seen: seen) > options.halvings(seen: loop.samples) {
      for (theirs, entry) in zip(teacher?.parameters ?? [], optimiser.entries) {
        try theirs.assign(entry.average.copied())
      }
    }
  }

  /// What diagnostics look at: `d_x` against the core's, samples against the truth, how far the weights are from their
  /// average, and μ.
  private func measure() throws -> [String: Double] {
    let network = try result()
    let (schedule, form) = (core.configuration.schedule, core.configuration.parameterisation)
    var (moved, length) = (0.0, 0.0)
    for (mine, average) in zip(student.parameters, network.parameters) {
      moved += try (mine.value - average.value).squaredNorm
      length += mine.value.squaredNorm
    }
    var values = ["drift": (moved / max(length, 1e-30)).squareRoot()]
    values["mu-largest"] = student.blends.values.max()
    guard network.encoder != nil else { return values }
    func guidance(_ probe: Probe, _ denoise: Denoise) throws -> Double {
      try probe.guidance(denoise, schedule, form, upTo: stage.options.latest, ignoresNoise: stage.ignoresNoise)
    }
    if probe == nil {
      let made = try Probe(
        try feed.batch(step: 1 << 40), channels: recipe.encoder.conditionChannels, count: recipe.diagnostics.conditions,
        noise: noise.derived(1 << 41))
      let (core, precision) = (core, student.precision)
      probe = (made, try guidance(made) { try core($0, $1, precision: precision) })
    }
    guard let (probe, ofCore) = probe else { return values }
    let denoise = try network.sampling(probe.condition)
    values["guidance-ratio"] = try guidance(probe, denoise) / max(ofCore, 1e-30)
    let sampler = sampler(steps: recipe.sampling.defaultSteps)
    var samples = try probe.samples(seeds: recipe.diagnostics.seeds) { noise, condition in
      let denoise = try network.sampling(condition)
      return try sampler.sample(
        noise: start(noise), from: sampler.start < 1 ? condition.channels(0..<3) : nil
      ) { try denoise($0, [$1]) }
    }
    // A regressor is meant to say one thing.
    if stage.ignoresNoise { samples["diversity"] = nil }
    return values.merging(samples) { $1 }
  }

  /// How the stage's result is sampled.
  func sampler(steps: Int) -> Sampler {
    let network = student.core.configuration
    return Sampler(
      schedule: network.schedule, parameterisation: network.parameterisation, predictor: recipe.sampling.predictor,
      steps: stage.ignoresNoise ? 1 : steps,
      start: stage.ignoresNoise || student.encoder == nil ? 1 : recipe.sampling.start)
  }

  /// What sampling starts from.
  func start(_ noise: Tensor) -> Tensor { stage.ignoresNoise ? .zeros(noise.shape) : noise }

  /// Rows of four pictures: the condition, 1 and 4 steps with the averaged weights, the truth.
  private func sheet() throws -> Bitmap? {
    let network = try result()
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
    let begin = start(
      NoiseStream.normal(
        (0..<largest.count).map { noise.derived(UInt64($0) &+ 1 << 40) }, draw: 0, height: largest.size,
        width: largest.size, channels: 3))
    var columns = [try Self.picture(of: c)]
    for steps in [1, 4] {
      let sampler = sampler(steps: steps)
      let denoise = try network.sampling(c)
      columns.append(
        try sampler.sample(noise: begin, from: sampler.start < 1 ? c.channels(0..<3) : nil) {
          try denoise($0, [$1])
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
