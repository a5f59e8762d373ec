import Adapters
import Bundles
import Foundation
import Imaging
import Metrics
import Pipelines
import Registry
import Tensor
import TestSupport
import Testing

@Suite("Evaluation") struct EvaluationTests {
  private func suite(_ task: String = "super-resolution", side: Int? = nil) throws -> EvaluationSuite {
    var manifest = try Toy.adapter().manifest
    manifest.task = task
    return EvaluationSuite(manifest, side: side, nativeSize: 32)
  }

  @Test("super-resolution reduces whole pictures with a plain kernel; a side, or another task, takes degraded squares")
  func pairs() throws {
    let picture = CleanPicture(name: "a", bitmap: Bitmap(Pictures.make(.photo, width: 70, height: 41)))
    let plugin = try Toy.plugin()
    let whole = try suite()
    #expect(whole.name == "sr4" && whole.pictures == .whole)
    let pair = try whole.pair(picture, number: 0, plugin: plugin)
    #expect(pair.original.width == 68 && pair.original.height == 40)
    #expect(pair.inputs[0].bitmap == Resize.bicubic(pair.original, width: 17, height: 10))

    let squares = try suite(side: 32)
    #expect(squares.name == "sr4-32")
    let (first, again) = (
      try squares.pair(picture, number: 0, plugin: plugin), try squares.pair(picture, number: 0, plugin: plugin)
    )
    let other = try squares.pair(picture, number: 1, plugin: plugin)
    #expect(first.original.width == 32 && first.inputs[0].width == 8 && first.original == other.original)
    #expect(first.inputs == again.inputs && first.inputs != other.inputs, "the key is the picture's number")
    #expect(try suite("inpainting").pictures == .squares(side: 32))
  }

  @Test("what decides is fixed for each task")
  func primary() throws {
    for task in EvaluationSuite.Task.allCases {
      let isPerceptual =
        switch try suite(task.rawValue).primary {
        case .perceptual: true
        case .kernelAboveFloor: false
        }
      #expect(isPerceptual == [.superResolution, .inpainting, .other].contains(task))
    }
  }

  /// An evaluation of three methods that need no network: the original itself, black, and something between.
  private func results(seeds: Int = 2) async throws -> EvaluationResults {
    let suite = try suite()
    return try await Compute.run { () throws in
      let plugin = try Toy.plugin()
      var instruments = Instruments()
      instruments.features = [try PictureFeatures(.efficientNetLite0, weights: Self.features)]
      let pictures = (0..<6).map { Bitmap(Pictures.make(.photo, width: 48, height: 40, seed: UInt32($0 + 1))) }
      var evaluation = Evaluation(suite, instruments, reference: Array(pictures.suffix(3)))
      (evaluation.seeds, evaluation.shown) = (seeds, 2)
      let methods = [1, 2, 4].map { (count: Int) in EvaluationMethod("\(count) steps", steps: count) }
      return try evaluation.run(
        pictures: 3,
        pair: { try suite.pair(CleanPicture(name: "p\($0)", bitmap: pictures[$0]), number: $0, plugin: plugin) },
        methods: methods, varied: methods[1], plugin: plugin
      ) { pair, method, seed in
        switch method.steps {
        case 1: pair.original
        case 2: Bitmap(width: 48, height: 40, pixels: pair.original.pixels.map { $0 / 2 + UInt8(seed) * 3 })
        default: Bitmap(width: 48, height: 40, red: 0, green: 0, blue: 0)
        }
      }
    }
  }

