public import Adapters
internal import Bundles
public import Diffusion
public import Imaging
internal import Networks
public import Registry
public import Tensor

/// Converts one picture after another with one adapter.
///
/// The result depends on the picture's bytes, the adapter and the options alone: not on names, order or neighbours.
public struct Converter: Sendable {
  public struct Options: Sendable, Hashable {
    /// Network evaluations; `nil` takes the adapter's default.
    public var steps: Int?
    public var seed: UInt64 = 0
    /// Instead of the adapter's own.
    public var predictor: Predictor?
    public var precision = DType.preferred
    /// Largest side of a region in output pixels.
    public var region = 384
    /// Pixels shared by neighbouring regions.
    public var overlap = 32
    /// What an encoder that sees the condition alone may keep from step to step, in bytes; the rest is computed again,
    /// with the same result.
    public var featureBudget = 256 << 20
    public init() {}
  }

  public let adapter: Adapter
  public let plugin: TaskPlugin
  public let options: Options
  let denoiser: ConditionalDenoiser
  let sampler: Sampler
  let conditionChannels: Int

  /// Rows of the condition that the plugin makes in one call: its own memory stays small, and what neighbouring calls
  /// share cheap.
  static let bandHeight = 128

  /// The same for a result of this height: a task that needs the whole picture makes its condition in one call.
  func bandHeight(of height: Int) -> Int { isWhole ? height : Self.bandHeight }

  /// - Throws: `ConversionError` when the adapter cannot run with these options.
  public init(_ adapter: Adapter, plugin: TaskPlugin, options: Options = Options()) throws {
    self.adapter = adapter
    self.plugin = plugin
    self.options = options
    denoiser = adapter.denoiser(precision: options.precision)
    conditionChannels = adapter.encoder.configuration.conditionChannels
    let reference = "\(adapter.manifest.name)@\(adapter.manifest.version)"
    let steps = options.steps ?? adapter.manifest.sampling?.defaultSteps ?? 4
    guard (1...1000).contains(steps) else {
      throw ConversionError(
        .options, at: reference, "\(steps) steps are not between 1 and 1000.", remedy: "Use --steps 4, for example.")
    }
    sampler = try adapter.sampler(steps: steps, predictor: options.predictor)
    guard sampler.start == 1 || conditionChannels >= adapter.core.network.configuration.pictureChannels else {
      throw ConversionError(
        .unsupported, at: reference, "sampling.start is below 1, but the condition has no picture to start from.",
        remedy: "Ask the publisher for a mended adapter.")
    }
  }

  /// Network evaluations for each region.
  public var steps: Int { sampler.steps }

  /// Whether steps look back at the one before, which is kept for them.
  var looksBack: Bool { sampler.predictor.looksBack && steps > 1 }

  /// The regions for an input of this size.
  public func plan(width: Int, height: Int) throws -> RegionPlan {
    try plan(width: width, height: height, region: options.region)
  }

  func plan(width: Int, height: Int, region: Int) throws -> RegionPlan {
    let size = try outputSize(width: width, height: height)
    return RegionPlan(
      width: size.width, height: size.height, granularity: denoiser.core.configuration.granularity,
      region: isWhole ? max(size.width, size.height) : region, overlap: options.overlap)
  }

  /// Whether what the encoder says of a region is kept from one step to the next.
  var keepsFeatures: Bool { steps > 1 && adapter.encoder.configuration.sees == .condition }

  /// Runs the network on one region of noise: kernels are then ready, and what it takes can be measured.
  @Compute func evaluateOnce(side: Int) throws {
    let channels = adapter.core.network.configuration.pictureChannels
    let z = NoiseStream(key: 1).normal(draw: 0, height: side, width: side, channels: channels)
    let c = NoiseStream(key: 2).normal(draw: 0, height: side, width: side, channels: conditionChannels)
    _ = try denoiser(z, c, [sampler.levels[0]], prepared: try denoiser.prepare(c))
  }

