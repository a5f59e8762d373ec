public import Tensor

/// How long and how fast to train: a recipe's `training:` section.
public struct TrainingOptions: Codable, Hashable, Sendable {
  /// Samples to see in all.
  public var samples = 1_000_000
  /// Samples that the weights named by `--from` had seen in all, where their bundle's manifest counts fewer. For the record:
  /// it changes nothing in the run.
  public var samplesBefore: Int?
  public var seed: UInt64 = 1
  /// Peak learning rate.
  public var rate: Float = 1e-3
  /// Steps over which the rate rises from zero.
  public var warmUp = 200
  /// The last share of the samples, over which the rate falls linearly to zero.
  public var decayShare = 0.3
  /// Running average of the weights: `average += (1 − decay)(w − average)` at each step, rising from small values at first.
  public var averageDecay: Float = 0.999
  public var optimiser = AdamW.Options()
  /// Type of activations; `bf16` becomes `f32` on a CPU without it, which is told.
  public var precision = DType.bf16
  /// Samples between sheets of pictures in the run folder.
  public var sheetEvery = 50_000
  /// Steps between lines of metrics.
  public var logEvery = 10
  /// Minutes between checkpoints.
  public var checkpointMinutes = 5.0

  public init() {}

  /// What is wrong, in a sentence.
  var problem: String? {
    if samples < 1 { return "samples must be at least 1, found \(samples)" }
    if let samplesBefore, samplesBefore < 0 { return "samples-before must not be negative, found \(samplesBefore)" }
    if !(rate > 0 && rate.isFinite) { return "rate must be a number above 0, found \(rate)" }
    if warmUp < 0 { return "warm-up must not be negative, found \(warmUp)" }
    if !(0...1).contains(decayShare) { return "decay-share must be from 0 to 1, found \(decayShare)" }
    if !(0..<1).contains(averageDecay) { return "average-decay must be from 0 to below 1, found \(averageDecay)" }
    if sheetEvery < 0 { return "sheet-every must not be negative, found \(sheetEvery)" }
    if logEvery < 1 { return "log-every must be at least 1, found \(logEvery)" }
    if !(0...1e6).contains(checkpointMinutes) {
      return "checkpoint-minutes must be from 0 to 1000000, found \(checkpointMinutes)"
    }
    let (one, two) = (optimiser.beta1, optimiser.beta2)
    if !(0..<1).contains(one) || !(0..<1).contains(two) {
      return "optimiser: beta1 and beta2 must be from 0 to below 1, found \(one) and \(two)"
    }
    if !(optimiser.epsilon > 0 && optimiser.epsilon.isFinite) {
      return "optimiser: epsilon must be a number above 0, found \(optimiser.epsilon)"
    }
    if !(0...1).contains(optimiser.weightDecay) || !(optimiser.clip >= 0) {
      return "optimiser: weight-decay must be from 0 to 1 and clip not negative, found \(optimiser.weightDecay) and "
        + "\(optimiser.clip)"
    }
    return nil
  }

  /// The learning rate at `step`, after `seen` samples.
  func rate(step: Int, seen: Int) -> Float {
    let rise = warmUp > 0 ? min(1, Float(step + 1) / Float(warmUp)) : 1
    let left = Double(samples - seen) / Double(max(1, samples))
    let fall = decayShare > 0 ? Float(min(1, max(0, left / decayShare))) : 1
    return rate * rise * fall
  }

  /// Decay of the running average at `step`: follows closely while the weights still move fast.
  func averageDecay(step: Int) -> Float { min(averageDecay, Float(1 + step) / Float(10 + step)) }
}
