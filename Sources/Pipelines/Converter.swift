public import Adapters
internal import Bundles
internal import Diffusion
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
    public var precision = DType.bf16
    /// Largest side of a region in output pixels.
    public var region = 256
    /// Pixels shared by neighbouring regions.
    public var overlap = 32
    public init() {}
  }

  public let adapter: Adapter
  public let plugin: TaskPlugin
  public let options: Options
  let denoiser: ConditionalDenoiser
  private let sampler: Sampler
  private let conditionChannels: Int

  /// Rows that go to the plugin in one call: its own memory stays small, and what neighbouring calls share cheap.
  private static let bandHeight = 512
  /// What an encoder that sees the condition alone may keep from step to step, in bytes; the rest is computed again.
  private static let featureBudget = 256 << 20

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
    guard adapter.manifest.geometry?.mode == .tile else {
      throw ConversionError(
        .unsupported, at: reference, "It makes whole pictures; this version converts region by region only.",
        remedy: "Update codi.")
    }
    guard adapter.manifest.condition?.inputs.count == 1 else {
      throw ConversionError(
        .unsupported, at: reference, "It takes more than one input picture; this version hands in one.",
        remedy: "Update codi.")
    }
    sampler = try adapter.sampler(steps: steps)
    guard sampler.start == 1 || conditionChannels >= adapter.core.network.configuration.pictureChannels else {
      throw ConversionError(
        .unsupported, at: reference, "sampling.start is below 1, but the condition has no picture to start from.",
        remedy: "Ask the publisher for a mended adapter.")
    }
  }

  /// Network evaluations for each region.
  public var steps: Int { sampler.steps }

  /// The regions for an input of this size.
  public func plan(width: Int, height: Int) throws -> RegionPlan {
    let size = try plugin.outputSize(width: width, height: height)
    return RegionPlan(
      width: size.width, height: size.height, granularity: denoiser.core.configuration.granularity,
      region: options.region, overlap: options.overlap)
  }

  /// The converted picture.
  /// - Parameters:
  ///   - digest: SHA-256 of the source file's bytes: with the seed it determines the noise.
  ///   - progress: regions done, regions in all, over all steps.
  ///   - shouldStop: asked between regions.
  public func convert(
    _ picture: Picture, digest: [UInt8], progress: (Int, Int) -> Void = { _, _ in }, shouldStop: () -> Bool = { false }
  ) throws -> Picture {
    let input = try PictureRegion(picture.pixels, width: picture.width, height: picture.height)
    let size = try plugin.outputSize(width: picture.width, height: picture.height)
    let plan = try plan(width: picture.width, height: picture.height)
    let made = try sample(
      try condition(input, size, plan), plan, NoiseStream(seed: options.seed, digest: digest), progress, shouldStop
    ).topLeft(width: size.width, height: size.height, scale: 0.5, offset: 0.5)
    var output = Picture(
      width: size.width, height: size.height, pixels: try finish(input, made, size), bitDepth: picture.bitDepth,
      iccProfile: picture.iccProfile, metadata: picture.metadata)
    if let alpha = picture.alpha {
      output.alpha = ResamplingKernel.bicubic.resampled(
        alpha, width: picture.width, height: picture.height, channels: 1, to: size
      ).map { min(1, max(0, $0)) }
    }
    return output
  }

  /// What the plugin makes of the input, as the network sees it: `[1, H, W, K]` in −1…1, padded to the plan's size by
  /// repeating the last column and row.
  private func condition(_ input: PictureRegion, _ size: Size, _ plan: RegionPlan) throws -> Tensor {
    var canvas = Canvas(width: plan.width, height: plan.height, channels: conditionChannels)
    for band in Self.bands(size) {
      let prepared = try plugin.prepare([input], region: band, channels: conditionChannels)
      canvas.set(prepared.values, width: size.width, y: band.y, scale: 2, offset: -1)
    }
    canvas.repeatRow(size.height - 1)
    return try canvas.tensor()
  }

  /// What the plugin makes of the network's picture, `[height, width, 3]` in 0…1.
  private func finish(_ input: PictureRegion, _ made: [Float], _ size: Size) throws -> [Float] {
    let result = try PictureRegion(made, width: size.width, height: size.height)
    var pixels: [Float] = []
    pixels.reserveCapacity(made.count)
    for band in Self.bands(size) { pixels += try plugin.finish([input], result: result, region: band).values }
    return pixels
  }

  private typealias Size = (width: Int, height: Int)

  /// Full-width regions; a pixel's value does not depend on how rows are grouped, the plugin's contract says.
  private static func bands(_ size: Size) -> [Region] {
    stride(from: 0, to: size.height, by: bandHeight).map {
      Region(x: 0, y: $0, width: size.width, height: min(bandHeight, size.height - $0))
    }
  }

  /// All steps over the whole picture, each step region by region; `[1, H, W, 3]` in −1…1.
  private func sample(
    _ condition: Tensor, _ plan: RegionPlan, _ noise: NoiseStream, _ progress: (Int, Int) -> Void,
    _ shouldStop: () -> Bool
  ) throws -> Tensor {
    let channels = denoiser.core.configuration.pictureChannels
    let epsilon = noise.normal(draw: 0, height: plan.height, width: plan.width, channels: channels)
    let (levels, across, down) = (sampler.levels, plan.columnWeights, plan.rowWeights)
    var z = try sampler.begin(
      noise: epsilon, from: sampler.start < 1 ? condition.channels(0..<channels) : nil)
    var features = FeatureCache(budget: Self.featureBudget)
    var done = 0
    for (t, s) in zip(levels, levels.dropFirst()) {
      /// The network's output for region number `index`.
      func evaluate(_ index: Int, x: Int, y: Int) throws -> Tensor {
        if shouldStop() { throw CancellationError() }
        defer {
          done += 1
          progress(done, plan.count * sampler.steps)
        }
        let c = condition.cropped(x: x, y: y, width: plan.regionWidth, height: plan.regionHeight)
        return try denoiser(
          z.cropped(x: x, y: y, width: plan.regionWidth, height: plan.regionHeight), c, [t],
          prepared: try features.take(index) { try denoiser.prepare(c) })
      }
      let output: Tensor
      if plan.count == 1 {
        output = try evaluate(0, x: 0, y: 0)
      } else {
        var sum = Canvas(width: plan.width, height: plan.height, channels: channels)
        for (row, y) in plan.rows.enumerated() {
          for (column, x) in plan.columns.enumerated() {
            let part = try evaluate(row * plan.columns.count + column, x: x, y: y)
            sum.add(part, x: x, y: y, columns: across[column], rows: down[row])
          }
        }
        output = try sum.tensor()
      }
      z = try sampler.advance(z, output: output, noise: epsilon, from: t, to: s)
    }
    return z
  }
}

/// An encoder's view of the first regions of a picture, kept from step to step within a budget of bytes.
private struct FeatureCache {
  private var kept: [Int: Features] = [:]
  private var left: Int

  init(budget: Int) { left = budget }

  mutating func take(_ index: Int, _ make: () throws -> Features?) throws -> Features? {
    if let known = kept[index] { return known }
    guard let made = try make() else { return nil }
    let bytes = made.all.reduce(0) { $0 + $1.byteCount }
    if bytes <= left {
      left -= bytes
      kept[index] = made
    }
    return made
  }
}
