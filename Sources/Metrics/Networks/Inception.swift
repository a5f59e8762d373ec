internal import Bundles
internal import Tensor

/// Inception v3 (arXiv:1512.00567v3) as the Fréchet Inception Distance uses it: the graph of 2015 in the package
/// pytorch-fid's names. It differs from torchvision's in that means at the edges count inside pixels only, and in that the
/// very last pooling takes the largest value.
struct Inception: Sendable {
  private let stem: [Convolution]
  private let blocks: [Block]

  private enum Branch {
    /// Layers one after the other.
    case chain([String])
    /// Layers, and then two beside each other.
    case fork([String], [String])
    /// Pooling with windows of 3, and a layer.
    case pool(Pooling)
    /// The largest of windows of 3, two pixels apart.
    case reduce
  }

  private struct Block: Sendable {
    let branches: [@Sendable (Tensor) throws(TensorError) -> Tensor]

    func callAsFunction(_ x: Tensor) throws(TensorError) -> Tensor {
      var out = try branches[0](x)
      for branch in branches.dropFirst() { out = try out.concatenated(with: try branch(x)) }
      return out
    }
  }

  /// The pictures that it was trained on.
  static let size = 299

  private static let plan: [(name: String, branches: [Branch])] = {
    let double = (1...3).map { "branch3x3dbl_\($0)" }
    let a: [Branch] = [.chain(["branch1x1"]), .chain(["branch5x5_1", "branch5x5_2"]), .chain(double), .pool(.mean)]
    let c: [Branch] = [
      .chain(["branch1x1"]), .chain((1...3).map { "branch7x7_\($0)" }), .chain((1...5).map { "branch7x7dbl_\($0)" }),
      .pool(.mean),
    ]
    func e(_ pooling: Pooling) -> [Branch] {
      [
        .chain(["branch1x1"]), .fork(["branch3x3_1"], ["branch3x3_2a", "branch3x3_2b"]),
        .fork(["branch3x3dbl_1", "branch3x3dbl_2"], ["branch3x3dbl_3a", "branch3x3dbl_3b"]), .pool(pooling),
      ]
    }
    return ["5b", "5c", "5d"].map { ($0, a) } + [("6a", [.chain(["branch3x3"]), .chain(double), .reduce])]
      + ["6b", "6c", "6d", "6e"].map { ($0, c) }
      + [
        (
          "7a",
          [
            .chain(["branch3x3_1", "branch3x3_2"]), .chain((1...4).map { "branch7x7x3_\($0)" }),
            .reduce,
          ]
        ),
        ("7b", e(.mean)), ("7c", e(.largest)),
      ]
  }()

  init(_ file: SafetensorsFile) throws {
    func layer(_ name: String) throws -> Convolution {
      try Convolution("\(name).conv.weight", norm: "\(name).bn", in: file)
    }
    stem = try ["1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"].map { try layer("Conv2d_\($0)") }
    blocks = try Self.plan.map { name, branches in
      let reduces = name.hasSuffix("6a") || name.hasSuffix("7a")
      return Block(branches: try branches.map { try Self.branch($0, "Mixed_\(name)", reduces: reduces, layer) })
    }
  }

  /// - Parameter reduces: whether the last layer of a chain steps two pixels and keeps inside.
  private static func branch(
    _ branch: Branch, _ block: String, reduces: Bool, _ layer: (String) throws -> Convolution
  ) throws -> @Sendable (Tensor) throws(TensorError) -> Tensor {
    func layers(_ names: [String]) throws -> [Convolution] { try names.map { try layer("\(block).\($0)") } }
    @Sendable func run(_ layers: [Convolution], _ x: Tensor, reduces: Bool) throws(TensorError) -> Tensor {
      var h = x
      for (i, layer) in layers.enumerated() {
        let last = reduces && i == layers.count - 1
        h = try layer(h, stride: last ? 2 : 1, padding: last ? .explicit(0, 0) : .half).rectified()
      }
      return h
    }
    switch branch {
    case .chain(let names):
      let chain = try layers(names)
      return { (x) throws(TensorError) in try run(chain, x, reduces: reduces) }
    case .fork(let names, let ends):
      let (chain, ends) = (try layers(names), try layers(ends))
      return { (x) throws(TensorError) in
        let h = try run(chain, x, reduces: false)
        return try ends[0](h).rectified().concatenated(with: try ends[1](h).rectified())
      }
    case .pool(let pooling):
      let end = try layers(["branch_pool"])
      return { (x) throws(TensorError) in
        try run(end, try x.pooled(pooling, window: 3, stride: 1, padding: 1), reduces: false)
      }
    case .reduce: return { (x) throws(TensorError) in try x.pooled(.largest, window: 3, stride: 2) }
    }
  }

  /// `pool3`, the means over places at the end, of `[B, 299, 299, 3]` in −1…1: `[B, 2048]`.
  func features(_ x: Tensor) throws(TensorError) -> Tensor {
    var h = try stem[0](x, stride: 2, padding: .explicit(0, 0)).rectified()
    h = try stem[1](h, padding: .explicit(0, 0)).rectified()
    h = try stem[2](h).rectified().pooled(.largest, window: 3, stride: 2)
    h = try stem[3](h, padding: .explicit(0, 0)).rectified()
    h = try stem[4](h, padding: .explicit(0, 0)).rectified().pooled(.largest, window: 3, stride: 2)
    for block in blocks { h = try block(h) }
    return try h.meanOverPlaces()
  }
}
