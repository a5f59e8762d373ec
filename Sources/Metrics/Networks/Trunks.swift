internal import Bundles
internal import Tensor

/// A classifier whose features on the way, the *taps*, are compared: the networks of LPIPS (arXiv:1801.03924v2), with the
/// widths that the weights file has.
protocol Trunk: Sendable {
  /// Smallest side of a picture.
  static var smallest: Int { get }
  /// Features of `[B, H, W, 3]` after rectification, fine to coarse.
  func taps(_ x: Tensor) throws(TensorError) -> [Tensor]
}

/// SqueezeNet 1.1 (arXiv:1602.07360v4). Seven taps: after the first convolution, fire 3, 5, 6, 7, 8 and 9.
struct SqueezeNet: Trunk {
  private let first: Convolution
  private let fires: [Fire]

  private struct Fire: Sendable {
    let squeeze, expand1x1, expand3x3: Convolution

    init(_ name: String, squeeze part: String, in file: SafetensorsFile) throws {
      squeeze = try Convolution("\(name).\(part)", in: file)
      expand1x1 = try Convolution("\(name).expand1x1", in: file)
      expand3x3 = try Convolution("\(name).expand3x3", in: file)
    }

    func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
      let s = try squeeze(x).rectified()
      return try expand1x1(s).rectified().concatenated(with: try expand3x3(s).rectified())
    }
  }

  /// The names that SqueezeNet's authors gave: `conv1`, `fire2.squeeze1x1` to `fire9.expand3x3`.
  init(caffe file: SafetensorsFile) throws {
    first = try Convolution("conv1", in: file)
    fires = try (2...9).map { try Fire("fire\($0)", squeeze: "squeeze1x1", in: file) }
  }

  /// torchvision's names: `features.0`, `features.3.squeeze` to `features.12.expand3x3`.
  init(torchvision file: SafetensorsFile) throws {
    first = try Convolution("features.0", in: file)
    fires = try [3, 4, 6, 7, 9, 10, 11, 12].map { try Fire("features.\($0)", squeeze: "squeeze", in: file) }
  }

  /// 25 → 12 by the first convolution, → 6 → 3 → 1 by the poolings.
  static let smallest = 25

  func taps(_ x: Tensor) throws(TensorError) -> [Tensor] {
    var h = try first(x, stride: 2, padding: .explicit(0, 0)).rectified()
    var taps = [h]
    for (index, fire) in fires.enumerated() {
      if [0, 2, 4].contains(index) { h = try h.pooled(.largest, window: 3, stride: 2, reachesOver: true) }
      h = try fire(h)
      if index == 1 || index >= 3 { taps.append(h) }
    }
    return taps
  }
}

/// torchvision's AlexNet (arXiv:1404.5997v2). Five taps, one after each convolution.
struct AlexNet: Trunk {
  private let layers: [Convolution]

  init(_ file: SafetensorsFile) throws {
    layers = try [0, 3, 6, 8, 10].map { try Convolution("features.\($0)", in: file) }
  }

  /// 31 → 7 by the first convolution, → 3 → 1 by the poolings.
  static let smallest = 31

  func taps(_ x: Tensor) throws(TensorError) -> [Tensor] {
    var taps = [try layers[0](x, stride: 4, padding: .explicit(2, 2)).rectified()]
    for (index, layer) in layers.enumerated().dropFirst() {
      let last = taps[index - 1]
      taps.append(try layer(index <= 2 ? last.pooled(.largest, window: 3, stride: 2) : last).rectified())
    }
    return taps
  }
}

/// VGG of 16 layers (arXiv:1409.1556v6). Five taps, after the last convolution before each pooling and at the end.
struct VGG: Trunk {
  private let stages: [[Convolution]]

  init(_ file: SafetensorsFile) throws {
    stages = try [[0, 2], [5, 7], [10, 12, 14], [17, 19, 21], [24, 26, 28]].map { stage in
      try stage.map { try Convolution("features.\($0)", in: file) }
    }
  }

  /// Halved four times.
  static let smallest = 16

  func taps(_ x: Tensor) throws(TensorError) -> [Tensor] {
    var (h, taps) = (x, [Tensor]())
    for stage in stages {
      if let last = taps.last { h = try last.pooled(.largest, window: 2, stride: 2) }
      for layer in stage { h = try layer(h).rectified() }
      taps.append(h)
    }
    return taps
  }
}