  /// The converted picture, all of it in memory.
  /// - Parameters:
  ///   - others: what else the adapter takes, in the manifest's order.
  ///   - digest: SHA-256 of the source file's bytes: with the seed it determines the noise.
  ///   - progress: regions done, regions in all, over all steps.
  ///   - shouldStop: asked between regions.
  @Compute public func convert(
    _ picture: Picture, with others: [Picture] = [], digest: [UInt8], progress: (Int, Int) -> Void = { _, _ in },
    shouldStop: () -> Bool = { false }
  ) throws -> Picture {
    let pictures = [picture] + others
    try check(pictures.map { ($0.width, $0.height) })
    let size = try outputSize(width: picture.width, height: picture.height)
    let (width, height) = inputSize(of: picture)
    let brought = zip(inputs, pictures).map { self.values($0, of: $1) }
    let lines = inputs.map { width * $0.kind.channels }
    var pixels: [Float] = []
    pixels.reserveCapacity(size.width * size.height * 3)
    var row = 0
    try convert(
      width: width, height: height, digest: digest, progress: progress, shouldStop: shouldStop,
      read: { count in
        defer { row += count }
        return zip(brought, lines).map { values, line in Array(values[(row * line)..<((row + count) * line)]) }
      }, write: { pixels += $0 })
    return result(of: picture, size, pixels)
  }

  /// The picture of these pixels, with what is carried over from its source.
  func result(of picture: Picture, _ size: (width: Int, height: Int), _ pixels: [Float]) -> Picture {
    var output = Picture(width: size.width, height: size.height, pixels: pixels, metadata: picture.metadata)
    // A drawing, a mask or a depth says nothing of the result's colours.
    guard inputs.first?.kind == .rgb else { return output }
    (output.bitDepth, output.iccProfile) = (picture.bitDepth, picture.iccProfile)
    if let alpha = picture.alpha, !isWhole {
      output.alpha = ResamplingKernel.bicubic.resampled(
        alpha, width: picture.width, height: picture.height, channels: 1, to: size
      ).map { min(1, max(0, $0)) }
    }
    return output
  }

  /// Converts a picture of any height from top to bottom: what is held depends on its width and the number of steps.
  /// - Parameters:
  ///   - width: the inputs' size; in `whole` mode they have been reduced.
  ///   - digest: SHA-256 of the source file's bytes: with the seed it determines the noise.
  ///   - progress: regions done, regions in all, over all steps.
  ///   - shouldStop: asked between regions.
  ///   - read: the next rows of each input, so many, `[rows, width, channels]` in 0…1.
  ///   - write: takes the next rows of the result, `[rows, output width, 3]` in 0…1.
  @Compute public func convert(
    width: Int, height: Int, digest: [UInt8], progress: (Int, Int) -> Void, shouldStop: () -> Bool,
    read: (Int) throws -> [[Float]], write: ([Float]) throws -> Void
  ) throws {
    try withoutActuallyEscaping(progress) { progress in
      try withoutActuallyEscaping(shouldStop) { shouldStop in
        try withoutActuallyEscaping(write) { write in
          let size = try outputSize(width: width, height: height)
          let plan = try plan(width: width, height: height)
          let made = ResultRows(plugin, adapter.manifest, input: (width, height), output: size, write)
          var done = 0
          let cascade = StepCascade(
            denoiser, sampler, plan, noise: NoiseStream(seed: options.seed, digest: digest),
            conditionChannels: conditionChannels, featureBudget: options.featureBudget,
            willEvaluate: {
              if shouldStop() { throw CancellationError() }
              progress(done, plan.count * sampler.steps)
              done += 1
            }, output: made.push)
          let bandHeight = bandHeight(of: size.height)
          for top in stride(from: 0, to: size.height, by: bandHeight) {
            let band = top..<min(size.height, top + bandHeight)
            try cascade.push(
              try made.condition(for: band, channels: conditionChannels, read: read), width: size.width)
          }
          try cascade.finish()
          progress(done, plan.count * sampler.steps)
        }
      }
    }
  }
}
