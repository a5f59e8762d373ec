internal import Bundles
internal import Registry
internal import Tensor

/// Clean pictures with the conditions that a task's plugin makes for them: one batch of adapter training.
struct ConditionedBatch: Sendable {
  let count, size: Int
  /// `[count, size, size, 3]`, −1…1.
  let clean: [Float]
  /// `[count, size, size, K]`, −1…1.
  let condition: [Float]
}

/// Crops through a task plugin: `degrade` makes what the user would have brought, `prepare` makes the condition, the same
/// two calls in the same order as a user's picture goes.
struct ConditionedFeed: Sendable {
  let crops: CropFeed
  let plugin: TaskPlugin
  /// What a user brings, in the manifest's order.
  let inputs: [Manifest.Condition.Input]
  let scale: Int
  let conditionChannels: Int
  let noise: NoiseStream

  /// The batch of a step, a pure function of the step.
  func batch(step: Int, ranks: Ranks = .alone) throws -> ConditionedBatch {
    let batch = crops.batch(step: step, ranks: ranks)
    let stream = noise.derived(UInt64(step))
    let clean = Self.clean(batch)
    let small = batch.size / scale
    let keys = (0..<batch.count).map {
      SampleKey(low: stream.derived(UInt64(ranks.sample($0))).key, high: UInt64(step))
    }
    let channels = inputs.map(\.kind.channels)
    let brought = try plugin.degrade(
      clean, width: batch.size, height: batch.size, keys: keys,
      inputs: channels.map { (width: small, height: small, channels: $0) })
    var condition: [Float] = []
    condition.reserveCapacity(batch.count * batch.size * batch.size * conditionChannels)
    let whole = Region(x: 0, y: 0, width: batch.size, height: batch.size)
    for sample in 0..<batch.count {
      let pictures = try zip(brought, channels).map { values, channels in
        let each = small * small * channels
        return try PictureRegion(
          Array(values[(sample * each)..<((sample + 1) * each)]), width: small, height: small, channels: channels)
      }
      let prepared = try plugin.prepare(pictures, region: whole, channels: conditionChannels)
      condition += prepared.values.map { $0 * 2 - 1 }
    }
    return ConditionedBatch(count: batch.count, size: batch.size, clean: batch.pixels, condition: condition)
  }

  /// As a plugin sees them: 0…1, with the depth as a fourth channel where there is one.
  private static func clean(_ batch: CropBatch) -> [Float] {
    guard let depth = batch.depth else { return batch.pixels.map { $0 * 0.5 + 0.5 } }
    var clean: [Float] = []
    clean.reserveCapacity(4 * depth.count)
    for (i, near) in depth.enumerated() {
      for c in 0..<3 { clean.append(batch.pixels[3 * i + c] * 0.5 + 0.5) }
      clean.append(near)
    }
    return clean
  }
}
