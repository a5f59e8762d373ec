internal import Adapters
internal import Bundles
internal import Diffusion
internal import Foundation
internal import Imaging
internal import Networks
public import Tensor

/// Trains an unconditional core: v-prediction on crops, with a running average of the weights.
@Compute public final class CoreTrainer {
  public let recipe: CoreRecipe
  public let folder: RunFolder
  /// Type of activations: the recipe's, or float32 on a CPU without bfloat16.
  public let precision: DType
  private let network: UNet
  /// The same network with the averaged weights, for pictures.
  private let averaged: UNet
  private let optimiser: AdamW
  private let feed: CropFeed
  private var prefetcher: Prefetcher<CropBatch>?
  private let noise: NoiseStream
  private let ranks: Ranks

  /// - Parameters:
  ///   - start: a core's weights to start from instead of random ones.
  ///   - ranks: the processes that train together.
  /// - Throws: `TrainingError` or `BundleError` before the first step for anything the recipe or the data lack.
  public init(
    _ recipe: CoreRecipe, in folder: RunFolder, from start: StartingPoint? = nil, ranks: Ranks = .alone,
    loading: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
  ) throws {
    self.recipe = recipe
    self.folder = folder
    self.ranks = ranks
    precision = recipe.training.precision.onThisCPU
    try folder.check(recipe.inRun) { try CoreRecipe(parsing: $0, source: $1).inRun }
    let origin = try folder.origin(of: start, samplesBefore: recipe.training.samplesBefore)
    network = UNet(recipe.network, seed: recipe.training.seed)
    averaged = UNet(recipe.network)
    if let start { try Weights.load(network.parameters, from: start.weights) }
    optimiser = AdamW(network.parameters, recipe.training.optimiser)
    noise = NoiseStream(seed: recipe.training.seed, digest: Array("core".utf8))
    feed = try recipe.data.open(progress: loading)
    // Last, so that a run that cannot start leaves no folder behind.
    if ranks.isFirst { try folder.prepare(recipe: try recipe.yaml(), origin: origin) }
  }

  /// Photographs that are left out, and why.
  public var brokenPhotographs: [Photographs.Broken] { feed.broken }

  /// Trains to the end, or until `shouldStop`; resumes by itself.
  public func run(
    threads: ThreadCount = .all, shouldStop: () -> Bool, report: (TrainingProgress) -> Void
  ) throws -> TrainingEnd {
    let loop = TrainingLoop(folder, recipe.training, optimiser, ranks: ranks)
    return try loop.run(threads: threads, step: step, sheet: sheet, shouldStop: shouldStop, report: report)
  }

  private func step(_ index: Int) throws -> TrainingLoop.Outcome {
    let crops = prefetcher ?? Prefetcher(from: index) { [feed, ranks] in feed.batch(step: $0, ranks: ranks) }
    prefetcher = crops
    guard let batch = try crops.next() else { throw CancellationError() }
    let x = try Tensor(batch.pixels, shape: [batch.count, batch.size, batch.size, 3])
    let draw = StepNoise(noise, step: index, like: x, ranks: ranks)
    let levels = draw.times().map(recipe.network.schedule.level(at:))
    let z = try diffuse(x, noise: draw.epsilon, to: levels)
    let target = try recipe.network.parameterisation.target(signal: x, noise: draw.epsilon, levels)
    var each: [Float] = []
    let (loss, gradients) = try withGradients {
      let (loss, losses) = try network(z, levels, precision: precision).squaredError(to: target)
      each = losses
      return loss
    }
    return TrainingLoop.Outcome(
      loss: loss.scalar, gradients: gradients, samples: batch.count,
      values: ["loss-\(batch.size)": Double(loss.scalar)].merging(byQuarter(each, levels)) { a, _ in a })
  }

  /// 4 × 8 samples in 50 steps, from the same noise every time.
  private func sheet() throws -> Bitmap? {
    for (parameter, entry) in zip(averaged.parameters, optimiser.entries) {
      try parameter.assign(entry.average.copied())
    }
    let size = recipe.network.nativeSize
    let streams = (0..<32).map { noise.derived(UInt64($0) &+ 1 << 40) }
    let start = NoiseStream.normal(streams, draw: 0, height: size, width: size, channels: 3)
    let sampler = Sampler(
      schedule: recipe.network.schedule, parameterisation: recipe.network.parameterisation, steps: 50)
    let pictures = try sampler.sample(noise: start) {
      try averaged($0, [$1], precision: precision)
    }
    return pictureSheet([pictures], columns: 8)
  }
}

/// Mean loss in each quarter of the time axis, for logs.
func byQuarter(_ each: [Float], _ levels: [NoiseLevel], prefix: String = "loss-t") -> [String: Double] {
  var sums = [(Double, Int)](repeating: (0, 0), count: 4)
  for (loss, level) in zip(each, levels) {
    let quarter = min(3, Int(level.time * 4))
    sums[quarter] = (sums[quarter].0 + Double(loss), sums[quarter].1 + 1)
  }
  var named: [String: Double] = [:]
  for (quarter, (sum, n)) in sums.enumerated() where n > 0 { named["\(prefix)\(quarter)"] = sum / Double(n) }
  return named
}
