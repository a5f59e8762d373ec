internal import Adapters
internal import Diffusion
internal import Networks
internal import Tensor

/// All sampling steps over one picture, from top to bottom.
///
/// Each step converts a row of regions as soon as the step before has made the rows that it looks at, and hands on the rows
/// that no later region touches. So what is held depends on the picture's width and the number of steps, not on its height.
/// Overlapping predictions are averaged at every step; the noise of a pixel is computed where it is needed.
@Compute final class StepCascade {
  private struct Step {
    let t, s: NoiseLevel
    /// `z_t`, the weighed sum of what the regions so far predict, and `x̂` of the step before, where the sampler looks back.
    var z, sum, before: RowWindow
    /// The next row of regions.
    var next = 0
  }

  /// Rows that are handed on at a time.
  nonisolated static let stripHeight = 64

  private let denoiser: ConditionalDenoiser
  private let sampler: Sampler
  private let plan: RegionPlan
  private let noise: NoiseStream
  private let (across, down): ([[Float]], [[Float]])
  private let channels: Int
  private var condition: RowWindow
  private var steps: [Step]
  private var features: FeatureCache
  private let willEvaluate: () throws -> Void
  private let output: (Tensor) throws -> Void

  /// - Parameters:
  ///   - willEvaluate: called before each evaluation of the network for one region; what it throws ends the conversion.
  ///   - output: takes the rows of the result in order, `[1, rows, plan.width, C]` in −1…1.
  init(
    _ denoiser: ConditionalDenoiser, _ sampler: Sampler, _ plan: RegionPlan, noise: NoiseStream, conditionChannels: Int,
    featureBudget: Int, willEvaluate: @escaping () throws -> Void, output: @escaping (Tensor) throws -> Void
  ) {
    (self.denoiser, self.sampler, self.plan, self.noise) = (denoiser, sampler, plan, noise)
    (across, down) = (plan.columnWeights, plan.rowWeights)
    let channels = denoiser.core.configuration.pictureChannels
    self.channels = channels
    condition = RowWindow(width: plan.width, channels: conditionChannels)
    let levels = sampler.levels
    steps = zip(levels, levels.dropFirst()).map { t, s in
      let empty = RowWindow(width: plan.width, channels: channels)
      return Step(t: t, s: s, z: empty, sum: empty, before: empty)
    }
    features = FeatureCache(budget: featureBudget)
    (self.willEvaluate, self.output) = (willEvaluate, output)
  }

  /// Takes the next rows of the condition, `width` pixels in 0…1; the plan's columns beyond them repeat the last one.
  func push(_ rows: [Float], width: Int) throws {
    let first = condition.rows.upperBound
    condition.append(rows, width: width, scale: 2, offset: -1)
    try begin(first..<condition.rows.upperBound)
  }

  /// After the picture's last row: the plan's rows below repeat it.
  func finish() throws {
    let first = condition.rows.upperBound
    condition.repeatLastRow(upTo: plan.height)
    try begin(first..<plan.height)
  }

  /// The sampler's start for these rows.
  private func begin(_ rows: Range<Int>) throws {
    guard !rows.isEmpty else { return }
    let picture =
      sampler.start < 1
      ? try condition.tensor(y: rows.lowerBound, width: plan.width, height: rows.count).channels(0..<channels) : nil
    try advance(0, by: try sampler.begin(noise: epsilon(rows), from: picture))
  }

  private func epsilon(_ rows: Range<Int>) -> Tensor {
    noise.normal(draw: 0, y: rows.lowerBound, height: rows.count, width: plan.width, channels: channels)
  }

  /// Gives step number `index` the next rows of its `z`, and works off the rows of regions that they complete.
  private func advance(_ index: Int, by rows: Tensor, after before: Tensor? = nil) throws {
    guard index < steps.count else { return try output(rows) }
    steps[index].z.append(rows)
    if sampler.predictor.looksBack, let before { steps[index].before.append(before) }
    while steps[index].next < plan.rows.count,
      steps[index].z.rows.upperBound >= plan.rows[steps[index].next] + plan.regionHeight
    {
      let row = steps[index].next
      let top = plan.rows[row]
      steps[index].sum.appendZeros(upTo: top + plan.regionHeight)
      for (column, x) in plan.columns.enumerated() {
        let part = try evaluate(steps[index], index, number: row * plan.columns.count + column, x: x, y: top)
        steps[index].sum.add(part, x: x, y: top, columns: across[column], rows: down[row])
      }
      steps[index].next += 1
      let done = top..<(row + 1 < plan.rows.count ? plan.rows[row + 1] : plan.height)
      if let last = steps.last, index == steps.count - 1 {
        condition.drop(before: last.next < plan.rows.count ? plan.rows[last.next] : plan.height)
      }
      let (t, s) = (steps[index].t, steps[index].s)
      for start in stride(from: done.lowerBound, to: done.upperBound, by: Self.stripHeight) {
        let strip = start..<min(done.upperBound, start + Self.stripHeight)
        let z = try steps[index].z.tensor(y: start, width: plan.width, height: strip.count)
        let predicted = try steps[index].sum.tensor(y: start, width: plan.width, height: strip.count)
        steps[index].z.drop(before: strip.upperBound)
        steps[index].sum.drop(before: strip.upperBound)
        var memory: Predictor.Memory?
        if sampler.predictor.looksBack, index > 0 {
          let signal = try steps[index].before.tensor(y: start, width: plan.width, height: strip.count)
          memory = Predictor.Memory(signal: signal, level: steps[index - 1].t)
          steps[index].before.drop(before: strip.upperBound)
        }
        let step = try sampler.advance(
          z, output: predicted, noise: epsilon(strip), from: t, to: s, after: memory)
        try advance(index + 1, by: step.z, after: step.memory.signal)
      }
    }
  }

  /// The network's output for one region.
  private func evaluate(_ step: Step, _ index: Int, number: Int, x: Int, y: Int) throws -> Tensor {
    try willEvaluate()
    let (width, height) = (plan.regionWidth, plan.regionHeight)
    let c = try condition.tensor(x: x, y: y, width: width, height: height)
    return try denoiser(
      try step.z.tensor(x: x, y: y, width: width, height: height), c, [step.t],
      prepared: try features.take(number, isLast: index == steps.count - 1) { try denoiser.prepare(c) })
  }
}

/// What an encoder that sees the condition alone says about regions, kept from their first step to their last within a
/// budget of bytes; the rest is computed again.
private struct FeatureCache {
  private var kept: [Int: Features] = [:]
  private var left: Int

  init(budget: Int) { left = budget }

  mutating func take(_ region: Int, isLast: Bool, _ make: () throws -> Features?) throws -> Features? {
    if let known = kept[region] {
      if isLast {
        kept[region] = nil
        left += Self.size(known)
      }
      return known
    }
    guard let made = try make() else { return nil }
    let bytes = Self.size(made)
    if !isLast, bytes <= left {
      left -= bytes
      kept[region] = made
    }
    return made
  }

  private static func size(_ features: Features) -> Int { features.all.reduce(0) { $0 + $1.byteCount } }
}
