internal import Tensor

/// One step of a U-Net: a residual block and, where the configuration asks for it, attention behind it.
struct Block: Sendable {
  private let residual: Residual
  private let attention: Attention?

  private enum Residual: Sendable {
    case modulated(ResidualBlock)
    case added(GroupedBlock)
  }
  private enum Attention: Sendable {
    case picture(SelfAttention)
    case context(Transformer)
  }

  /// - Parameters:
  ///   - name: of the residual block.
  ///   - attention: name of the attention, and its heads; 0 for none.
  init(
    _ make: ParameterFactory, _ name: String, _ i: Int, _ o: Int, _ c: UNetConfiguration,
    attention: (name: String, heads: Int)
  ) {
    guard let grouped = c.grouped else {
      residual = .modulated(ResidualBlock(make, name, i, o, embedding: c.embedding))
      self.attention = nil
      return
    }
    residual = .added(GroupedBlock(make, name, i, o, groups: grouped.groups, embedding: c.embedding))
    if attention.heads == 0 {
      self.attention = nil
    } else if grouped.context == 0 {
      self.attention = .picture(
        SelfAttention(make, attention.name, o, groups: grouped.groups, heads: attention.heads))
    } else {
      self.attention = .context(
        Transformer(
          make, attention.name, o, groups: grouped.groups, heads: attention.heads, context: grouped.context))
    }
  }

  /// `h` and then the skip as one picture of all their channels, through the block.
  /// - Parameter mine: what an adapter says at the skip.
  func callAsFunction(
    _ h: Tensor, skip: Tensor, steeredBy mine: (features: Tensor, mu: Parameter)?, _ time: Tensor, _ context: Tensor?
  ) throws(TensorError) -> Tensor {
    switch residual {
    // Blocks of this kind have no attention behind them.
    case .modulated(let block): return try block(h, skip: skip, steeredBy: mine, time)
    case .added:
      let steered = if let mine { try skip.blended(with: mine.features, mu: mine.mu) } else { skip }
      return try self(try h.concatenated(with: steered), time, context)
    }
  }

  /// `[B, H, W, I] → [B, H, W, O]`.
  /// - Parameters:
  ///   - time: `[B, E]` or `[1, E]` float32.
  ///   - context: `[B, 1, M, K]` for transformer blocks.
  func callAsFunction(_ x: Tensor, _ time: Tensor, _ context: Tensor?) throws(TensorError) -> Tensor {
    let h =
      switch residual {
      case .modulated(let block): try block(x, time)
      case .added(let block): try block(x, time)
      }
    switch attention {
    case nil: return h
    case .picture(let attention): return try attention(h)
    case .context(let transformer):
      guard let context else {
        throw TensorError(
          .shape, "UNet", "this network looks at a context, and there is none.",
          remedy: "Pass context: [B, 1, tokens, width].")
      }
      return try transformer(h, context)
    }
  }
}
