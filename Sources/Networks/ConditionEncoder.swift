public import Diffusion
public import Tensor

/// What an adapter is, beside its core.
public struct ConditionEncoderConfiguration: Codable, Hashable, Sendable {
  /// What the encoder looks at.
  public enum Sees: String, Codable, Sendable, CaseIterable {
    /// The condition alone, as in the paper: `h_η(c)`, computed once for a picture, at time 0.
    case condition
    /// The condition beside the noisy picture, as in ControlNet (arXiv:2302.05543v3): computed at every step.
    case conditionAndNoisy = "condition-and-noisy"
  }
  /// How finely `μ` blends.
  public enum Blend: String, Codable, Sendable, CaseIterable {
    /// One number for each place, as in the paper.
    case scalar
    /// One number for each channel of each place.
    case channel
  }
  /// Channels of the condition picture.
  public var conditionChannels = 3
  public var sees = Sees.condition
  public var blend = Blend.scalar

  public init() {}
}

/// The trainable part of an adapter: an encoder shaped like the core's, and `μ` for each place where it meets the core.
public final class ConditionEncoder: Sendable {
  public let configuration: ConditionEncoderConfiguration
  public let parameters: [Parameter]
  /// One for each skip, then one for the middle; all zero at the start.
  public let mus: [Parameter]
  let fold: Int
  let time: TimeEmbedding
  let encoder: Encoder

  /// An encoder for cores of shape `core`, with random weights, or none where `seed` is `nil`, and `μ = 0`.
  public init(_ configuration: ConditionEncoderConfiguration, core: UNetConfiguration, seed: UInt64? = 0) {
    self.configuration = configuration
    fold = core.fold
    let make = ParameterFactory(seed: seed)
    let area = core.fold * core.fold
    let inputs =
      configuration.conditionChannels * area
      + (configuration.sees == .conditionAndNoisy ? core.pictureChannels * area : 0)
    time =
      core.grouped == nil
      ? TimeEmbedding(make, "time", width: core.embedding)
      : TimeEmbedding(make, "time", features: core.channels[0], width: core.embedding, cosineFirst: true)
    encoder = make.scope("encoder") { Encoder(make, core, inputChannels: inputs) }
    let widths = core.skipWidths + [core.channels.last ?? 1]
    mus = widths.enumerated().map { place, width in
      make.constant("mu.\(place)", [configuration.blend == .scalar ? 1 : width], 0)
    }
    parameters = make.parameters
  }

  /// Copies the core's time embedding and encoder; the first convolution sees the condition through the core's weights for
  /// the picture, and further condition channels through zeros. The copies are trainable.
  public func copyEncoder(of core: UNet) throws(TensorError) {
    var theirs: [String: Parameter] = [:]
    for parameter in core.parameters { theirs[String(parameter.name.dropFirst(core.scope.count))] = parameter }
    for mine in parameters {
      guard let source = theirs[mine.name] else { continue }
      mine.isTrainable = true
      if mine.name == encoder.input.weight.name {
        try mine.assign(try widened(source.value, to: mine.shape))
      } else {
        try mine.assign(source.value.copied())
      }
    }
  }

  /// `[O, I, K, K] → [O, J, K, K]`: the same weights for the picture and for the condition, zeros for what is left.
  ///
  /// Folded channels come position by position, `(dy · n + dx) · C + c`, so the copy goes position by position too.
  private func widened(_ weight: Tensor, to shape: [Int]) throws(TensorError) -> Tensor {
    let (o, i, kernel) = (weight.shape[0], weight.shape[1], weight.shape[2] * weight.shape[3])
    let j = shape[1]
    let positions = fold * fold
    let (picture, condition) = (i / positions, configuration.conditionChannels)
    let conditionFrom = configuration.sees == .conditionAndNoisy ? i : 0
    let from = weight.floats()
    var values = [Float](repeating: 0, count: o * j * kernel)
    for output in 0..<o {
      func copy(_ source: Int, to target: Int) {
        for k in 0..<kernel { values[(output * j + target) * kernel + k] = from[(output * i + source) * kernel + k] }
      }
      if conditionFrom > 0 { for channel in 0..<i { copy(channel, to: channel) } }
      for position in 0..<positions {
        for c in 0..<min(picture, condition) {
          copy(position * picture + c, to: conditionFrom + position * condition + c)
        }
      }
    }
    return try Tensor(values, shape: shape)
  }

  /// Features of the condition, and of the noisy picture where the encoder sees it.
  /// - Parameters:
  ///   - condition: `[B, H, W, K]` float32.
  ///   - z: the noisy picture `[B, H, W, C]` float32; ignored when the encoder sees the condition alone.
  public func encode(
    _ condition: Tensor, noisy z: Tensor, _ levels: [NoiseLevel], precision: DType
  ) throws(TensorError) -> Features {
    let c = try condition.converted(to: precision).folded(fold)
    switch configuration.sees {
    case .condition: return try encoder(c, try time([0]))
    case .conditionAndNoisy:
      let both = try z.converted(to: precision).folded(fold).concatenated(with: c)
      return try encoder(both, try time(levels.map(\.time)))
    }
  }

  /// `h = (1 − μ) h_core + μ h_adapter` at every skip and in the middle; at the skips where the decoder takes them.
  public func blend(_ core: Features, with mine: Features) throws(TensorError) -> Features {
    let middle = try core.middle.blended(with: mine.middle, mu: mus[mus.count - 1])
    return Features(skips: core.skips, middle: middle, steering: zip(mine.skips, mus).map { ($0, $1) })
  }
}
