internal import Tensor

/// A convolution with bias, `[B, H, W, I] → [B, H/stride, W/stride, O]`.
struct Convolution: Sendable {
  let weight: Parameter
  let bias: Parameter?
  let stride: Int

  init(
    _ make: ParameterFactory, _ name: String, _ i: Int, _ o: Int, kernel: Int = 3, stride: Int = 1, gain: Float = 1,
    hasBias: Bool = true
  ) {
    (weight, bias) = make.scope(name) {
      (
        gain == 0
          ? make.constant("weight", [o, i, kernel, kernel], 0)
          : make.normal("weight", [o, i, kernel, kernel], gain: gain),
        hasBias ? make.constant("bias", [o], 0) : nil
      )
    }
    self.stride = stride
  }

  func callAsFunction(_ x: Tensor, adding residual: Tensor? = nil) throws(TensorError) -> Tensor {
    try x.conv2d(weight, bias: bias, stride: stride, adding: residual)
  }
}

/// A dense layer in float32, `[B, I] → [B, O]`.
struct Linear: Sendable {
  let weight, bias: Parameter

  init(_ make: ParameterFactory, _ name: String, _ i: Int, _ o: Int, gain: Float = 1) {
    (weight, bias) = make.scope(name) {
      (
        gain == 0 ? make.constant("weight", [o, i], 0) : make.normal("weight", [o, i], gain: gain),
        make.constant("bias", [o], 0)
      )
    }
  }

  func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor { try x.linear(weight, bias: bias) }
}

/// Pre-activation residual block (arXiv:1603.05027v3) with per-pixel norms; time enters as scale and shift of the second
/// norm (FiLM, arXiv:1709.07871v2). `[B, H, W, I] → [B, H, W, O]`; starts as its shortcut alone.
struct ResidualBlock: Sendable {
  let firstNorm, secondNorm: Parameter
  let first, second: Convolution
  let modulation: Linear
  let shortcut: Convolution?

  init(_ make: ParameterFactory, _ name: String, _ i: Int, _ o: Int, embedding: Int) {
    let made = make.scope(name) {
      (
        make.constant("norm1", [i], 1), Convolution(make, "conv1", i, o), make.constant("norm2", [o], 1),
        Linear(make, "modulation", embedding, 2 * o, gain: 0), Convolution(make, "conv2", o, o, gain: 0),
        i == o ? nil : Convolution(make, "shortcut", i, o, kernel: 1)
      )
    }
    (firstNorm, first, secondNorm, modulation, second, shortcut) = made
  }

  /// - Parameter time: the embedding, `[B, E]` or `[1, E]`, float32.
  func callAsFunction(_ x: Tensor, _ time: Tensor) throws(TensorError) -> Tensor {
    let h = try first(try x.normalised(gain: firstNorm))
    let u = try h.normalised(gain: secondNorm, modulation: try modulation(time))
    return try second(u, adding: try shortcut?(x) ?? x)
  }
}

/// Noise levels as vectors: sines and cosines of time (arXiv:1706.03762v7, §3.5, with `1000 t` as position), then two dense
/// layers. `[B]` levels to `[B, E]` float32.
struct TimeEmbedding: Sendable {
  let first, second: Linear
  /// Numbers that time becomes at first.
  let features: Int
  /// Cosines before sines, as in later models.
  let cosineFirst: Bool

  /// - Parameter features: `E` where nothing is said.
  init(_ make: ParameterFactory, _ name: String, features: Int? = nil, width: Int, cosineFirst: Bool = false) {
    self.features = features ?? width
    self.cosineFirst = cosineFirst
    (first, second) = make.scope(name) {
      (Linear(make, "linear1", features ?? width, width), Linear(make, "linear2", width, width))
    }
  }

  func callAsFunction(_ times: [Double]) throws(TensorError) -> Tensor {
    let half = features / 2
    var values: [Float] = []
    values.reserveCapacity(times.count * features)
    for time in times {
      let angles = (0..<half).map { 1000 * time * Self.frequency($0, of: half) }
      let (sines, cosines) = (angles.map { Float(Self.sine($0)) }, angles.map { Float(Self.cosine($0)) })
      values += cosineFirst ? cosines + sines : sines + cosines
    }
    let x = try Tensor(values, shape: [times.count, features])
    return try second(try first(x).silu()).silu()
  }
}
