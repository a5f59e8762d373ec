package import Tensor

/// All randomness of one training step, a function of (stream, step).
package struct StepNoise {
  /// `[B, H, W, C]` standard normal.
  package let epsilon: Tensor
  private let stream: NoiseStream
  private let count: Int
  private let ranks: Ranks

  package init(_ noise: NoiseStream, step: Int, like x: Tensor, ranks: Ranks = .alone) {
    let stream = noise.derived(UInt64(step))
    self.stream = stream
    self.ranks = ranks
    count = x.shape[0]
    epsilon = NoiseStream.normal(
      (0..<count).map { stream.derived(UInt64(ranks.sample($0))) }, draw: 0, height: x.shape[1], width: x.shape[2],
      channels: x.shape[3])
  }

  /// One time in `low ..< high` for each sample, stratified over the batch: sample `i` of `B` draws from the `i`-th of `B`
  /// equal shares, so that every batch covers all levels.
  package func times(from low: Double = 0, to high: Double = 1) -> [Double] {
    (0..<count).map(ranks.sample).map {
      low + (high - low) * (Double($0) + stream.uniform(UInt64($0))) / Double(count * ranks.count)
    }
  }

  /// One and the same time for the whole batch.
  package func commonTime(from low: Double = 0, to high: Double = 1) -> [Double] {
    Array(repeating: low + (high - low) * stream.uniform(1 << 32), count: count)
  }
}
