public import Diffusion
public import Networks
public import Tensor

/// A core steered by an adapter: the conditional network that conversion samples from.
///
/// The core is never written to; taking the adapter away leaves it as it was.
public struct ConditionalDenoiser: Sendable {
  public let core: UNet
  public let encoder: ConditionEncoder
  /// Type of activations.
  public let precision: DType

  public init(core: UNet, encoder: ConditionEncoder, precision: DType) {
    self.core = core
    self.encoder = encoder
    self.precision = precision
  }

  /// The adapter's view of a condition that is the same at every step; `nil` where the encoder also sees the noisy picture.
  public func prepare(_ condition: Tensor) throws(TensorError) -> Features? {
    switch encoder.configuration.sees {
    case .condition: try encoder.encode(condition, noisy: condition, [], precision: precision)
    case .conditionAndNoisy: nil
    }
  }

  /// The network's output at `z`, `[B, H, W, C]` float32.
  /// - Parameters:
  ///   - condition: `[B, H, W, K]` float32.
  ///   - levels: one for each sample, or one for all.
  ///   - prepared: what ``prepare(_:)`` gave for this condition.
  public func callAsFunction(
    _ z: Tensor, _ condition: Tensor, _ levels: [NoiseLevel], prepared: Features? = nil
  ) throws(TensorError) -> Tensor {
    let time = try core.embed(levels)
    let features = try core.encode(z, time, precision: precision)
    let mine: Features
    if let prepared {
      mine = prepared
    } else {
      mine = try encoder.encode(condition, noisy: z, levels, precision: precision)
    }
    return try core.decode(try encoder.blend(features, with: mine), time)
  }
}
