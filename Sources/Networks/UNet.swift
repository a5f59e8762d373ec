public import Diffusion
public import Tensor

/// The unconditional network of a core: a convolutional U-Net on folded pixels. Nothing in it looks at the whole picture,
/// unless its configuration is ``UNetConfiguration/Grouped``.
public final class UNet: Sendable {
  public let configuration: UNetConfiguration
  /// In a fixed order; names are ``scope`` and those of the weights file.
  public let parameters: [Parameter]
  /// Before every name: empty, or for networks whose parameters are kept beside another's.
  public let scope: String
  let time: TimeEmbedding
  let encoder: Encoder
  let decoder: Decoder

  /// A network with random weights, or with none where `seed` is `nil`: until every parameter is loaded it says nothing.
  public init(_ configuration: UNetConfiguration, seed: UInt64? = 0, scope: String = "") {
    precondition(configuration.problem == nil, configuration.problem ?? "")
    self.configuration = configuration
    self.scope = scope
    let make = ParameterFactory(seed: seed, scope: scope)
    let channels = configuration.pictureChannels * configuration.fold * configuration.fold
    time =
      configuration.grouped == nil
      ? TimeEmbedding(make, "time", width: configuration.embedding)
      : TimeEmbedding(
        make, "time", features: configuration.channels[0], width: configuration.embedding, cosineFirst: true)
    encoder = make.scope("encoder") { Encoder(make, configuration, inputChannels: channels) }
    decoder = make.scope("decoder") { Decoder(make, configuration, outputChannels: channels) }
    parameters = make.parameters
  }

  /// The time embedding of each level, `[B, E]`; it is the same for every picture.
  public func embed(_ levels: [NoiseLevel]) throws(TensorError) -> Tensor { try time(levels.map(\.time)) }

  /// `z`, `[B, H, W, C]` float32, to features in `precision`.
  /// - Parameter context: `[B, 1, M, K]`, for networks whose configuration has one.
  public func encode(
    _ z: Tensor, _ embedding: Tensor, context: Tensor? = nil, precision: DType
  ) throws(TensorError) -> Features {
    try requirePicture(z)
    let x = try z.converted(to: precision).folded(configuration.fold)
    return try encoder(x, embedding, context: context?.converted(to: precision))
  }

  /// Features to the network's output, `[B, H, W, C]` float32.
  public func decode(
    _ features: Features, _ embedding: Tensor, context: Tensor? = nil
  ) throws(TensorError) -> Tensor {
    let context = context?.converted(to: features.middle.dtype)
    return try decoder(features, embedding, context: context).unfolded(configuration.fold).converted(to: .f32)
  }

  /// The network's output at `z`, `[B, H, W, C]` float32, with a level for each sample or one for all.
  public func callAsFunction(
    _ z: Tensor, _ levels: [NoiseLevel], context: Tensor? = nil, precision: DType
  ) throws(TensorError) -> Tensor {
    let embedding = try embed(levels)
    // Converted once for both halves.
    let context = context?.converted(to: precision)
    let features = try encode(z, embedding, context: context, precision: precision)
    return try decode(features, embedding, context: context)
  }

  private func requirePicture(_ z: Tensor) throws(TensorError) {
    let n = configuration.granularity
    guard z.shape.count == 4, z.shape[3] == configuration.pictureChannels, z.shape[1] % n == 0, z.shape[2] % n == 0,
      z.dtype == .f32
    else {
      throw TensorError(
        .shape, "UNet",
        "takes float32 [B, H, W, \(configuration.pictureChannels)] with sides that are multiples of \(n), found \(z.shape) "
          + "of \(z.dtype).", remedy: "Pad the picture.")
    }
  }
}
