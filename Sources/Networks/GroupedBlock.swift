internal import Tensor

/// The norm before an output, with SiLU: of each pixel, or of groups of channels over the picture.
struct Norm: Sendable {
  let gain: Parameter
  /// `nil` for the norm of each pixel, which has none.
  let bias: Parameter?
  let groups: Int
  let epsilon: Float
  let activate: Bool

  /// As the configuration says; parameters `name`, or `name.gain` and `name.bias`.
  init(_ make: ParameterFactory, _ name: String, _ width: Int, _ c: UNetConfiguration) {
    if let grouped = c.grouped {
      self.init(make, name, width, groups: grouped.groups)
    } else {
      self.init(ofEachPixel: make.constant(name, [width], 1))
    }
  }

  private init(ofEachPixel gain: Parameter) {
    (self.gain, bias, groups, epsilon, activate) = (gain, nil, 0, 0, true)
  }

  /// A group norm.
  init(
    _ make: ParameterFactory, _ name: String, _ width: Int, groups: Int, epsilon: Float = 1e-5, activate: Bool = true
  ) {
    let made = make.scope(name) { (make.constant("gain", [width], 1), make.constant("bias", [width], 0)) }
    (gain, bias, self.groups, self.epsilon, self.activate) = (made.0, made.1, groups, epsilon, activate)
  }

  func callAsFunction(_ x: Tensor, adding offset: Tensor? = nil) throws(TensorError) -> Tensor {
    guard let bias else { return try x.normalised(gain: gain) }
    return try x.groupNormalised(
      groups: groups, gain: gain, bias: bias, offset: offset, epsilon: epsilon, activate: activate)
  }
}

/// Residual block with group norms; time is added to every pixel before the second one (arXiv:2006.11239v2).
/// `[B, H, W, I] → [B, H, W, O]`.
struct GroupedBlock: Sendable {
  let firstNorm, secondNorm: Norm
  let first, second: Convolution
  let time: Linear
  let shortcut: Convolution?

  init(_ make: ParameterFactory, _ name: String, _ i: Int, _ o: Int, groups: Int, embedding: Int) {
    let made = make.scope(name) {
      (
        Norm(make, "norm1", i, groups: groups), Convolution(make, "conv1", i, o), Linear(make, "time", embedding, o),
        Norm(make, "norm2", o, groups: groups), Convolution(make, "conv2", o, o, gain: 0),
        i == o ? nil : Convolution(make, "shortcut", i, o, kernel: 1)
      )
    }
    (firstNorm, first, time, secondNorm, second, shortcut) = made
  }

  func callAsFunction(_ x: Tensor, _ embedding: Tensor) throws(TensorError) -> Tensor {
    let h = try first(try firstNorm(x))
    return try second(try secondNorm(h, adding: try time(embedding)), adding: try shortcut?(x) ?? x)
  }
}
