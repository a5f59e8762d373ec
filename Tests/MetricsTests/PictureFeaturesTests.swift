import Bundles
import Foundation
import Imaging
import Metrics
import Tensor
import Testing

@Suite("Features of pictures") @Compute struct PictureFeaturesTests {
  @Test("EfficientNet-Lite0 agrees with PyTorch, with narrow random layers")
  func narrow() throws {
    let network = try PictureFeatures(.efficientNetLite0, weights: Golden.networks)
    try check(network, against: "enl.features", first: 24)
    #expect(network.name(of: .frechet) == "FD-EffNetLite0@128" && network.name(of: .kernel) == "KD-EffNetLite0@128")
    #expect(network.digest == (try SHA256.hex(ofFile: Golden.networks)))
  }

  @Test(
    "EfficientNet-Lite0 agrees with PyTorch, with the true weights",
    .enabled(if: TestData.folder != nil, TestData.reason))
  func full() throws {
    let network = try PictureFeatures(.efficientNetLite0, weights: try Self.weights)
    try check(network, against: "enl.full", first: 64)
    #expect(try network(noise(width: 40, height: 40)).count == 1280)
  }

  @Test("Inception agrees with pytorch-fid, with random weights")
  func inception() throws {
    try FormulaWeights.withFile(InceptionShapes.all) { url in
      let network = try PictureFeatures(.inception, weights: url.path)
      try check(network, against: "inception.features", first: 2048)
      #expect(network.name(of: .frechet) == "FID")
    }
  }

  private func check(_ network: PictureFeatures, against name: String, first count: Int) throws {
    let (pair, networks) = (try Golden(), try Golden(Golden.networks))
    let expected = try networks.matrix(name)
    #expect(expected.columns == count)
    for (row, picture) in ["pair.a", "pair.b"].enumerated() {
      let found = try network(try pair.bitmap(picture))
      let wanted = expected.values[row * count..<(row + 1) * count]
      let scale = wanted.map(abs).max() ?? 0
      #expect(scale > 0.1, "features say something")
      for (x, y) in zip(found, wanted) { #expect(abs(x - y) < 2e-4 * scale) }
    }
  }

  /// Of the order that the data's README gives for 300 pictures a side, cut in another way: 361 and 567, 0 and 0.413.
  @Test(
    "real photographs are near real ones and far from blurred ones",
    .enabled(if: TestData.folder != nil, TestData.reason))
  func orientation() throws {
    // Middle squares of 64 pixels, as the core makes them.
    let photographs = try TestData.photographs().map { picture in
      let side = min(picture.width, picture.height)
      let (x, y) = ((picture.width - side) / 2, (picture.height - side) / 2)
      return Resize.bicubic(picture.cropped(x: x, y: y, width: side, height: side), width: 64, height: 64)
    }
    let half = photographs.count / 2
    let network = try PictureFeatures(.efficientNetLite0, weights: try Self.weights)
    let all = try network(photographs)
    let (a, b) = (all.selecting(Array(0..<half)), all.selecting(Array(half..<2 * half)))
    let blurred = try network(
      photographs[half..<2 * half].map { picture in
        Resize.bicubic(Resize.bicubic(picture, width: 16, height: 16), width: 64, height: 64)
      })
    let (real, blur) = (try FeatureDistance.frechet.value(b, a), try FeatureDistance.frechet.value(blurred, a))
    let (kernelReal, kernelBlur) = (
      try FeatureDistance.kernel.value(b, a), try FeatureDistance.kernel.value(blurred, a)
    )
    print(
      "n = \(half) a side: FD real \(real), blurred \(blur); KD × 1000 real \(kernelReal * 1000), blurred \(kernelBlur * 1000)"
    )
    #expect((340..<460).contains(real) && (640..<840).contains(blur))
    #expect(abs(kernelReal) < 0.01 && (0.45..<0.65).contains(kernelBlur))
  }

  @Test("missing weights and other networks' are refused by name")
  func refusals() throws {
    let missing = #expect(throws: MetricsError.self) {
      try PictureFeatures(.inception, weights: "/nowhere.safetensors")
    }
    #expect(missing?.code == .missingWeights && missing?.description.contains("/nowhere.safetensors") == true)
    let other = #expect(throws: BundleError.self) { try PictureFeatures(.inception, weights: Golden.networks) }
    #expect(other?.code == .missingTensor)
  }

