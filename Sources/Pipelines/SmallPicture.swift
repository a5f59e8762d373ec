internal import Adapters
internal import Bundles
internal import Diffusion
internal import Imaging
internal import Networks
internal import Registry
internal import Tensor

/// A picture whose result is one region. Everything but the network's evaluations is done here, on any thread, so that
/// several such pictures can share an evaluation (`NetworkQueue`).
///
/// The result has the bits of `Converter.convert`: the plugin is called for the same rows, the noise is the same, and a
/// sample has the same bits alone and in a batch.
final class SmallPicture {
  /// What the network is given.
  struct Input: Sendable {
    /// One region.
    let plan: RegionPlan
    /// `[plan.height, plan.width, K]` in −1…1.
    let condition: [Float]
    let noise: NoiseStream
    /// The result without the padding.
    let output: (width: Int, height: Int)
  }

  let input: Input
  private let converter: Converter
  private let picture: Picture
  private let rows: ResultRows
  private let pixels: Pixels

  private final class Pixels { var values: [Float] = [] }

  /// Prepares the condition; `nil` for a picture that takes several regions.
  /// - Parameter pictures: what the adapter takes, in the manifest's order; the first one is converted.
  init?(_ converter: Converter, _ pictures: [Picture], digest: [UInt8]) throws {
    try converter.check(pictures.map { ($0.width, $0.height) })
    let picture = pictures[0]
    let output = try converter.outputSize(width: picture.width, height: picture.height)
    let plan = try converter.plan(width: picture.width, height: picture.height)
    guard plan.count == 1 else { return nil }
    let brought = converter.inputSize(of: picture)
    let values = zip(converter.inputs, pictures).map { converter.values($0, of: $1) }
    let pixels = Pixels()
    rows = ResultRows(
      converter.plugin, converter.adapter.manifest, input: brought, output: output
    ) { pixels.values += $0 }
    let channels = converter.conditionChannels
    var condition = RowWindow(width: plan.width, channels: channels)
    var next = 0
    let bandHeight = converter.bandHeight(of: output.height)
    for top in stride(from: 0, to: output.height, by: bandHeight) {
      let made = try rows.condition(
        for: top..<min(output.height, top + bandHeight), channels: channels,
        read: { count in
          defer { next += count }
          return zip(converter.inputs, values).map { input, values in
            let line = brought.width * input.kind.channels
            return Array(values[(next * line)..<((next + count) * line)])
          }
        })
      condition.append(made, width: output.width, scale: 2, offset: -1)
    }
    condition.repeatLastRow(upTo: plan.height)
    input = Input(
      plan: plan, condition: condition.piece(y: 0, width: plan.width, height: plan.height),
      noise: NoiseStream(seed: converter.options.seed, digest: digest), output: output)
    (self.converter, self.picture, self.pixels) = (converter, picture, pixels)
  }

  /// The finished picture.
  /// - Parameter values: the network's answer, `[output height, output width, 3]` in 0…1.
  func result(_ values: [Float]) throws -> Picture {
    let row = input.output.width * 3
    for top in stride(from: 0, to: input.output.height, by: StepCascade.stripHeight) {
      let end = min(input.output.height, top + StepCascade.stripHeight)
      try rows.push(Array(values[(top * row)..<(end * row)]))
    }
    return converter.result(of: picture, input.output, pixels.values)
  }
}

extension Converter {
  /// The network's pictures for some inputs that are cut alike, in one evaluation a step.
  /// - Returns: for each `[output height, output width, 3]` in 0…1.
  @Compute func evaluate(_ inputs: [SmallPicture.Input], shouldStop: () -> Bool) throws -> [[Float]] {
    guard let plan = inputs.first?.plan else { return [] }
    precondition(
      inputs.allSatisfy { $0.plan.width == plan.width && $0.plan.height == plan.height }, "inputs are cut alike")
    let channels = denoiser.core.configuration.pictureChannels
    let c = try Tensor(
      inputs.flatMap(\.condition), shape: [inputs.count, plan.height, plan.width, conditionChannels])
    let noise = NoiseStream.normal(
      inputs.map(\.noise), draw: 0, height: plan.height, width: plan.width, channels: channels)
    var z = try sampler.begin(noise: noise, from: sampler.start < 1 ? c.channels(0..<channels) : nil)
    var features: Features?
    var memory: Predictor.Memory?
    let levels = sampler.levels
    for (t, s) in zip(levels, levels.dropFirst()) {
      if shouldStop() { throw CancellationError() }
      if features == nil || options.featureBudget == 0 { features = try denoiser.prepare(c) }
      let predicted = try denoiser(z, c, [t], prepared: features)
      let step = try sampler.advance(z, output: predicted, noise: noise, from: t, to: s, after: memory)
      (z, memory) = (step.z, step.memory)
    }
    return inputs.enumerated().map { index, input in
      z.sample(index).topLeft(width: input.output.width, height: input.output.height, scale: 0.5, offset: 0.5)
    }
  }
}
