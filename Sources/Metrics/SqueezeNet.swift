internal import Bundles
internal import Tensor

/// The convolutions of SqueezeNet 1.1 (arXiv:1602.07360v4), with the widths that the weights file has.
struct SqueezeNet: Sendable {
  private let first: Layer
  private let fires: [Fire]

  private struct Layer: Sendable {
    let weight, bias: Parameter

    init(_ name: String, in file: SafetensorsFile) throws {
      func parameter(_ part: String) throws -> Parameter {
        let entry = try file.entry("\(name).\(part)")
        guard entry.dtype == .f32 else {
          throw BundleError(
            .wrongShape, at: "\(file.path): \(entry.name)", "The tensor is \(entry.dtype.rawValue), expected F32.",
            remedy: "Convert it.")
        }
        let value = try entry.withBytes { try Tensor(copying: $0, shape: entry.shape, dtype: .f32) }
        return Parameter(name: entry.name, value, isTrainable: false)
      }
      (weight, bias) = (try parameter("weight"), try parameter("bias"))
    }

    func callAsFunction(_ x: Tensor, stride: Int = 1, padding: Padding = .half) throws(TensorError) -> Tensor {
      try x.conv2d(weight, bias: bias, stride: stride, padding: padding).rectified()
    }
  }

  private struct Fire: Sendable {
    let squeeze, expand1x1, expand3x3: Layer

    func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
      let s = try squeeze(x)
      return try expand1x1(s).concatenated(with: try expand3x3(s))
    }
  }

  init(_ file: SafetensorsFile) throws {
    first = try Layer("conv1", in: file)
    fires = try (2...9).map { number in
      func layer(_ part: String) throws -> Layer { try Layer("fire\(number).\(part)", in: file) }
      return Fire(
        squeeze: try layer("squeeze1x1"), expand1x1: try layer("expand1x1"), expand3x3: try layer("expand3x3"))
    }
  }

  /// Smallest side: 25 → 12 by the first convolution, → 6 → 3 → 1 by the poolings.
  static let smallest = 25

  /// LPIPS's seven taps, fine to coarse, of `[B, H, W, 3]`: after the first convolution, fire 3, 5, 6, 7, 8 and 9.
  func taps(_ x: Tensor) throws(TensorError) -> [Tensor] {
    var h = try first(x, stride: 2, padding: .explicit(0, 0))
    var taps = [h]
    for (index, fire) in fires.enumerated() {
      if [0, 2, 4].contains(index) { h = try h.maxPooled(window: 3, stride: 2) }
      h = try fire(h)
      if index == 1 || index >= 3 { taps.append(h) }
    }
    return taps
  }
}
