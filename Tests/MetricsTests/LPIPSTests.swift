import Bundles
import Foundation
import Imaging
import Metrics
import Tensor
import Testing

@Suite("LPIPS") @Compute struct LPIPSTests {
  /// A trunk's convolutions, `features.N` with outputs, inputs and kernel, and the widths of its taps.
  struct Network: Sendable, CustomTestStringConvertible {
    let short, long: String
    let layers: [(name: String, shape: [Int])]
    let taps: [Int]
    var testDescription: String { long }

    static let all = [
      Network(
        short: "alex", long: "AlexNet",
        layers: [
          ("0", [64, 3, 11, 11]), ("3", [192, 64, 5, 5]), ("6", [384, 192, 3, 3]), ("8", [256, 384, 3, 3]),
          ("10", [256, 256, 3, 3]),
        ], taps: [64, 192, 384, 256, 256]),
      Network(
        short: "vgg", long: "VGG",
        layers: [
          (0, 64, 3), (2, 64, 64), (5, 128, 64), (7, 128, 128), (10, 256, 128), (12, 256, 256), (14, 256, 256),
          (17, 512, 256), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512),
        ].map { ("\($0.0)", [$0.1, $0.2, 3, 3]) }, taps: [64, 128, 256, 512, 512]),
      Network(
        short: "squeeze", long: "SqueezeNet",
        layers: [("0", [64, 3, 3, 3])]
          + [
            (3, 16, 64, 64), (4, 16, 128, 64), (6, 32, 128, 128), (7, 32, 256, 128), (9, 48, 256, 192),
            (10, 48, 384, 192), (11, 64, 384, 256), (12, 64, 512, 256),
          ].flatMap { number, squeeze, input, expand in
            [
              ("\(number).squeeze", [squeeze, input, 1, 1]), ("\(number).expand1x1", [expand, squeeze, 1, 1]),
              ("\(number).expand3x3", [expand, squeeze, 3, 3]),
            ]
          }, taps: [64, 128, 256, 384, 384, 512, 512]),
    ]

    func withWeights(_ body: (URL) throws -> Void) throws {
      let shapes = layers.flatMap { layer in
        [("features.\(layer.name).weight", layer.shape), ("features.\(layer.name).bias", [layer.shape[0]])]
      }
      try FormulaWeights.withFile(shapes, body)
    }
  }

  @Test("every tap agrees with the package lpips, with random weights and heads", arguments: Network.all)
  func formula(network: Network) throws {
    try network.withWeights { trunk in
      let folder = trunk.deletingLastPathComponent()
      let heads = network.taps.enumerated().map { ("lin\($0).model.1.weight", [1, $1, 1, 1]) }
      try FormulaWeights.write(heads, to: folder.appendingPathComponent("lpips_v0.1_lin_\(network.short).safetensors"))
      try check(network, trunk, headsIn: folder.path, against: "formula")
    }
  }

  @Test(
    "every tap agrees with the package lpips, with random weights and the true heads",
    .enabled(if: TestData.folder != nil, TestData.reason), arguments: Network.all)
  func trueHeads(network: Network) throws {
    let folder = "\(try #require(TestData.folder))/weights"
    try network.withWeights { try check(network, $0, headsIn: folder, against: "heads") }
  }

  private func check(_ network: Network, _ trunk: URL, headsIn folder: String, against kind: String) throws {
    let (pair, golden) = (try Golden(), try Golden(Golden.networks))
    let metric = try PerceptualDistance(lpips: trunk.path, headsIn: folder)
    #expect(metric.name == "LPIPS-\(network.long)" && metric.digests.count == 2)
    let (a, b) = (try pair.bitmap("pair.a"), try pair.bitmap("pair.b"))
    let (found, expected) = (try metric.taps(a, b), try golden.values("lpips.\(network.short).\(kind)"))
    #expect(found.count == network.taps.count && expected.count == found.count)
    for (x, y) in zip(found, expected) { #expect(abs(x - y) < 1e-4 * y, "\(x), \(y)") }
    #expect(try metric.distance(a, a) == 0)
  }

  @Test("heads of other widths are refused, and so is a trunk without heads")
  func refusals() throws {
    try Network.all[0].withWeights { trunk in
      let folder = trunk.deletingLastPathComponent()
      let missing = #expect(throws: MetricsError.self) {
        try PerceptualDistance(lpips: trunk.path, headsIn: folder.path)
      }
      #expect(missing?.code == .missingWeights && missing?.description.contains("lpips_v0.1_lin_alex") == true)
      let heads = (0..<5).map { ("lin\($0).model.1.weight", [1, 7, 1, 1]) }
      try FormulaWeights.write(heads, to: folder.appendingPathComponent("lpips_v0.1_lin_alex.safetensors"))
      let metric = try PerceptualDistance(lpips: trunk.path, headsIn: folder.path)
      let (a, b) = (noise(width: 40, height: 40), noise(width: 40, height: 40))
      #expect(#expect(throws: MetricsError.self) { try metric.distance(a, b) }?.code == .mismatch)
    }
  }
}
