internal import Bundles
internal import Tensor

/// One convolution of a measuring network, a batch norm behind it folded in. The network says how it is laid.
struct Convolution: Sendable {
  private let weight, bias: Parameter

  /// `name.weight` and `name.bias`.
  init(_ name: String, in file: SafetensorsFile) throws {
    let w = try Values("\(name).weight", in: file)
    try self.init(w.square, bias: try Values("\(name).bias", of: [w.shape[0]], in: file))
  }

  /// `weight` and the four tensors of `norm`: `w γ / √(v + ε)` with the bias `β − m γ / √(v + ε)`.
  init(_ weight: String, norm: String, epsilon: Double = 1e-3, in file: SafetensorsFile) throws {
    let w = try Values(weight, in: file)
    let square = w.square
    func part(_ name: String) throws -> Values { try Values("\(norm).\(name)", of: [w.shape[0]], in: file) }
    let (gain, shift, mean, variance) = (
      try part("weight"), try part("bias"), try part("running_mean"), try part("running_var")
    )
    let each = square.values.count / w.shape[0]
    var (folded, bias) = (square, shift)
    for o in 0..<w.shape[0] {
      let factor = Double(gain.values[o]) / (Double(variance.values[o]) + epsilon).squareRoot()
      for i in o * each..<(o + 1) * each { folded.values[i] = Float(Double(folded.values[i]) * factor) }
      bias.values[o] = Float(Double(bias.values[o]) - Double(mean.values[o]) * factor)
    }
    try self.init(folded, bias: bias)
  }

  private init(_ weight: Values, bias: Values) throws {
    (self.weight, self.bias) = (try weight.parameter(), try bias.parameter())
  }

  var outputs: Int { weight.shape[0] }
  var kernel: Int { weight.shape[2] }

  func callAsFunction(
    _ x: Tensor, stride: Int = 1, padding: Padding = .half, groups: Int = 1, adding residual: Tensor? = nil
  ) throws(TensorError) -> Tensor {
    try x.conv2d(weight, bias: bias, stride: stride, padding: padding, groups: groups, adding: residual)
  }
}

/// A tensor of a file, float32.
private struct Values {
  let name: String
  var shape: [Int]
  var values: [Float]

  /// - Parameter wanted: the shape it must have; `nil` is any of four dimensions.
  init(_ name: String, of wanted: [Int]? = nil, in file: SafetensorsFile) throws {
    let entry = try file.entry(name)
    func refuse(_ reason: String) -> BundleError {
      BundleError(
        .wrongShape, at: "\(file.path): \(name)", reason,
        remedy: "Use the file this network was saved to, converted to float32.")
    }
    guard entry.dtype == .f32 else { throw refuse("The tensor is \(entry.dtype.rawValue), expected F32.") }
    let fits = wanted.map { $0 == entry.shape } ?? (entry.shape.count == 4 && !entry.shape.contains(0))
    guard fits else {
      throw refuse("The tensor is \(entry.shape), expected \(wanted.map { "\($0)" } ?? "four dimensions").")
    }
    self.name = name
    shape = entry.shape
    values = try entry.withBytes { try Tensor(copying: $0, shape: entry.shape, dtype: .f32) }.floats()
  }

  func parameter() throws -> Parameter { Parameter(name: name, try Tensor(values, shape: shape), isTrainable: false) }

  /// A `1 × K` or `K × 1` kernel in the middle of `K × K` zeros, which change nothing but the time.
  var square: Values {
    let (h, w) = (shape[2], shape[3])
    let k = max(h, w)
    guard h != w else { return self }
    var out = self
    out.shape = [shape[0], shape[1], k, k]
    out.values = [Float](repeating: 0, count: shape[0] * shape[1] * k * k)
    for map in 0..<shape[0] * shape[1] {
      for row in 0..<h {
        for column in 0..<w {
          out.values[(map * k + row + (k - h) / 2) * k + column + (k - w) / 2] = values[(map * h + row) * w + column]
        }
      }
    }
    return out
  }
}
