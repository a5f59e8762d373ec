internal import Adapters
internal import Networks
internal import Tensor

/// A core with an adapter, or alone: what a stage trains, and the networks of the same shape that follow it.
struct StageNetwork {
  let core: UNet
  /// `nil` where the core learns alone.
  let encoder: ConditionEncoder?
  let precision: DType
  /// What the stage changes of it.
  let parameters: [Parameter]

  /// The same weights in memory of their own where the stage changes them; everything else is shared.
  /// - Parameter isTrainable: whether the changing weights get gradients.
  init(
    _ trains: TrainingMethod.Stage.Trains, core: UNet, encoder: ConditionEncoder?, precision: DType, isTrainable: Bool
  ) throws(TensorError) {
    self.precision = precision
    if trains == .adapter {
      self.core = core
    } else {
      self.core = UNet(core.configuration, scope: "core.")
      try Self.copy(core.parameters, to: self.core.parameters)
    }
    if trains != .core, let encoder {
      let mine = ConditionEncoder(encoder.configuration, core: core.configuration)
      try Self.copy(encoder.parameters, to: mine.parameters)
      self.encoder = mine
    } else {
      self.encoder = nil
    }
    parameters = (self.encoder?.parameters ?? []) + (trains == .adapter ? [] : self.core.parameters)
    for parameter in parameters { parameter.isTrainable = isTrainable }
  }

  static func copy(_ from: [Parameter], to: [Parameter]) throws(TensorError) {
    for (theirs, mine) in zip(from, to) { try mine.assign(theirs.value.copied()) }
  }

  /// The network for one condition, `[B, H, W, K]`.
  func denoise(_ condition: Tensor, prepared: Features? = nil) -> Denoise {
    let (core, precision) = (core, precision)
    guard let encoder else { return { try core($0, $1, precision: precision) } }
    let steered = ConditionalDenoiser(core: core, encoder: encoder, precision: precision)
    return { try steered($0, condition, $1, prepared: prepared) }
  }

  /// The same with what depends on the condition alone made once; off the tape.
  func sampling(_ condition: Tensor) throws -> Denoise {
    let steered = encoder.map { ConditionalDenoiser(core: core, encoder: $0, precision: precision) }
    return denoise(condition, prepared: try steered?.prepare(condition))
  }

  /// Mean |μ| at each place, for logs.
  var blends: [String: Double] {
    var named: [String: Double] = [:]
    for (place, mu) in (encoder?.mus ?? []).enumerated() {
      let all = mu.value.floats()
      named["mu-\(place)"] = Double(all.map(abs).reduce(0, +)) / Double(all.count)
    }
    return named
  }
}

extension UNet {
  /// A core that knows nothing: every tensor normal, with the mean and the spread of this core's, so that signals keep their
  /// size. (Fresh weights would not do: output layers start at zero, and a frozen zero says nothing for ever.)
  func scrambled(seed: UInt64) throws(TensorError) -> UNet {
    let other = UNet(configuration, scope: "core.")
    for (place, (mine, theirs)) in zip(other.parameters, parameters).enumerated() {
      let values = theirs.value.floats()
      let mean = values.reduce(0, +) / Float(values.count)
      let spread = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(values.count)).squareRoot()
      let noise = NoiseStream(seed: seed, digest: Array("random core".utf8)).derived(UInt64(place))
        .normal(draw: 0, height: 1, width: values.count, channels: 1)
      try mine.assign(try Tensor.sum(spread, try noise.reshaped(mine.shape), 1, .full(mine.shape, mean)))
      mine.isTrainable = false
    }
    return other
  }
}