  private static let features = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "MetricsTests/Fixtures/networks_golden.safetensors").path

  @Test("every method is measured on every picture, the baseline first")
  func measures() async throws {
    let results = try await results()
    #expect(results.methods.map(\.method.title) == ["bicubic", "1 steps", "2 steps", "4 steps"])
    #expect(results.measures.map(\.key) == ["psnr", "ssim", "energy-ratio", "agreement", "seed-difference"])
    let perfect = results.methods[1]
    let dark = results.methods[3]
    #expect(perfect.interval(.psnr) == nil, "no finite number says that two pictures are equal")
    #expect(abs(try #require(perfect.interval(.ssim)).mean - 1) < 1e-9 && perfect.interval(.energy)?.mean == 1)
    #expect(try #require(dark.interval(.psnr)).mean < 20 && dark.interval(.energy)?.mean == 0)
    #expect(results.methods[2].interval(.diversity)?.mean == 3 && dark.interval(.diversity) == nil)
    #expect(perfect.sets.map(\.measure.key) == ["fd-effnetlite0-128", "kd-effnetlite0-128"])
    // Perfect results are the floor.
    #expect(perfect.sets.map(\.value) == results.floors.map(\.value))
    #expect(perfect.sets.allSatisfy { $0.aboveFloor?.mean == 0 } && results.referenceCount == 3)
    #expect(try #require(dark.sets[0].aboveFloor).mean > 0)
    let table = results.figures.markdown.split(separator: "\n")
    #expect(table.count == 6 && table[0].hasPrefix("| sr4, n = 3 | PSNR dB | SSIM | fine detail |"), "\(table[0])")
    #expect(results.sets?.rows.last?.first == "originals (floor)")
    #expect(results.digests.map(\.digest) == [try SHA256.hex(ofFile: Self.features)])
  }

  @Test("the page shows everything and loads nothing")
  func page() async throws {
    let folder = try TemporaryFolder()
    var page = EvaluationPage(try await results(), try Toy.adapter().manifest)
    page.recipe = "kind: adapter # <b>"
    page.digests = [("plugin", "abc")]
    page.command = "codi evaluate \"x\""
    try page.write(to: folder("page.html"))
    let html = try String(contentsOfFile: folder("page.html"), encoding: .utf8)
    #expect(html.components(separatedBy: "<img").count - 1 == 2 * 6, "two pairs: input, four methods, original")
    #expect(html.components(separatedBy: "<svg").count - 1 >= 4)
    for text in ["toy/enlarge@1.0.0", "originals (floor)", "kind: adapter # &lt;b&gt;", "abc", "nothing (CC0-1.0)"] {
      #expect(html.contains(text), "\(text)")
    }
    #expect(!html.contains("http") && !html.contains("<link") && !html.contains("<script"))
  }

  @Test("a training's page is made of its folder alone")
  func trainingPage() throws {
    let folder = try TemporaryFolder()
    let run = URL(filePath: try folder.make("run"))
    #expect(throws: ConversionError.self) { try TrainingPage(run) }
    try Data(
      """
      kind: adapter
      name: demo/x
      version: 0.1.0
      core: demo/core
      training: { samples: 4000 }
      data: { photographs: [ { path: "a.tar", sha256: 00ff, license: CC0-1.0 } ] }
      """.utf8
    ).write(to: run.appending(path: "recipe.yaml"))
    let lines = (1...40).map {
      "{\"step\":\($0 * 10),\"samples\":\($0 * 100),\"values\":{\"loss\":\(1.0 / Double($0)),\"mu-0\":0.1,\"mu-1\":0.2,\"seconds\":0.5}}"
    }
    try Data(lines.joined(separator: "\n").utf8).write(to: run.appending(path: "metrics.ndjson"))
    try FileManager.default.createDirectory(at: run.appending(path: "sheets"), withIntermediateDirectories: true)
    for samples in ["000001000", "000004000"] {
      try Data(try encodePNG(Bitmap(width: 4, height: 4, red: 9, green: 9, blue: 9)))
        .write(to: run.appending(path: "sheets/\(samples).png"))
    }
    try TrainingPage(run).write(to: folder("page.html"))
    let html = try String(contentsOfFile: folder("page.html"), encoding: .utf8)
    #expect(html.contains("4000 of 4000 samples, 400 steps, loss 0.0250") && html.contains("An adapter for demo/core"))
    #expect(html.contains("a.tar (CC0-1.0)") && html.contains("00ff") && html.contains("mean |μ| by place"))
    #expect(html.components(separatedBy: "<img").count - 1 == 2 && html.contains("after 1000 samples"))
    #expect(html.contains(try SHA256.hex(ofFile: run.appending(path: "recipe.yaml").path)))
    #expect(!html.contains("http") && !html.contains("<link"))
  }

  // MARK: - Faithfulness

  /// `side × side` with 1 where `isLine` says so.
  private func drawing(_ side: Int = 16, _ isLine: (_ x: Int, _ y: Int) -> Bool) -> EvaluationPair.Input {
    let values = (0..<side * side).map { isLine($0 % side, $0 / side) ? Float(1) : 0 }
    return .init(width: side, height: side, channels: 1, values: values)
  }

  @Test("lines agree within a pixel, whatever is ink and what is paper")
  func lines() {
    let line = drawing { x, _ in x == 5 }
    #expect(LineAgreement.f1(line, line) == 1)
    #expect(LineAgreement.f1(line, drawing { x, _ in x == 6 }) == 1)
    #expect(LineAgreement.f1(line, drawing { x, _ in x == 8 }) == 0)
    #expect(LineAgreement.f1(line, drawing { x, _ in x != 5 }) == 1, "dark on light")
    #expect(LineAgreement.f1(line, drawing { _, _ in false }) == 0)
    #expect(LineAgreement.f1(drawing { _, _ in false }, drawing { _, _ in false }) == 1)
    // All that is drawn was asked for, half of what was asked for is drawn: 2 · 1 · ½ / 1½, and a pixel of room.
    let half = LineAgreement.f1(line, drawing { x, y in x == 5 && y < 8 })
    #expect(abs(half - 2 * 1 * (9.0 / 16) / (1 + 9.0 / 16)) < 1e-12)
  }

  @Test("contours: 1 where contrast lies at the depth's steps alone, ½ for a flat picture")
  func contours() throws {
    let depth = (0..<256).map { Float($0 % 16 < 8 ? 0 : 1) }
    func picture(_ isBright: (_ x: Int, _ y: Int) -> Bool) -> Bitmap {
      Bitmap(
        width: 16, height: 16,
        pixels: (0..<256).flatMap { [UInt8](repeating: isBright($0 % 16, $0 / 16) ? 200 : 50, count: 3) })
    }
    #expect(DepthContours.contrast(picture { x, _ in x < 8 }, depth) == 1)
    #expect(DepthContours.contrast(picture { _, _ in true }, depth) == 0.5)
    #expect(try #require(DepthContours.contrast(picture { x, _ in x < 3 }, depth)) < 0.5)
    #expect(DepthContours.contrast(picture { x, _ in x < 8 }, [Float](repeating: 1, count: 256)) == nil)
  }

  @Test("inpainting counts the known pixels that came back to the last bit; super-resolution reduces again")
  func known() throws {
    let plugin = try Toy.plugin()
    let original = Bitmap(Pictures.make(.photo, width: 16, height: 16))
    let image = EvaluationPair.Input(
      width: 16, height: 16, channels: 3, values: original.pixels.map { Float($0) / 255 })
    let pair = EvaluationPair(name: "a", original: original, inputs: [image, drawing { x, _ in x >= 12 }])
    func share(_ result: Bitmap) throws -> Double? {
      let found = try suite("inpainting").fidelity(result, pair, plugin: plugin)
      #expect(found?.measure == .known)
      return found?.value
    }
    #expect(try share(original) == 1)
    var filled = original
    for y in 0..<16 { filled.pixels[(y * 16 + 14) * 3] ^= 255 }
    #expect(try share(filled) == 1, "holes may hold anything")
    for y in 0..<4 { filled.pixels[(y * 16 + 2) * 3 + 1] ^= 1 }
    #expect(try share(filled) == 1 - 4.0 / (16 * 12))

    let small = try suite().pair(CleanPicture(name: "b", bitmap: original), number: 0, plugin: plugin)
    let agreement = try suite().fidelity(original, small, plugin: plugin)
    #expect(agreement?.measure == .agreement && agreement?.value == .infinity)
  }
}