  private static var weights: String {
    get throws { "\(try #require(TestData.folder))/weights/\(PictureFeatures.weightsFile)" }
  }
}

/// Names and shapes of Inception's convolutions and norms as pytorch-fid has them.
private enum InceptionShapes {
  static let all: [(String, [Int])] = {
    var shapes: [(String, [Int])] = []
    func layer(_ name: String, _ i: Int, _ o: Int, _ h: Int = 1, _ w: Int? = nil) {
      shapes.append(("\(name).conv.weight", [o, i, h, w ?? h]))
      shapes += ["weight", "bias", "running_mean", "running_var"].map { ("\(name).bn.\($0)", [o]) }
    }
    layer("Conv2d_1a_3x3", 3, 32, 3)
    layer("Conv2d_2a_3x3", 32, 32, 3)
    layer("Conv2d_2b_3x3", 32, 64, 3)
    layer("Conv2d_3b_1x1", 64, 80)
    layer("Conv2d_4a_3x3", 80, 192, 3)
    for (name, i, pool) in [("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)] {
      let block = "Mixed_\(name).branch"
      layer("\(block)1x1", i, 64)
      layer("\(block)5x5_1", i, 48)
      layer("\(block)5x5_2", 48, 64, 5)
      layer("\(block)3x3dbl_1", i, 64)
      layer("\(block)3x3dbl_2", 64, 96, 3)
      layer("\(block)3x3dbl_3", 96, 96, 3)
      layer("\(block)_pool", i, pool)
    }
    layer("Mixed_6a.branch3x3", 288, 384, 3)
    layer("Mixed_6a.branch3x3dbl_1", 288, 64)
    layer("Mixed_6a.branch3x3dbl_2", 64, 96, 3)
    layer("Mixed_6a.branch3x3dbl_3", 96, 96, 3)
    for (name, c) in [("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)] {
      let block = "Mixed_\(name).branch"
      layer("\(block)1x1", 768, 192)
      layer("\(block)7x7_1", 768, c)
      layer("\(block)7x7_2", c, c, 1, 7)
      layer("\(block)7x7_3", c, 192, 7, 1)
      layer("\(block)7x7dbl_1", 768, c)
      layer("\(block)7x7dbl_2", c, c, 7, 1)
      layer("\(block)7x7dbl_3", c, c, 1, 7)
      layer("\(block)7x7dbl_4", c, c, 7, 1)
      layer("\(block)7x7dbl_5", c, 192, 1, 7)
      layer("\(block)_pool", 768, 192)
    }
    layer("Mixed_7a.branch3x3_1", 768, 192)
    layer("Mixed_7a.branch3x3_2", 192, 320, 3)
    layer("Mixed_7a.branch7x7x3_1", 768, 192)
    layer("Mixed_7a.branch7x7x3_2", 192, 192, 1, 7)
    layer("Mixed_7a.branch7x7x3_3", 192, 192, 7, 1)
    layer("Mixed_7a.branch7x7x3_4", 192, 192, 3)
    for (name, i) in [("7b", 1280), ("7c", 2048)] {
      let block = "Mixed_\(name).branch"
      layer("\(block)1x1", i, 320)
      layer("\(block)3x3_1", i, 384)
      layer("\(block)3x3_2a", 384, 384, 1, 3)
      layer("\(block)3x3_2b", 384, 384, 3, 1)
      layer("\(block)3x3dbl_1", i, 448)
      layer("\(block)3x3dbl_2", 448, 384, 3)
      layer("\(block)3x3dbl_3a", 384, 384, 1, 3)
      layer("\(block)3x3dbl_3b", 384, 384, 3, 1)
      layer("\(block)_pool", i, 192)
    }
    return shapes
  }()
}
