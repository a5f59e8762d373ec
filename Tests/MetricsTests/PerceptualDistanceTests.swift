import Bundles
import Foundation
import Imaging
import Metrics
import Tensor
import Testing

@Suite("PD-SqueezeNet1.1") @Compute struct PerceptualDistanceTests {
  @Test("every tap agrees with PyTorch, with a narrow random network")
  func narrow() throws {
    let golden = try Golden()
    let metric = try PerceptualDistance(weights: Golden.path)
    try check(metric, against: "taps.narrow", golden)
  }

  @Test("every tap agrees with PyTorch, with the true weights", .enabled(if: TestData.folder != nil, TestData.reason))
  func full() throws { try check(try PerceptualDistance(), against: "taps.full", try Golden()) }

  @Test(
    "bicubic enlargement of eight Kodak crops is as far away as PyTorch says",
    .enabled(if: TestData.folder != nil, TestData.reason))
  func kodak() throws {
    let metric = try PerceptualDistance()
    let distances = try TestData.kodak().prefix(8).map { picture in
      let crop = picture.cropped(x: 0, y: 0, width: 448, height: 256)
      let small = Resize.bicubic(crop, width: 112, height: 64)
      return try metric.distance(Resize.bicubic(small, width: 448, height: 256), crop)
    }
    #expect(abs(distances.reduce(0, +) / 8 - 2.6093) < 2e-4)
  }

  private func check(_ metric: PerceptualDistance, against name: String, _ golden: Golden) throws {
    let (a, b) = (try golden.bitmap("pair.a"), try golden.bitmap("pair.b"))
    let (found, expected) = (try metric.taps(a, b), try golden.values(name))
    #expect(found.count == 7 && expected.count == 7)
    for (tap, (x, y)) in zip(found, expected).enumerated() { #expect(abs(x - y) < 1e-4 * y, "tap \(tap): \(x), \(y)") }
    #expect(abs(try metric.distance(a, b) - expected.reduce(0, +)) < 1e-4 * expected.reduce(0, +))
    #expect(try metric.distance(b, a) == (try metric.distance(a, b)))
    #expect(try metric.distance(a, a) == 0)
  }

  @Test("missing weights say where they were looked for, and what to do")
  func missing() throws {
    let error = #expect(throws: MetricsError.self) { try PerceptualDistance(weightsIn: "/nowhere") }
    #expect(error?.code == .missingWeights)
    #expect(error?.description.contains("/nowhere/squeezenet11_caffe_trunk.safetensors") == true)
  }

  @Test("a file without the network's tensors is refused by name")
  func wrongFile() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try SafetensorsWriter.write([("conv.weight", .f32, [1], Data(count: 4))], to: path)
    let error = #expect(throws: BundleError.self) { try PerceptualDistance(weights: path) }
    #expect(error?.code == .missingTensor)
  }

  @Test("25 pixels are enough, 24 are refused, and so are two sizes")
  func sizes() throws {
    let metric = try PerceptualDistance(weights: Golden.path)
    #expect(try metric.distance(noise(width: 25, height: 30), noise(width: 25, height: 30)) == 0)
    func code(_ a: Bitmap, _ b: Bitmap) -> MetricsError.Code? {
      #expect(throws: MetricsError.self) { try metric.distance(a, b) }?.code
    }
    #expect(code(noise(width: 40, height: 24), noise(width: 40, height: 24)) == .tooSmall)
    #expect(code(noise(width: 40, height: 30), noise(width: 30, height: 40)) == .mismatch)
  }
}
