internal import Synchronization
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
///
/// A frozen layer remembers what it said to the last few vectors: a network asks it about the same noise level once for every
/// region of a picture.
struct Linear: Sendable {
  let weight, bias: Parameter
  private let memory = Memory<Tensor>()

  init(_ make: ParameterFactory, _ name: String, _ i: Int, _ o: Int, gain: Float = 1) {
    (weight, bias) = make.scope(name) {
      (
        gain == 0 ? make.constant("weight", [o, i], 0) : make.normal("weight", [o, i], gain: gain),
        make.constant("bias", [o], 0)
      )
    }
  }

  func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
    guard x.shape.first == 1, !x.isOnTape else { return try x.linear(weight, bias: bias) }
    return try memory.recall(x, of: [weight, bias], isSame: x.sharesMemory(with:)) { () throws(TensorError) in
      try x.linear(weight, bias: bias)
    }
  }
}

/// The last few results of something that depends on frozen parameters and a question.
final class Memory<Question: Sendable>: Sendable {
  private struct Entry {
    let question: Question
    let versions: [Int]
    let answer: Tensor
  }
  private let entries = Mutex<[Entry]>([])
  private static var capacity: Int { 8 }

  /// What `make` said when it was last asked, or asks it. Questions keep their memory, so that one that is known by its place
  /// stays what it was.
  func recall(
    _ question: Question, of parameters: [Parameter], isSame: (Question) -> Bool,
    _ make: () throws(TensorError) -> Tensor
  ) throws(TensorError) -> Tensor {
    guard parameters.allSatisfy({ !$0.isTrainable }) else { return try make() }
    let versions = parameters.map(\.version)
    let known = entries.withLock { entries in entries.first { isSame($0.question) && $0.versions == versions }?.answer }
    if let known { return known }
    let answer = try make()
    entries.withLock { entries in
      if entries.count >= Self.capacity { entries.removeFirst() }
      entries.append(Entry(question: question, versions: versions, answer: answer))
    }
    return answer
  }
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
    try finish(x, try x.normalised(gain: firstNorm), time)
  }

  /// The same of `h` and a skip, put together.
  func callAsFunction(
    _ h: Tensor, skip: Tensor, steeredBy mine: (features: Tensor, mu: Parameter)?, _ time: Tensor
  ) throws(TensorError) -> Tensor {
    let both = try h.joined(with: skip, steeredBy: mine, gain: firstNorm)
    return try finish(both.joined, both.normalised, time)
  }

  private func finish(_ x: Tensor, _ normalised: Tensor, _ time: Tensor) throws(TensorError) -> Tensor {
    let h = try first(normalised)
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
  private let memory = Memory<Double>()

  /// - Parameter features: `E` where nothing is said.
  init(_ make: ParameterFactory, _ name: String, features: Int? = nil, width: Int, cosineFirst: Bool = false) {
    self.features = features ?? width
    self.cosineFirst = cosineFirst
    (first, second) = make.scope(name) {
      (Linear(make, "linear1", features ?? width, width), Linear(make, "linear2", width, width))
    }
  }

  func callAsFunction(_ times: [Double]) throws(TensorError) -> Tensor {
    guard let time = times.first, times.count == 1 else { return try embed(times) }
    let parameters = [first.weight, first.bias, second.weight, second.bias]
    func isSame(_ other: Double) -> Bool { other == time }
    return try memory.recall(time, of: parameters, isSame: isSame) { () throws(TensorError) in try embed(times) }
  }

  private func embed(_ times: [Double]) throws(TensorError) -> Tensor {
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
