import Bundles
import Foundation
import Imaging
import TestSupport
import Testing

@Suite("codi evaluate") struct EvaluateTests {
  private let shop: Workshop
  private let folder = try? TemporaryFolder()

  init() throws { shop = try Workshop.shared.get() }

  /// Six pictures and measuring weights of narrow random networks, which the metrics' tests have for themselves.
  private func prepare() throws -> TemporaryFolder {
    let folder = try #require(folder)
    _ = try folder.make("pictures")
    for number in 0..<6 { try Pictures.write(folder("pictures/\(number).png"), 64, 48, seed: UInt32(number + 1)) }
    _ = try folder.make("weights")
    for (name, fixture) in [
      ("squeezenet11_caffe_trunk", "metrics_golden"), ("efficientnet_lite0", "networks_golden"),
    ] {
      try FileManager.default.copyItem(
        at: Toy.root.appending(path: "Tests/MetricsTests/Fixtures/\(fixture).safetensors"),
        to: URL(filePath: folder("weights/\(name).safetensors")))
    }
    return folder
  }

  @Test("figures, distances between sets with their floor, and a page that loads nothing")
  func table() throws {
    let folder = try prepare()
    let found = try shop.codi(
      "evaluate", folder("pictures"), "--adapter", "enlarge", "--steps", "1,2", "--seeds", "2", "--weights",
      folder("weights"), "--reference", "half", "--report", folder("page.html")
    ).expect(0)
    let lines = found.out.split(separator: "\n").map(String.init)
    #expect(
      lines[0].hasPrefix("| sr4, n = 3 | PSNR dB | SSIM | PD-SqueezeNet1.1 | fine detail | agreement dB"), "\(lines)")
    for row in ["| bicubic |", "| 1 step |", "| 2 steps |", "| originals (floor) |"] {
      #expect(lines.contains { $0.hasPrefix(row) }, "\(row) of \(lines)")
    }
    #expect(found.out.contains("FD-EffNetLite0@128") && found.out.contains("KD-EffNetLite0@128 × 1000"))
    #expect(!found.out.contains("FID") && !found.out.contains("LPIPS"), "nobody gave the original weights")
    let page = try String(contentsOfFile: folder("page.html"), encoding: .utf8)
    #expect(page.contains("toy/enlarge@1.0.0") && page.contains("originals (floor)") && !page.contains("http"))
  }

  @Test("lines for programs: figures for the manifest, and the rest as events")
  func json() throws {
    let folder = try prepare()
    let found = try shop.codi(
      "evaluate", folder("pictures"), "--adapter", "enlarge", "--steps", "2", "--seeds", "1", "--weights",
      folder("weights"), "--reference", folder("pictures"), "--squares", "32", "--limit", "4", "--against",
      "enlarge@1.0.0", "--json", "--quiet"
    ).expect(0)
    let objects = try found.objects()
    let figures = objects.filter { $0["event"] == nil }
    #expect(
      Set(figures.compactMap { $0["name"] as? String }).isSuperset(of: [
        "psnr", "pd-squeezenet1.1", "kd-effnetlite0-128",
      ]))
    #expect(
      figures.allSatisfy { $0["suite"] as? String == "sr4-32" && $0["steps"] as? Int == 2 && $0["n"] as? Int == 4 })
    let events = Dictionary(grouping: objects.filter { $0["event"] != nil }) { $0["event"] as? String ?? "" }
    #expect(events["floor"]?.count == 2 && events["above-floor"]?.count == 4 && events["weights"]?.count == 2)
    // The adapter against itself.
    let differences = try #require(events["difference"])
    #expect(differences.count > 4 && differences.allSatisfy { $0["value"] as? Double == 0 })
    for line in found.out.split(separator: "\n") where !line.contains("\"event\"") {
      _ = try JSONDecoder().decode(Manifest.Metric.self, from: Data(line.utf8))
    }
  }

  @Test("what cannot be measured is refused before the work")
  func refusals() throws {
    let folder = try prepare()
    let start = ["evaluate", folder("pictures"), "--adapter", "enlarge"]
    #expect(try shop.run(start + ["--steps", "0"]).expect(2).error.contains("--steps"))
    #expect(try shop.run(start + ["--limit", "0"]).expect(2).error.contains("--limit"))
    #expect(try shop.run(start + ["--predictor", "magic"]).expect(2).error.contains("magic"))
    let missing = try shop.run(start + ["--weights", folder("nowhere")]).expect(5)
    #expect(missing.error.contains("squeezenet11_caffe_trunk.safetensors"))
    let other = try shop.run(
      start + ["--reference", "half", "--fid-weights", folder("weights/efficientnet_lite0.safetensors")]
    ).expect(5)
    #expect(other.error.contains("Conv2d_1a_3x3.conv.weight"))
  }
}
