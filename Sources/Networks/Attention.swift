internal import Tensor

/// Attention of a picture to itself, added to it: group norm, queries, keys and values in one product.
struct SelfAttention: Sendable {
  let norm: Norm
  let input, output: Convolution
  let heads: Int

  init(_ make: ParameterFactory, _ name: String, _ width: Int, groups: Int, heads: Int) {
    self.heads = heads
    (norm, input, output) = make.scope(name) {
      (
        Norm(make, "norm", width, groups: groups, activate: false),
        Convolution(make, "qkv", width, 3 * width, kernel: 1),
        Convolution(make, "output", width, width, kernel: 1, gain: 0)
      )
    }
  }

  func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
    try output(try input(try norm(x)).selfAttention(heads: heads), adding: x)
  }
}

/// A transformer block between two 1×1 convolutions, added to the picture (arXiv:2112.10752v2, figure 3): the picture looks
/// at itself, then at a context, then a gated feed-forward layer follows. Pixels are the tokens.
struct Transformer: Sendable {
  let norm: Norm
  let input, output: Convolution
  let firstNorm, secondNorm, thirdNorm: LayerNorm
  let selfInput, selfOutput, query, context, contextOutput, wide, narrow: Convolution
  let heads: Int

  init(_ make: ParameterFactory, _ name: String, _ width: Int, groups: Int, heads: Int, context: Int) {
    self.heads = heads
    func dense(_ name: String, _ i: Int, _ o: Int, hasBias: Bool = true, gain: Float = 1) -> Convolution {
      Convolution(make, name, i, o, kernel: 1, gain: gain, hasBias: hasBias)
    }
    let made = make.scope(name) {
      (
        (
          Norm(make, "norm", width, groups: groups, epsilon: 1e-6, activate: false), dense("input", width, width),
          LayerNorm(make, "norm1", width)
        ),
        (
          dense("self.qkv", width, 3 * width, hasBias: false), dense("self.output", width, width),
          LayerNorm(make, "norm2", width)
        ),
        (
          dense("cross.query", width, width, hasBias: false),
          dense("cross.context", context, 2 * width, hasBias: false),
          dense("cross.output", width, width), LayerNorm(make, "norm3", width)
        ),
        (
          dense("feed.wide", width, 8 * width), dense("feed.narrow", 4 * width, width),
          dense("output", width, width, gain: 0)
        )
      )
    }
    (norm, input, firstNorm) = made.0
    (selfInput, selfOutput, secondNorm) = made.1
    (query, self.context, contextOutput, thirdNorm) = made.2
    (wide, narrow, output) = made.3
  }

  /// - Parameter tokens: the context, `[B, 1, M, K]`, of the picture's dtype.
  func callAsFunction(_ x: Tensor, _ tokens: Tensor) throws(TensorError) -> Tensor {
    var h = try input(try norm(x))
    h = try selfOutput(try selfInput(try firstNorm(h)).selfAttention(heads: heads), adding: h)
    let keysAndValues = try context(tokens)
    h = try contextOutput(
      try query(try secondNorm(h)).attending(to: keysAndValues, heads: heads), adding: h)
    h = try narrow(try wide(try thirdNorm(h)).geglu(), adding: h)
    return try output(h, adding: x)
  }
}

/// Layer norm of each pixel over its channels.
struct LayerNorm: Sendable {
  let gain, bias: Parameter

  init(_ make: ParameterFactory, _ name: String, _ width: Int) {
    (gain, bias) = make.scope(name) { (make.constant("gain", [width], 1), make.constant("bias", [width], 0)) }
  }

  func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor { try x.layerNormalised(gain: gain, bias: bias) }
}
