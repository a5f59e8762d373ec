internal import Bundles
internal import Tensor

/// The convolutions of EfficientNet-Lite0: EfficientNet-B0 (arXiv:1905.11946v5, Table 1) without squeeze-and-excitation,
/// with ReLU6, in PyTorch's names. Kernels and widths are those of the weights file; the padding is TensorFlow's.
struct EfficientNet: Sendable {
  private let stem, head: Convolution
  private let blocks: [Block]

  /// An inverted residual: widen, look at each channel's neighbourhood, narrow.
  private struct Block: Sendable {
    let expand: Convolution?
    let depthwise, project: Convolution
    let stride: Int

    init(_ number: Int, in file: SafetensorsFile) throws {
      func layer(_ name: String, _ norm: Int) throws -> Convolution {
        try Convolution("_blocks.\(number)._\(name)_conv.weight", norm: "_blocks.\(number)._bn\(norm)", in: file)
      }
      // Only the first block has as many channels inside as outside.
      expand = number == 0 ? nil : try layer("expand", 0)
      (depthwise, project) = (try layer("depthwise", 1), try layer("project", 2))
      stride = EfficientNet.halving.contains(number) ? 2 : 1
    }

    func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
      let wide = try expand.map { (layer) throws(TensorError) in try layer(x).rectified(upTo: 6) } ?? x
      let seen = try depthwise(
        wide, stride: stride, padding: .same(wide, depthwise.kernel, stride), groups: wide.shape[3]
      )
      .rectified(upTo: 6)
      return try project(seen, adding: stride == 1 && project.outputs == x.shape[3] ? x : nil)
    }
  }

  /// Blocks that halve the picture: the first ones of the stages with stride 2.
  private static let halving: Set = [1, 3, 5, 11]

  init(_ file: SafetensorsFile) throws {
    stem = try Convolution("_conv_stem.weight", norm: "_bn0", in: file)
    blocks = try (0..<16).map { try Block($0, in: file) }
    head = try Convolution("_conv_head.weight", norm: "_bn1", in: file)
  }

  /// Features of `[B, S, S, 3]`, `(value − 127) / 128`: `[B, 1280]`.
  func features(_ x: Tensor) throws(TensorError) -> Tensor {
    var h = try stem(x, stride: 2, padding: .same(x, stem.kernel, 2)).rectified(upTo: 6)
    for block in blocks { h = try block(h) }
    return try head(h).rectified(upTo: 6).meanOverPlaces()
  }
}

extension Padding {
  /// TensorFlow's "same" for a square picture: the output is `⌈S / stride⌉`, an odd zero comes last.
  fileprivate static func same(_ x: Tensor, _ kernel: Int, _ stride: Int) -> Padding {
    let size = x.shape[1]
    let all = max(0, ((size + stride - 1) / stride - 1) * stride + kernel - size)
    return .explicit(all / 2, all - all / 2)
  }
}
