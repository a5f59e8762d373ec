public import Diffusion

/// The choices of one distillation step: a recipe's `distillation:` section. The defaults are *paper mode*,
/// CoDi (arXiv:2310.01407v2), Algorithm "CDD" with the main text's predictor.
public struct DistillationOptions: Codable, Hashable, Sendable {
  /// Where the two predictions are compared.
  public enum Space: String, Codable, Sendable, CaseIterable {
    /// `ε̂`: the paper's.
    case noise
    /// `x̂`; equal to noise space times `σ_s² / α_s²` (reference note, derived from the rotation form).
    case signal
  }
  /// How times are drawn.
  public enum Times: String, Codable, Sendable, CaseIterable {
    /// One and the same for the whole batch: the paper's.
    case common
    /// One equal share of the range for each sample.
    case stratified
  }

  /// The step from `z_t` to `ẑ_s`.
  public var predictor = Predictor.prev
  public var space = Space.noise
  /// Weight of self-consistency.
  public var consistency: Float = 1
  /// Weight λ of conditional guidance, `‖x − x̂‖²` in signal space.
  public var guidance: Float = 1
  /// Weight of the conditional v-loss, `‖v − v̂‖²`: guidance times `1 / σ²`. Not in the paper.
  public var velocity: Float = 0
  public var times = Times.common
  /// `t − s` in time units; the paper's is one step of 1,000.
  public var gap = 0.001
  /// Times are drawn from `first … latest`; `nil` stands for the gap, as in the paper. A wide gap would leave the last steps
  /// of a long sampling untrained; there `s` stops at `earliest`.
  public var first: Double?
  /// Below 1 for tasks that start from a picture.
  public var latest = 1.0
  /// The smallest `s`: at no noise there is no noise to predict.
  public var earliest = 0.0
  /// Decay of the target network's weights towards the trained ones.
  public var targetDecay: Float = 0.999
  /// Samples before self-consistency joins, and over which it rises to its weight. Not in the paper.
  public var warmUpSamples = 0

  public init() {}

  /// The smallest time that is drawn.
  var firstTime: Double { first ?? gap }

  /// What is wrong, in a sentence.
  var problem: String? {
    if !(gap > 0 && gap < 1) { return "gap must be between 0 and 1, found \(gap)" }
    let first = firstTime
    if !(latest > first && latest <= 1) { return "latest must be above \(first) and at most 1, found \(latest)" }
    if !(first > 0) { return "first must be above 0, found \(first)" }
    // Otherwise s would come after t.
    if !(earliest >= 0 && earliest <= first) { return "earliest must be from 0 to \(first), found \(earliest)" }
    if !(targetDecay >= 0 && targetDecay <= 1) { return "target-decay must be from 0 to 1, found \(targetDecay)" }
    let weights = [consistency, guidance, velocity]
    if !weights.allSatisfy({ $0 >= 0 && $0.isFinite }) || weights.allSatisfy({ $0 == 0 }) {
      return "consistency, guidance and velocity must not be negative nor all zero, found \(weights)"
    }
    if warmUpSamples < 0 { return "warm-up-samples must not be negative, found \(warmUpSamples)" }
    if warmUpSamples > 0, guidance == 0, velocity == 0 {
      return "warm-up-samples leaves nothing to learn at first: give guidance or velocity a weight"
    }
    return nil
  }
}
